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
            CommandState::Sent => self.outcome(&record, replies).await,
        };
        Ok(Receipt { command: record.id, outcome })
    }

    /// What became of a command that was written: from here on nothing is an error, for
    /// it may have been done.
    async fn outcome(&self, record: &CommandRecord, mut replies: broadcast::Receiver<Reply>) -> Outcome {
        let valid = match self.store.now().await {
            Ok(now) => record.not_after.since(now),
            Err(_) => self.config.command_valid(),
        };
        let deadline = Instant::now() + valid + self.config.command_grace();
        let mut listening = true;
        // Replies to others come in between, and must not put the look off.
        let mut look = Instant::now() + LOOK_EVERY;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(look.min(deadline)) => {}
                reply = replies.recv(), if listening => match reply {
                    Ok(reply) if (reply.server, reply.command) == (record.server, record.id) => {
                        return reply.outcome;
                    }
                    Ok(_) => continue,
                    // Ours may be among those that were missed.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => listening = false,
                },
            }
            look = Instant::now() + LOOK_EVERY;
            if let Ok(Some(CommandRecord { state: CommandState::Settled(outcome), .. })) =
                self.store.command_get(record.id).await
            {
                return outcome;
            }
            if Instant::now() >= deadline {
                let text = format!("server {} did not say what became of it in time", record.server);
                return Outcome::Unknown(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        control::ControlConfig,
        id::ServerId,
        memory::{MemoryBroker, MemoryStore},
        store::CommandStore as _,
        testkit::store::Ground,
    };

    #[tokio::test(start_paused = true)]
    async fn replies_to_others_do_not_put_the_look_off() {
        let clock = Arc::new(crate::testkit::ManualClock::default());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let ground = Ground::new(store.clone(), clock);
        let record = ground.input("box").await;
        let config = ControlConfig { command_valid_secs: 60, ..ControlConfig::default() };
        let control = Control::new(store.clone(), Arc::new(MemoryBroker::new()), config);
        let (to, replies) = broadcast::channel(64);
        let other = Reply { server: ServerId(99), command: Uuid::nil(), outcome: Outcome::Done };
        let chatter = tokio::spawn(async move {
            while to.send(other.clone()).is_ok() {
                tokio::time::sleep(LOOK_EVERY / 5).await;
            }
        });
        store.command_settle(record.id, &Outcome::Done).await.unwrap();
        let begun = Instant::now();
        assert_eq!(control.outcome(&record, replies).await, Outcome::Done);
        assert!(begun.elapsed() <= 2 * LOOK_EVERY, "{:?}", begun.elapsed());
        chatter.abort();
    }
}
