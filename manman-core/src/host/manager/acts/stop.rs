//! The steps that bring a session down, and clear it away.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Act, Done, Effect, Trouble};
use crate::{
    error::{Chain, ErrorKind},
    host::{
        HostEvent,
        console::ConsoleHandle,
        plan::{self, Cause, Ended, Stage, StopProgress},
    },
    id::AttemptId,
    model::ConsoleLine,
    runtime::AttemptState,
    wire::Outcome,
};

/// The last lines of a console that an end carries, and the most bytes of one.
const LAST_LINES: (usize, usize) = (20, 500);

/// How long a command of a stop plan may wait to be written.
const SAY_WITHIN: Duration = Duration::from_secs(2);

/// How long lines may take to be read back from the disk.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// How soon a console that cannot be opened is tried again, while its container waits for it.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// What an engine needs to tell that a game is gone, beyond the grace.
const STOP_MARGIN: Duration = Duration::from_secs(20);

impl Act {
    /// Writes a command of the stop plan, which a game is given once: by what is remembered, and
    /// by what is on the disk, whoever comes after us. A disk that refuses or hangs does not keep
    /// the game from being told to save: then only our own death before the disk takes something
    /// could have it told a second time.
    pub(super) async fn say(&self, attempt: u32, line: &ConsoleLine, progress: StopProgress) -> Done {
        self.note_if_possible(attempt, |known| known.stop = Some(progress)).await;
        let open = self.host.consoles.open(self.run(attempt), false);
        let outcome = match timeout(SAY_WITHIN, open).await {
            Ok(Ok(console)) => console.write_line(line, SAY_WITHIN).await,
            Ok(Err(error)) => Outcome::Refused(Chain(&error).to_string()),
            Err(_) => Outcome::Refused("its console was not open in time".to_owned()),
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
            self.note_if_possible(attempt, |known| known.stop = Some(progress)).await;
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
        // Not on the disk, it is found again after a death; the next attempt is not begun before.
        self.note_if_possible(attempt, |known| known.stage = Stage::Over { cause, receipted: false }).await;
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
        // It has ended all the same; found again after a death, it is told again.
        let _ = host.noted(written).await;
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
        // What is not shown by then is not waited for, nor a disk: the end is what people wait for.
        let within = self.host.config.last_lines();
        let Some(console) = self.console(attempt, within).await else { return Vec::new() };
        let _ = timeout(within, console.drained()).await;
        let lines = console.last_lines(LAST_LINES.0, LAST_LINES.1);
        timeout(READ_WITHIN, lines).await.unwrap_or_default()
    }

    /// The console of an attempt, opened if it is not and its container is there.
    async fn console(&self, attempt: u32, within: Duration) -> Option<ConsoleHandle> {
        let (consoles, run) = (&self.host.consoles, self.run(attempt));
        let there =
            matches!(self.seen.get(&attempt), Some(AttemptState::Running { .. } | AttemptState::Exited(_)));
        match consoles.get(run) {
            Some(console) => Some(console),
            None if there => timeout(within, consoles.open(run, false)).await.ok()?.ok(),
            None => None,
        }
    }

    pub(super) async fn retire(&self, attempt: u32) -> Done {
        let host = &self.host;
        let memory = &self.entry.memory;
        let receipted = memory.end.as_ref().is_some_and(|end| end.receipted);
        if !receipted && memory.attempts.get(&attempt).is_none_or(|known| !known.retired) {
            // Its end is on the disk, or on record, before its name is given away.
            host.noted(host.journal.flush()).await.map_err(Trouble::Unwritten)?;
        }
        match host.call("rename a container", host.runtime.retire(self.run(attempt))).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Effect::Look),
            Err(error) => return Err(Trouble::Again(error)),
        }
        drop(self.change(attempt, |known| known.retired = true));
        Ok(Effect::Retired(attempt))
    }

    pub(super) async fn remove(&self, attempt: u32) -> Done {
        let host = &self.host;
        let run = self.run(attempt);
        let printed = matches!(self.seen.get(&attempt), Some(AttemptState::Exited(_)));
        // What it printed is to be kept before it goes; but it goes.
        let unread = printed && !self.drained(run).await;
        match host.call("remove a container", host.runtime.remove(run)).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                if unread {
                    // It is still there, and is read on.
                    host.consoles.close(run);
                }
                return Err(Trouble::Again(error));
            }
        }
        if unread {
            let miss = host.consoles.miss(run, "its container was removed before all of it was read");
            if let Err(error) = host.call("note a gap", miss).await {
                let message = format!("what {run} printed last is lost and in no console: {}", Chain(&error));
                host.warn("console", message);
            }
        }
        host.consoles.close(run);
        let older = attempt < self.entry.memory.highest;
        if older {
            drop(host.journal.change(self.session, |entry| drop(entry.memory.attempts.remove(&attempt))));
        }
        Ok(Effect::Removed(attempt))
    }

    /// Waits until all that an attempt printed is shown, but not for ever. Then nothing is read any
    /// more; `false` if something may be left.
    async fn drained(&self, run: AttemptId) -> bool {
        let consoles = &self.host.consoles;
        let drained = async {
            loop {
                match consoles.open(run, false).await {
                    Ok(console) => return console.drained().await,
                    Err(_) => sleep(OPEN_AGAIN).await,
                }
            }
        };
        let in_time = timeout(self.host.config.drain(), drained).await.is_ok();
        match consoles.get(run) {
            Some(console) if !in_time => console.stop().await,
            _ => in_time,
        }
    }
}
