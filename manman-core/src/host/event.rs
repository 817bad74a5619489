//! What a host manager tells the program it is part of.

use futures::stream::{self, Stream};
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

use super::journal::Identity;
use crate::wire::SessionReport;

/// How many events may wait for a subscriber.
const WAITING: usize = 1_024;

/// Something happened on a host.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HostEvent {
    /// It registered with its control plane.
    Registered(Identity),
    /// Another host manager has taken its place: it keeps its consoles and touches nothing.
    Fenced,
    /// The engine does not answer, and why. Games are taken to go on.
    EngineAway(String),
    /// The engine answers again.
    EngineBack,
    /// A session went on or ended, in the words that the control plane is told.
    Session(SessionReport),
    /// Something that an operator should know.
    Warning(String),
    /// This subscriber did not keep up and missed so many events.
    Missed(u64),
}

/// Where events go. Nobody has to listen.
#[derive(Clone, Debug)]
pub(super) struct Events(Sender<HostEvent>);

impl Events {
    pub(super) fn new() -> Self {
        Self(Sender::new(WAITING))
    }

    pub(super) fn tell(&self, event: HostEvent) {
        // Nobody listening is no failure.
        let _ = self.0.send(event);
    }

    /// All events from now on; ends with the host manager.
    pub(super) fn listen(&self) -> impl Stream<Item = HostEvent> + Send + Unpin + 'static {
        Box::pin(stream::unfold(self.0.subscribe(), next))
    }
}

async fn next(mut events: Receiver<HostEvent>) -> Option<(HostEvent, Receiver<HostEvent>)> {
    match events.recv().await {
        Ok(event) => Some((event, events)),
        Err(RecvError::Lagged(missed)) => Some((HostEvent::Missed(missed), events)),
        Err(RecvError::Closed) => None,
    }
}
