//! The steps that bring a session down, and clear it away.

use std::time::Duration;

use tokio::time::timeout;

use super::{Act, Done, Effect, Trouble};
use crate::{
    error::{Chain, ErrorKind},
    host::{
        HostEvent,
        plan::{self, Cause, Ended, Stage, StopProgress},
    },
    model::ConsoleLine,
    runtime::AttemptState,
    wire::Outcome,
};

/// The last lines of a console that an end carries, and the most bytes of one.
const LAST_LINES: (usize, usize) = (20, 500);

/// How long a command of a stop plan may wait to be written.
const SAY_WITHIN: Duration = Duration::from_secs(2);

/// What an engine needs to tell that a game is gone, beyond the grace.
const STOP_MARGIN: Duration = Duration::from_secs(20);

impl Act {
    pub(super) async fn say(&self, attempt: u32, line: &ConsoleLine, progress: StopProgress) -> Done {
        self.note(attempt, |known| known.stop = Some(progress)).await?;
        let run = self.run(attempt);
        let outcome = match self.host.consoles.get(run) {
            Some(console) => console.write_line(line, SAY_WITHIN).await,
            None => Outcome::Refused("its console is not open".to_owned()),
        };
        if let Outcome::Refused(why) | Outcome::Unknown(why) = outcome {
            tracing::warn!(session.id = %self.session,
                "the stop command {:?} of session {} may not have arrived: {why}", line.as_str(), self.session);
        }
        Ok(Effect::Noted)
    }

    pub(super) async fn signal(&self, attempt: u32, grace: Duration, progress: Option<StopProgress>) -> Done {
        let host = &self.host;
        if let Some(progress) = progress {
            self.note(attempt, |known| known.stop = Some(progress)).await?;
        }
        let run = self.run(attempt);
        let stop = host.runtime.stop(run, grace);
        match host.call_within("stop a container", grace + STOP_MARGIN, stop).await {
            Ok(exit) => Ok(Effect::Exited(attempt, exit)),
            Err(error) => {
                if error.kind() == ErrorKind::Timeout {
                    // A console that is stuck keeps an engine from answering (moby 22502); it is
                    // opened again by the next look.
                    host.consoles.close(run);
                }
                Err(Trouble::Again(error))
            }
        }
    }

    pub(super) async fn kill(&self, attempt: u32) -> Done {
        let host = &self.host;
        match host.call("kill a container", host.runtime.kill(self.run(attempt))).await {
            Ok(()) => Ok(Effect::Look),
            Err(error) => Err(Trouble::Again(error)),
        }
    }

    pub(super) async fn over(&self, attempt: u32, cause: Cause) -> Done {
        self.last_lines(attempt, &cause).await;
        self.note(attempt, |known| known.stage = Stage::Over { cause, said: false }).await?;
        self.host.reports.over(&self.host, self.run(attempt));
        Ok(Effect::Noted)
    }

    pub(super) async fn end(&self, attempt: u32, cause: Cause) -> Done {
        let host = &self.host;
        let last_lines = self.last_lines(attempt, &cause).await;
        let at = plan::ended_at(&cause, host.wall());
        let mut ended = None;
        let written = host.journal.change(self.session, |entry| {
            let receipted = entry.memory.disowned;
            let end = Ended { attempt, cause, at, last_lines, receipted };
            if !receipted {
                ended = Some(plan::ended(self.session, &entry.desired, &entry.memory, &end));
            }
            entry.memory.end = Some(end);
        });
        if let Err(error) = written.await {
            // It has ended all the same; found again after a death, it is told again.
            host.warn_once("journal", Chain(&error).to_string());
        }
        if let Some(report) = ended {
            host.events.tell(HostEvent::Session(report));
            host.reports.ended(self.session);
        }
        Ok(Effect::Look)
    }

    /// The last lines of an attempt, when all is shown, or not much later.
    async fn last_lines(&self, attempt: u32, cause: &Cause) -> Vec<String> {
        if matches!(cause, Cause::Never(_) | Cause::NotStarted) {
            return Vec::new();
        }
        let Some(console) = self.host.consoles.get(self.run(attempt)) else { return Vec::new() };
        // What is not shown by then is not waited for: the end is what people wait for.
        let _ = timeout(self.host.config.last_lines(), console.drained()).await;
        console.last_lines(LAST_LINES.0, LAST_LINES.1).await
    }

    pub(super) async fn retire(&self, attempt: u32) -> Done {
        let host = &self.host;
        match host.call("rename a container", host.runtime.retire(self.run(attempt))).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Effect::Look),
            Err(error) => return Err(Trouble::Again(error)),
        }
        drop(self.change(attempt, |known| known.retired = true));
        Ok(Effect::Noted)
    }

    pub(super) async fn remove(&self, attempt: u32) -> Done {
        let host = &self.host;
        let run = self.run(attempt);
        let printed = matches!(self.seen.get(&attempt), Some(AttemptState::Exited(_)));
        if printed && let Some(console) = host.consoles.get(run) {
            // What it printed is to be kept before it goes; but it goes.
            let _ = timeout(host.config.drain(), console.drained()).await;
        }
        match host.call("remove a container", host.runtime.remove(run)).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Trouble::Again(error)),
        }
        host.consoles.close(run);
        let older = attempt < self.entry.memory.highest;
        if older {
            drop(host.journal.change(self.session, |entry| drop(entry.memory.attempts.remove(&attempt))));
        }
        Ok(Effect::Removed(attempt))
    }
}
