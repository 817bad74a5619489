//! How an actor has the consoles of its containers opened.

use std::{future::pending, pin::Pin, time::Duration};

use tokio::time::{Instant, timeout};

use super::{Actor, Host, look::Seen};
use crate::{
    error::{Chain, Result},
    host::journal::Entry,
    id::AttemptId,
    retry::Backoff,
    runtime::AttemptState,
};

/// What is wrong when a console cannot be opened.
pub(super) const CONSOLE: &str = "console";

/// How long a look waits for a console that is opened for the first time: as a rule that is
/// at once, and what is planned next may want its last lines.
const OPEN_WITHIN: Duration = Duration::from_secs(2);

/// The opening of consoles: tried until it works, and nobody waits for a disk that hangs.
pub(super) struct Listening {
    opening: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    /// When it is tried again, if it failed.
    again_at: Option<Instant>,
    /// It failed, or takes long.
    is_late: bool,
    backoff: Backoff,
}

impl Listening {
    pub fn new(host: &Host) -> Self {
        Self { opening: None, again_at: None, is_late: false, backoff: host.backoff() }
    }

    /// Lets go of what is being opened.
    pub fn pause(&mut self) {
        self.opening = None;
    }

    pub fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    /// Whether it is time to look what is still to be opened.
    pub fn is_due(&mut self) -> bool {
        let due = self.again_at.is_some_and(|at| Instant::now() >= at);
        if due {
            // A look that fails is tried again by itself.
            self.again_at = None;
        }
        due
    }

    /// Resolves when what is being opened is open, or could not be.
    pub async fn opened(&mut self) -> Result<()> {
        match &mut self.opening {
            Some(opening) => {
                let opened = opening.await;
                self.opening = None;
                opened
            }
            None => pending().await,
        }
    }
}

impl Actor {
    /// Has the consoles opened of what has something to show.
    pub(super) async fn listen(&mut self, entry: &Entry, seen: &Seen) {
        let over = entry.memory.end.as_ref().is_some_and(|end| end.receipted);
        let shows =
            |state: &AttemptState| matches!(state, AttemptState::Running { .. } | AttemptState::Exited(_));
        let runs = seen.iter().filter(|(_, state)| shows(state) && !over);
        let closed: Vec<AttemptId> = runs
            .map(|(&attempt, _)| AttemptId::new(self.session, attempt))
            .filter(|run| self.host.consoles.get(*run).is_none())
            .collect();
        if closed.is_empty() {
            self.listening.opening = None;
            return self.listens(Ok(()));
        }
        if self.listening.opening.is_some() || self.listening.again_at.is_some() {
            return;
        }
        let consoles = self.host.consoles.clone();
        self.listening.opening = Some(Box::pin(async move {
            for run in closed {
                consoles.open(run, false).await?;
            }
            Ok(())
        }));
        if self.listening.is_late {
            return;
        }
        match timeout(OPEN_WITHIN, self.listening.opened()).await {
            Ok(opened) => self.listens(opened),
            Err(_) => self.is_deaf("its disk does not answer"),
        }
    }

    /// What became of opening them.
    pub(super) fn listens(&mut self, opened: Result<()>) {
        match opened {
            Ok(()) => {
                self.listening.backoff.reset();
                (self.listening.again_at, self.listening.is_late) = (None, false);
                self.host.session_well(CONSOLE, self.session);
            }
            Err(error) => {
                self.listening.again_at = Some(Instant::now() + self.listening.backoff.delay());
                self.is_deaf(&Chain(&error).to_string());
            }
        }
    }

    fn is_deaf(&mut self, why: &str) {
        self.listening.is_late = true;
        let message =
            format!("the console of session {} cannot be opened, will try again: {why}", self.session);
        self.host.session_condition(CONSOLE, self.session, message);
    }
}
