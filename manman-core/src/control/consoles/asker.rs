//! One viewer's questions.

use std::{sync::Arc, time::Duration};

use tracing::debug;
use uuid::Uuid;

use super::{
    Inner, OPERATION,
    ears::{Heard, Heed},
};
use crate::{
    broker::{Class, Exchange, Message, RoutingKey},
    clock::{Clock as _, SystemClock},
    error::{Chain, Error, ErrorKind, Result},
    id::{Epoch, Generation, ServerId, SessionId},
    viewing::Begin,
    wire::{Ask, Envelope, Page, VERSION},
};

/// Asks a host for one viewer, one question at a time.
pub(super) struct Asker {
    inner: Arc<Inner>,
    view: Uuid,
    pub session: SessionId,
    pub server: ServerId,
    /// The newest registration of the host that has answered.
    epoch: Epoch,
    /// Counts the questions.
    pub question: u64,
}

impl Asker {
    /// How long after the time that a host keeps a question its answer is waited for,
    /// before it is asked for again.
    pub const GRACE: Duration = Duration::from_secs(2);

    pub fn new(inner: Arc<Inner>, session: SessionId, server: ServerId) -> Self {
        Self { inner, view: Uuid::new_v4(), session, server, epoch: Epoch::default(), question: 0 }
    }

    /// That the host does not answer, for people.
    pub async fn silent(&self) -> String {
        self.inner.silent(self.server).await
    }

    /// Whether its session has ended, on record.
    pub async fn is_over(&self) -> bool {
        let session = self.inner.look(self.inner.store.session_get(self.session)).await;
        // A store that does not answer ends nothing.
        session.is_ok_and(|session| session.is_none_or(|session| session.state.is_end()))
    }

    /// Asks once. `None` if there is no answer in time.
    pub async fn ask(&mut self, begin: Begin, follow: bool, wait: Duration) -> Option<Heed> {
        self.question += 1;
        let within = wait + Self::GRACE;
        let open = self.inner.ears.open(self.view, self.question, self.server, within);
        let (replica, question) = open.await?;
        let body = Ask {
            view: self.view,
            question: self.question,
            replica,
            session: self.session,
            begin,
            follow,
            most: Page::MOST as u32,
            wait_millis: wait.as_millis() as u32,
        };
        if let Err(error) = self.publish(body).await {
            debug!(error = %Chain(&error), "a question about a console was not sent, will ask again");
            return None;
        }
        let Heard { epoch, answer } = question.answer(within).await?;
        if epoch < self.epoch {
            // Somebody whose place was taken.
            return None;
        }
        self.epoch = epoch;
        Some(answer)
    }

    async fn publish(&self, body: Ask) -> Result<()> {
        let envelope = Envelope {
            version: VERSION,
            id: Uuid::now_v7(),
            issued_at: SystemClock.now(),
            not_after: None,
            server: self.server,
            epoch: self.epoch,
            generation: Generation::default(),
            sequence: 0,
            trace: None,
            body,
        };
        let unsendable = |why| Error::new(ErrorKind::Unexpected, OPERATION, format!("a question: {why}"));
        let message = Message {
            id: envelope.id,
            exchange: Exchange::Internal,
            key: RoutingKey::ask(self.server),
            class: Class::Telemetry,
            body: envelope.encode().map_err(unsendable)?,
        };
        let within = self.inner.config.publish_timeout();
        let sent = tokio::time::timeout(within, self.inner.broker.publish(message)).await;
        sent.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Timeout,
                OPERATION,
                format!("no answer of the broker within {within:?}"),
            ))
        })
    }
}
