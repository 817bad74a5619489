//! The steps that bring a session up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{super::container, Act, Done, Effect, Trouble};
use crate::{
    error::{Chain, Error, ErrorKind},
    host::plan::{self, Attempt, Stage, StartPart},
    model::{ConsolePolicy, Reason, reason::ReasonCode},
    runtime::{AttemptState, PullProgress},
};

/// How often the progress of a pull is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

impl Act {
    pub(super) async fn fetch_spec(&self) -> Done {
        let host = &self.host;
        let me = host.me().map_err(Trouble::Again)?;
        match host.ask("ask what a session runs", me, host.uplink.spec(me, self.session)).await {
            Ok(spec) => {
                let spec = Arc::new(spec);
                // Not waited for: lost with us, it is asked for again.
                drop(host.journal.change(self.session, |entry| entry.memory.spec = Some(spec)));
                Ok(Effect::Noted)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // It has ended on record, or its deployment is gone: the next snapshot tells.
                host.snapshot.notify_one();
                match self.entry.memory.highest {
                    0 => Err(Trouble::Again(error)),
                    _ => Err(Trouble::NoSpec(error)),
                }
            }
            Err(error) => Err(Trouble::Again(error)),
        }
    }

    pub(super) async fn begin(&self, attempt: u32, restarts: u32, first: bool) -> Done {
        let answer = self.host.policy.may_start(self.spec()?, attempt);
        match self.host.call("ask whether it may start", async { Ok(answer.await) }).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(Trouble::Never(Reason::new(ReasonCode::Denied, why))),
            Err(silent) => return Err(Trouble::Again(silent)),
        }
        let written = self.host.journal.change(self.session, |entry| {
            entry.memory.attempts.insert(attempt, Attempt::begun(restarts, first));
            entry.memory.highest = attempt;
        });
        let Err(error) = self.host.noted(written).await else { return Ok(Effect::Begun) };
        // Not begun, then: a number that is not on the disk may be given twice.
        drop(self.host.journal.change(self.session, |entry| {
            entry.memory.attempts.remove(&attempt);
            entry.memory.highest = self.entry.memory.highest;
        }));
        Err(match error.kind() {
            // A disk that is full, or may only be read, stays so until somebody does something.
            ErrorKind::Busy | ErrorKind::Denied => {
                let reason = plan::start_failure(StartPart::Begin, &error);
                let text = format!("the journal cannot be written: {}", reason.text);
                Trouble::Never(Reason::new(reason.code, text))
            }
            _ => Trouble::Unwritten(error),
        })
    }

    pub(super) async fn pull(&self) -> Done {
        let host = &self.host;
        let spec = self.spec()?;
        if !host.runtime.capabilities().images {
            return Ok(Effect::Image(None));
        }
        let heard = Arc::new(Mutex::new((Instant::now(), None::<Instant>)));
        let hears = heard.clone();
        let door = self.door.clone();
        let sink = Box::new(move |progress: PullProgress| {
            let now = Instant::now();
            let mut heard = hears.lock().unwrap_or_else(PoisonError::into_inner);
            heard.0 = now;
            if heard.1.is_none_or(|told| now - told >= PROGRESS_EVERY) {
                heard.1 = Some(now);
                door.progress(progress.text);
            }
        });
        let stalled = async {
            loop {
                let last = heard.lock().unwrap_or_else(PoisonError::into_inner).0;
                let until = last + host.config.pull_stall();
                if Instant::now() >= until {
                    return;
                }
                sleep_until(until).await;
            }
        };
        let pulled = tokio::select! {
            biased;
            pulled = host.runtime.pull(&spec.image, sink) => pulled,
            () = stalled => Err(Error::new(
                ErrorKind::Timeout,
                "pull an image",
                format!("no word of {} for {:?}", spec.image, host.config.pull_stall()),
            )),
        };
        match pulled {
            Ok(image) => {
                let digest = image.digest.clone();
                drop(self.change(self.entry.memory.highest, |known| known.image_digest = digest));
                Ok(Effect::Image(Some(image)))
            }
            Err(error) => Err(trouble(StartPart::Pull, error)),
        }
    }

    pub(super) async fn prepare(&self) -> Done {
        let host = &self.host;
        let spec = self.spec()?;
        let user = container::user(spec, self.image.as_deref());
        let made = container::container(spec, self.entry.memory.highest, host.now());
        match host.call("make directories", host.runtime.prepare(&made, user)).await {
            Ok(()) => Ok(Effect::Prepared),
            // New games are refused while the disk is full; waiting would only hide it.
            Err(error) if error.kind() == ErrorKind::Busy => {
                Err(Trouble::Never(plan::start_failure(StartPart::Prepare, &error)))
            }
            Err(error) => Err(trouble(StartPart::Prepare, error)),
        }
    }

    pub(super) async fn create(&self, attempt: u32) -> Done {
        let host = &self.host;
        let made = container::container(self.spec()?, attempt, host.now());
        match host.call("create a container", host.runtime.create(&made)).await {
            Ok(()) => Ok(Effect::Created(attempt)),
            // The name is still another one's, or the image went; both may pass.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                Err(Trouble::Again(error))
            }
            Err(error) => Err(trouble(StartPart::Create, error)),
        }
    }

    pub(super) async fn start(&self, attempt: u32) -> Done {
        let host = &self.host;
        let run = self.run(attempt);
        // The console first, so that not a byte is missed; beside it the note, so that what
        // may have run is never created a second time.
        let (noted, opened) = tokio::join!(
            self.note(attempt, |known| known.stage = Stage::Starting),
            host.call("open a console", host.consoles.open(run, true)),
        );
        if opened.is_err() {
            // Nothing half open is taken for open by the next try.
            host.consoles.close(run);
        }
        noted?;
        if let Err(error) = opened {
            let best_effort = self.spec().is_ok_and(|spec| spec.console == ConsolePolicy::BestEffort);
            match error.kind() {
                ErrorKind::NotFound => return Ok(Effect::Look),
                _ if best_effort => {}
                ErrorKind::Busy => {
                    let text = format!("its console cannot be kept: {}", Chain(&error));
                    return Err(Trouble::Never(Reason::new(ReasonCode::DiskFull, text)));
                }
                _ => return Err(trouble(StartPart::Start, error)),
            }
        }
        let error = match host.call("start a container", host.runtime.start(run)).await {
            Ok(()) => return Ok(Effect::Started(attempt)),
            Err(error) => error,
        };
        // What it was is only told by what it is now: a game that has run has not failed to.
        match host.call("inspect a container", host.runtime.inspect(run)).await {
            Ok(Some(found)) if found.state == AttemptState::Created => Err(trouble(StartPart::Start, error)),
            Ok(_) => Ok(Effect::Look),
            Err(_) => Err(Trouble::Again(error)),
        }
    }
}

/// Whether waiting can help a part of a start that failed.
fn trouble(part: StartPart, error: Error) -> Trouble {
    if error.is_temporary() {
        Trouble::Again(error)
    } else {
        Trouble::Never(plan::start_failure(part, &error))
    }
}
