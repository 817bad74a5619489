//! Does single steps of plans.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout};

use super::{container, doors::Door, host::Host};
use crate::{
    error::{Chain, Error, ErrorKind, Result},
    host::{
        HostEvent,
        journal::Entry,
        plan::{self, Attempt, Cause, Ended, Stage, StartPart, Step, StopProgress},
    },
    id::{AttemptId, SessionId},
    model::{ConsoleLine, ConsolePolicy, Reason, SessionSpec, reason::ReasonCode},
    runtime::{AttemptState, Exit, ImageInfo, PullProgress},
    wire::Outcome,
};

/// The last lines of a console that an end carries, and the most bytes of one.
const LAST_LINES: (usize, usize) = (20, 500);

/// How long a command of a stop plan may wait to be written.
const SAY_WITHIN: Duration = Duration::from_secs(2);

/// What an engine needs to tell that a game is gone, beyond the grace.
const STOP_MARGIN: Duration = Duration::from_secs(20);

/// How often the progress of a pull is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What became of a step that was done.
#[derive(Debug)]
pub(super) enum Effect {
    Noted,
    Begun,
    SpecRefused,
    Image(Option<ImageInfo>),
    Prepared,
    Created(u32),
    Started(u32),
    Exited(u32, Exit),
    Removed(u32),
    NetworkGone,
    /// It is for a look to tell.
    Look,
}

/// Why a step was not done, as far as is known.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be later.
    Again(Error),
    /// It never will.
    Never(Reason),
}

/// What a step is done with.
pub(super) struct Act {
    pub host: Arc<Host>,
    pub session: SessionId,
    pub door: Arc<Door>,
    pub entry: Entry,
    pub image: Option<Arc<ImageInfo>>,
    pub seen: BTreeMap<u32, AttemptState>,
}

type Done = Result<Effect, Trouble>;

/// Does one step.
pub(super) async fn act(act: Act, step: Step) -> Done {
    match step {
        Step::FetchSpec => act.fetch_spec().await,
        Step::Begin { attempt, restarts, first } => act.begin(attempt, restarts, first).await,
        Step::Serve { attempt, restarts } => {
            act.note(attempt, |known| known.restarts = restarts).await?;
            Ok(Effect::Noted)
        }
        Step::Pull => act.pull().await,
        Step::Prepare => act.prepare().await,
        Step::Create { attempt } => act.create(attempt).await,
        Step::Start { attempt } => act.start(attempt).await,
        Step::NoteRunning { attempt, started_at } => {
            // Not waited for: lost with us, it is seen again.
            drop(act.change(attempt, |known| {
                known.stage = Stage::Running;
                known.engine_lost = false;
                known.started_at = known.started_at.or(started_at).or(Some(act.host.wall()));
            }));
            Ok(Effect::Noted)
        }
        Step::Say { attempt, line, progress } => act.say(attempt, &line, progress).await,
        Step::Signal { attempt, grace, progress } => act.signal(attempt, grace, progress).await,
        Step::Kill { attempt } => act.kill(attempt).await,
        Step::Over { attempt, cause } => act.over(attempt, cause).await,
        Step::End { attempt, cause } => act.end(attempt, cause).await,
        Step::Retire { attempt } => act.retire(attempt).await,
        Step::Remove { attempt } => act.remove(attempt).await,
        Step::RemoveNetwork => {
            let host = &act.host;
            host.call("remove a network", host.runtime.remove_network(act.session))
                .await
                .map_err(Trouble::Again)?;
            Ok(Effect::NetworkGone)
        }
        Step::Forget => {
            act.host.consoles.end(act.session).await;
            // Lost with us, it is forgotten again.
            drop(act.host.journal.forget(act.session));
            Ok(Effect::Noted)
        }
        // The actor does it itself.
        Step::Cancel => Ok(Effect::Noted),
    }
}

impl Act {
    fn run(&self, attempt: u32) -> AttemptId {
        AttemptId::new(self.session, attempt)
    }

    fn spec(&self) -> Result<&SessionSpec, Trouble> {
        self.entry.memory.spec.as_deref().ok_or_else(|| {
            Trouble::Again(Error::new(
                ErrorKind::Unexpected,
                "start a session",
                "it is not known what it runs",
            ))
        })
    }

    fn change(&self, attempt: u32, change: impl FnOnce(&mut Attempt)) -> crate::host::journal::Written {
        self.host.journal.change(self.session, |entry| {
            if let Some(known) = entry.memory.attempts.get_mut(&attempt) {
                change(known);
            }
        })
    }

    /// Changes what is remembered of an attempt, before anything is done that hangs on it.
    async fn note(&self, attempt: u32, change: impl FnOnce(&mut Attempt)) -> Result<(), Trouble> {
        self.change(attempt, change).await.map_err(Trouble::Again)
    }

    async fn fetch_spec(&self) -> Done {
        let host = &self.host;
        let me = host.me().map_err(Trouble::Again)?;
        match host.ask("ask what a session runs", host.uplink.spec(me, self.session)).await {
            Ok(spec) => {
                let spec = Arc::new(spec);
                let written = host.journal.change(self.session, |entry| entry.memory.spec = Some(spec));
                written.await.map_err(Trouble::Again)?;
                Ok(Effect::Noted)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // It has ended on record, or its deployment is gone: the next snapshot tells.
                host.snapshot.notify_one();
                match self.entry.memory.highest {
                    0 => Err(Trouble::Again(error)),
                    _ => Ok(Effect::SpecRefused),
                }
            }
            Err(error) => Err(Trouble::Again(error)),
        }
    }

    async fn begin(&self, attempt: u32, restarts: u32, first: bool) -> Done {
        if let Err(why) = self.host.policy.may_start(self.spec()?, attempt).await {
            return Err(Trouble::Never(Reason::new(ReasonCode::Denied, why)));
        }
        let written = self.host.journal.change(self.session, |entry| {
            entry.memory.attempts.insert(attempt, Attempt::begun(restarts, first));
            entry.memory.highest = attempt;
        });
        match written.await {
            Ok(()) => Ok(Effect::Begun),
            Err(error) => {
                // Not begun, then: a number that is not on the disk may be given twice.
                drop(self.host.journal.change(self.session, |entry| {
                    entry.memory.attempts.remove(&attempt);
                    entry.memory.highest = self.entry.memory.highest;
                }));
                Err(match error.kind() {
                    ErrorKind::Busy => {
                        let text = format!("the journal cannot be written: {}", Chain(&error));
                        Trouble::Never(Reason::new(ReasonCode::DiskFull, text))
                    }
                    _ => Trouble::Again(error),
                })
            }
        }
    }

    async fn pull(&self) -> Done {
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

    async fn prepare(&self) -> Done {
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

    async fn create(&self, attempt: u32) -> Done {
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

    async fn start(&self, attempt: u32) -> Done {
        let host = &self.host;
        let run = self.run(attempt);
        // The console first, so that not a byte is missed; beside it the note, so that what
        // may have run is never created a second time.
        let (noted, opened) = tokio::join!(
            self.note(attempt, |known| known.stage = Stage::Starting),
            host.consoles.open(run, true),
        );
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

    async fn say(&self, attempt: u32, line: &ConsoleLine, progress: StopProgress) -> Done {
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

    async fn signal(&self, attempt: u32, grace: Duration, progress: Option<StopProgress>) -> Done {
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

    async fn kill(&self, attempt: u32) -> Done {
        let host = &self.host;
        match host.call("kill a container", host.runtime.kill(self.run(attempt))).await {
            Ok(()) => Ok(Effect::Look),
            Err(error) => Err(Trouble::Again(error)),
        }
    }

    async fn over(&self, attempt: u32, cause: Cause) -> Done {
        self.last_lines(attempt, &cause).await;
        self.note(attempt, |known| known.stage = Stage::Over { cause, said: false }).await?;
        self.host.reports.over(&self.host, self.run(attempt));
        Ok(Effect::Noted)
    }

    async fn end(&self, attempt: u32, cause: Cause) -> Done {
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

    async fn retire(&self, attempt: u32) -> Done {
        let host = &self.host;
        match host.call("rename a container", host.runtime.retire(self.run(attempt))).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Effect::Look),
            Err(error) => return Err(Trouble::Again(error)),
        }
        drop(self.change(attempt, |known| known.retired = true));
        Ok(Effect::Noted)
    }

    async fn remove(&self, attempt: u32) -> Done {
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

/// Whether waiting can help a part of a start that failed.
fn trouble(part: StartPart, error: Error) -> Trouble {
    if error.is_temporary() {
        Trouble::Again(error)
    } else {
        Trouble::Never(plan::start_failure(part, &error))
    }
}
