//! Input for games: written once, with a receipt.

use std::time::Duration;

use tokio::{sync::broadcast, time::Instant};
use uuid::Uuid;

use super::{Control, replies::Reply};
use crate::{
    id::SessionId,
    model::ConsoleLine,
    store::{CommandRecord, CommandState, DeedError, Write},
    wire::Outcome,
};

/// What became of a one-shot command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The command.
    pub command: Uuid,
    /// What became of it.
    pub outcome: Outcome,
}

/// Between two looks into the store for an outcome that did not come as a reply.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Control {
    /// Writes a line to a running game's stdin and waits for what became of it: 12 s at
    /// most unless configured. Nobody repeats it.
    ///
    /// # Errors
    /// [`DeedError::NotRunning`] if its game does not run.
    pub async fn session_input(
        &self,
        session: SessionId,
        line: &ConsoleLine,
        write: &Write,
    ) -> Result<Receipt, DeedError> {
        // Listening before asking: the answer may be faster than the store's reply.
        let replies = self.replies.listen().await;
        let record = self.store.command_input(session, line, self.config.command_valid(), write).await?;
        let outcome = match &record.state {
            CommandState::Settled(outcome) => outcome.clone(),
            CommandState::Sent => self.outcome(&record, replies).await?,
        };
        Ok(Receipt { command: record.id, outcome })
    }

    async fn outcome(
        &self,
        record: &CommandRecord,
        mut replies: broadcast::Receiver<Reply>,
    ) -> Result<Outcome, DeedError> {
        let left = record.not_after.since(self.store.now().await?) + self.config.command_grace();
        let deadline = Instant::now() + left;
        let mut listening = true;
        loop {
            let look = (Instant::now() + LOOK_EVERY).min(deadline);
            tokio::select! {
                reply = replies.recv(), if listening => match reply {
                    Ok(reply) if (reply.server, reply.command) == (record.server, record.id) => {
                        return Ok(reply.outcome);
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => listening = false,
                },
                () = tokio::time::sleep_until(look) => {}
            }
            let settled = match self.store.command_get(record.id).await {
                Ok(Some(CommandRecord { state: CommandState::Settled(outcome), .. })) => Some(outcome),
                Ok(_) => None,
                // The command is on its way; only the deadline ends the wait.
                Err(error) if error.is_temporary() => None,
                Err(error) => return Err(error.into()),
            };
            if let Some(outcome) = settled {
                return Ok(outcome);
            }
            if Instant::now() >= deadline {
                let text = format!("server {} did not say what became of it in time", record.server);
                return Ok(Outcome::Unknown(text));
            }
        }
    }
}
