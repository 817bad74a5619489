//! Messages that nobody could deal with: looked at, tried again, thrown away.

use std::time::Duration;

use uuid::Uuid;

use super::Control;
use crate::{
    broker::DeadLetter,
    error::{Error, ErrorKind, Result},
};

/// How long the broker may take.
const WITHIN: Duration = Duration::from_secs(10);

impl Control {
    /// The newest dead letters, newest first.
    ///
    /// # Errors
    /// `Timeout` after ten seconds; else what the broker says.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        within("dead letters", self.broker.dead_letters(limit)).await
    }

    /// Puts a dead letter back into the queue that it was in.
    ///
    /// # Errors
    /// As [`Broker::dead_letter_requeue`](crate::broker::Broker::dead_letter_requeue) says.
    pub async fn dead_letter_requeue(&self, message: Uuid) -> Result<()> {
        within("requeue a dead letter", self.broker.dead_letter_requeue(message)).await
    }

    /// Throws a dead letter away.
    ///
    /// # Errors
    /// `Timeout` after ten seconds; else what the broker says.
    pub async fn dead_letter_drop(&self, message: Uuid) -> Result<()> {
        within("drop a dead letter", self.broker.dead_letter_drop(message)).await
    }
}

async fn within<T>(operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(WITHIN, work)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, operation, "the broker took too long")))
}
