//! One actor for each session: looks, plans, does one thing, and plans again.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    acts::{self, Act, Effect, Trouble},
    doors::Door,
    host::Host,
    watch,
};
use crate::{
    error::{Chain, Error, ErrorKind, Result},
    host::{
        HostEvent,
        journal::Entry,
        plan::{self, Actual, Attempt, Plan, Stage, StartPart, Step, Work, plan},
    },
    id::{AttemptId, SessionId},
    model::{Phase, Reason, Want, reason::ReasonCode},
    retry::Backoff,
    runtime::{AttemptState, ImageInfo},
    wire::SessionReport,
};

/// How many steps may follow each other without a wait: more are a bug, and are slowed down.
const RUSH: u32 = 64;

/// How old a list of all containers may be to spare a first look of one's own.
const LIST_GOOD_FOR: Duration = Duration::from_secs(1);

/// Something that is being done.
type Doing = Pin<Box<dyn Future<Output = Result<Effect, Trouble>> + Send>>;

/// What drives one session.
struct Actor {
    host: Arc<Host>,
    session: SessionId,
    door: Arc<Door>,
    seen: Option<BTreeMap<u32, AttemptState>>,
    work: Work,
    image: Option<Arc<ImageInfo>>,
    progress: Option<String>,
    backoff: Backoff,
    /// When it is to look again, if it could not.
    look_at: Option<Instant>,
    /// Since when the start does not come on.
    stuck_since: Option<Instant>,
    doing: Option<Doing>,
    killing: Option<(Step, Doing)>,
    said: Option<SessionReport>,
    /// It is on record as lost.
    lost: bool,
    warned: bool,
}

/// Drives a session until nothing of it is left.
pub(super) async fn run(host: Arc<Host>, session: SessionId, door: Arc<Door>) {
    let backoff = host.backoff();
    let actor = Actor {
        host: host.clone(),
        session,
        door,
        seen: None,
        work: Work::default(),
        image: None,
        progress: None,
        backoff,
        look_at: None,
        stuck_since: None,
        doing: None,
        killing: None,
        said: None,
        lost: false,
        warned: false,
    };
    actor.live().await;
    host.doors.close(session);
    host.reports.forget(session);
}

impl Actor {
    async fn live(mut self) {
        let listed = self.adopt().await;
        if let Some(entry) = self.host.journal.session(self.session) {
            self.look(&entry, listed).await;
        }
        let mut rush = 0;
        while let Some(entry) = self.host.journal.session(self.session) {
            if self.host.is_fenced() {
                // What is being done is let go of: it is somebody else's now.
                self.doing = None;
                self.killing = None;
                self.door.knocked().await;
                continue;
            }
            let look_due = self.look_at.is_some_and(|at| Instant::now() >= at);
            if self.door.take_look() || look_due {
                self.look(&entry, None).await;
                continue;
            }
            if let Some(progress) = self.door.take_progress() {
                self.progress = Some(progress);
            }
            let again = self.door.take_say();
            self.lost = again.unwrap_or_default();
            self.say(&entry, again.is_some());
            let plan = self.plan(&entry);
            let acting = self.follow(&plan, &entry);
            if acting {
                rush += 1;
            }
            if acting && rush < RUSH && self.doing.is_none() {
                continue;
            }
            if rush >= RUSH {
                tracing::warn!(session.id = %self.session, "session {} does not come to rest: {:?}",
                    self.session, plan.steps);
                sleep(Duration::from_secs(1)).await;
            }
            if self.rest(plan.wake_at.map(|at| self.host.instant(at))).await || rush >= RUSH {
                rush = 0;
            }
        }
    }

    /// Waits for what is being done, a knock, or a time. `true` if it really waited.
    async fn rest(&mut self, wake_at: Option<Instant>) -> bool {
        let wake_at = [wake_at, self.look_at].into_iter().flatten().min();
        let begun = Instant::now();
        let sleep = async {
            match wake_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            (step, done) = finished(&mut self.killing) => {
                self.killing = None;
                self.take(&step, done);
            }
            done = finish(&mut self.doing) => {
                self.doing = None;
                if let Some(step) = self.work.busy.take() {
                    self.take(&step, done);
                }
            }
            () = self.door.knocked() => {}
            () = sleep => {}
        }
        Instant::now() > begun
    }

    fn plan(&self, entry: &Entry) -> Plan {
        let actual = Actual { seen: self.seen.clone(), work: self.work.clone() };
        plan(&entry.desired, &actual, &entry.memory, self.host.now())
    }

    /// Begins the first step of a plan. `true` if there was one.
    fn follow(&mut self, plan: &Plan, entry: &Entry) -> bool {
        let Some(step) = plan.steps.first() else { return false };
        match step {
            Step::Cancel => {
                self.doing = None;
                self.work.busy = None;
                self.progress = None;
                // Whether it was done all the same is for the next look to tell.
                self.door.look();
            }
            Step::Kill { .. } => {
                // Whatever is being done goes on: it fails or succeeds by the kill.
                if self.killing.is_none() {
                    self.work.killed_at = Some(self.host.now());
                    self.killing = Some((step.clone(), self.act(step, entry)));
                }
            }
            step => {
                self.doing = Some(self.act(step, entry));
                self.work.busy = Some(step.clone());
                // It is said what is begun before it is done.
                self.say(entry, false);
            }
        }
        true
    }

    fn act(&self, step: &Step, entry: &Entry) -> Doing {
        let act = Act {
            host: self.host.clone(),
            session: self.session,
            door: self.door.clone(),
            entry: entry.clone(),
            image: self.image.clone(),
            seen: self.seen.clone().unwrap_or_default(),
        };
        let step = step.clone();
        Box::pin(async move { acts::act(act, step).await })
    }

    /// Takes in what became of a step.
    fn take(&mut self, step: &Step, done: Result<Effect, Trouble>) {
        match done {
            Ok(effect) => {
                self.backoff.reset();
                self.work.held = None;
                self.stuck_since = None;
                self.effect(effect);
            }
            Err(Trouble::Never(reason)) => self.work.failure = Some(reason),
            Err(Trouble::Again(error)) => self.again(step, &error),
        }
        self.progress = None;
    }

    fn effect(&mut self, effect: Effect) {
        let mut see = |attempt: u32, state: Option<AttemptState>| {
            if let Some(seen) = &mut self.seen {
                match state {
                    Some(state) => drop(seen.insert(attempt, state)),
                    None => drop(seen.remove(&attempt)),
                }
                self.door.saw(seen);
            }
        };
        match effect {
            Effect::Noted => {}
            Effect::Begun => {
                self.work = Work { begun: true, ..Work::default() };
                self.image = None;
            }
            Effect::SpecRefused => self.work.spec_refused = true,
            Effect::Image(image) => {
                self.work.image = true;
                self.image = image.map(Arc::new);
            }
            Effect::Prepared => self.work.prepared = true,
            Effect::Created(attempt) => see(attempt, Some(AttemptState::Created)),
            Effect::Started(attempt) => {
                let started_at = Some(self.host.wall());
                see(attempt, Some(AttemptState::Running { started_at, pid: None, paused: false }));
            }
            Effect::Exited(attempt, exit) => see(attempt, Some(AttemptState::Exited(exit))),
            Effect::Removed(attempt) => see(attempt, None),
            Effect::NetworkGone => self.work.network_gone = true,
            Effect::Look => self.door.look(),
        }
    }

    /// A step failed in a way that may pass.
    fn again(&mut self, step: &Step, error: &Error) {
        let wait = self.backoff.delay();
        let first = self.work.held.is_none();
        self.work.held = Some((step.clone(), self.host.now().plus(wait)));
        // What it did all the same is for a look to tell.
        self.door.look();
        if !self.host.engine.is_answering() {
            // That is said by the watch, and no fault of the start.
            self.stuck_since = None;
            return;
        }
        if first {
            tracing::warn!(session.id = %self.session, error = %Chain(error),
                "session {}: {step:?} failed, will retry in {wait:?}", self.session);
        }
        let part = match step {
            Step::Pull => StartPart::Pull,
            Step::Prepare => StartPart::Prepare,
            Step::Create { .. } => StartPart::Create,
            Step::Start { .. } => StartPart::Start,
            _ => return,
        };
        if part == StartPart::Create && error.kind() == ErrorKind::NotFound {
            // The image was here, and is not any more.
            self.work.image = false;
        }
        let since = *self.stuck_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.host.config.start_patience() {
            self.work.failure = Some(plan::start_failure(part, error));
        }
    }

    /// Takes over what the engine has of the session and the journal does not know, and
    /// tells all that it has, if that is not old yet.
    async fn adopt(&mut self) -> Option<BTreeMap<u32, AttemptState>> {
        let mut inventory = self.host.engine.inventory.subscribe();
        let (inventory, listed_at) = inventory.wait_for(Option::is_some).await.ok()?.clone()?;
        let mut listed = BTreeMap::new();
        for found in inventory.found.iter().filter(|found| found.run.session == self.session) {
            listed.insert(found.run.attempt, found.state.clone());
        }
        // Lost again, it is found again.
        drop(self.host.journal.change(self.session, |entry| {
            let restarts = match entry.desired.want {
                Want::Run { restarts } => restarts,
                Want::Stop(_) => 0,
            };
            for &attempt in listed.keys() {
                entry.memory.attempts.entry(attempt).or_insert_with(|| Attempt::found(restarts));
                entry.memory.highest = entry.memory.highest.max(attempt);
            }
        }));
        (listed_at.elapsed() < LIST_GOOD_FOR).then_some(listed)
    }

    /// Looks at all containers that the session may have, or takes what was `listed` just now.
    async fn look(&mut self, entry: &Entry, listed: Option<BTreeMap<u32, AttemptState>>) {
        self.look_at = None;
        let marks = self.host.engine.marks.load(SeqCst);
        let seen = match listed {
            Some(listed) => listed,
            None => match inspect(&self.host, self.session, entry).await {
                Ok(seen) => seen,
                Err(error) => return self.look_later(&error),
            },
        };
        if ended_unasked(entry, &seen)
            && let Err(error) = watch::check(&self.host).await
        {
            // An engine that goes down takes its games along, and then this is no end of its own.
            return self.look_later(&error);
        }
        if marks != self.host.engine.marks.load(SeqCst) {
            // It was restarted between: what was seen may be from before.
            return self.door.look();
        }
        self.door.saw(&seen);
        self.listen(entry, &seen).await;
        self.seen = Some(seen);
    }

    fn look_later(&mut self, error: &Error) {
        self.seen = None;
        self.look_at = Some(Instant::now() + self.backoff.delay());
        if self.host.engine.is_answering() {
            // The watch finds out whether it is the engine.
            self.host.engine.look.notify_one();
            if error.kind() == ErrorKind::Unavailable {
                self.host.engine.gone();
            }
        }
    }

    /// Opens the consoles of what has something to show.
    async fn listen(&mut self, entry: &Entry, seen: &BTreeMap<u32, AttemptState>) {
        for (&attempt, state) in seen {
            let run = AttemptId::new(self.session, attempt);
            let shows = matches!(state, AttemptState::Running { .. } | AttemptState::Exited(_));
            let over = entry.memory.end.as_ref().is_some_and(|end| end.receipted);
            if !shows || over || self.host.consoles.get(run).is_some() {
                continue;
            }
            if let Err(error) = self.host.consoles.open(run, false).await
                && !std::mem::replace(&mut self.warned, true)
            {
                self.host.warn(
                    "console",
                    format!("the console of session {} cannot be kept: {}", self.session, Chain(&error)),
                );
            }
        }
    }

    /// Says where the session is, if that is news.
    fn say(&mut self, entry: &Entry, again: bool) {
        let Some(report) = self.standing(entry) else { return };
        let known = !again && self.said.as_ref() == Some(&report);
        if known || self.host.is_fenced() {
            return;
        }
        if self.said.as_ref() != Some(&report) {
            self.host.events.tell(HostEvent::Session(report.clone()));
        }
        self.said = Some(report.clone());
        self.host.reports.latest(report);
    }

    /// Where the session is, while it goes on.
    fn standing(&self, entry: &Entry) -> Option<SessionReport> {
        let memory = &entry.memory;
        let (number, attempt) = memory.current()?;
        let wanted = matches!(memory.want(&entry.desired), Want::Run { .. });
        // One that is being stopped is only spoken of where it is taken for lost.
        if memory.end.is_some() || memory.disowned || !(wanted || self.lost) {
            return None;
        }
        match &attempt.stage {
            Stage::Running => Some(SessionReport::Running {
                session: self.session,
                attempt: number,
                started_at: attempt.started_at.unwrap_or_default(),
                image_digest: attempt.image_digest.clone(),
            }),
            // One that is seen to run, or to have run, is not starting, whatever was noted.
            Stage::Begun | Stage::Starting => match &self.seen {
                Some(seen) => {
                    let unstarted = matches!(seen.get(&number), None | Some(AttemptState::Created));
                    unstarted.then(|| self.starting(number))
                }
                None => self.work.begun.then(|| self.starting(number)),
            },
            Stage::Over { .. } => None,
        }
    }

    fn starting(&self, attempt: u32) -> SessionReport {
        let waits = self.work.held.is_some() && !self.host.engine.is_answering();
        let text = "waits for the engine, which does not answer";
        SessionReport::Phase {
            session: self.session,
            attempt,
            phase: self.phase(),
            progress: self.progress.clone(),
            reason: waits.then(|| Reason::new(ReasonCode::EngineRefused, text)),
        }
    }

    fn phase(&self) -> Phase {
        let step = self.work.busy.as_ref().or(self.work.held.as_ref().map(|(step, _)| step));
        match step {
            Some(Step::Pull) => Phase::Pulling,
            Some(Step::Prepare) => Phase::Preparing,
            Some(Step::Create { .. }) => Phase::Creating,
            Some(Step::Start { .. } | Step::NoteRunning { .. }) => Phase::Booting,
            _ => Phase::Accepted,
        }
    }
}

/// Whether a game is seen to have ended that nobody had asked to.
fn ended_unasked(entry: &Entry, seen: &BTreeMap<u32, AttemptState>) -> bool {
    let memory = &entry.memory;
    let Some((number, attempt)) = memory.current() else { return false };
    let asked = attempt.stop.is_some() || matches!(memory.want(&entry.desired), Want::Stop(_));
    let ran = matches!(attempt.stage, Stage::Starting | Stage::Running);
    let ended = !matches!(seen.get(&number), Some(AttemptState::Running { .. } | AttemptState::Created));
    memory.end.is_none() && ran && ended && !asked
}

async fn finish(doing: &mut Option<Doing>) -> Result<Effect, Trouble> {
    match doing {
        Some(doing) => doing.await,
        None => std::future::pending().await,
    }
}

async fn finished(killing: &mut Option<(Step, Doing)>) -> (Step, Result<Effect, Trouble>) {
    match killing {
        Some((step, doing)) => {
            let done = doing.await;
            (step.clone(), done)
        }
        None => std::future::pending().await,
    }
}

/// What there is of a session, attempt by attempt.
async fn inspect(host: &Host, session: SessionId, entry: &Entry) -> Result<BTreeMap<u32, AttemptState>> {
    let mut seen = BTreeMap::new();
    for &attempt in entry.memory.attempts.keys() {
        let run = AttemptId::new(session, attempt);
        let found = host.call("inspect a container", host.runtime.inspect(run)).await?;
        seen.extend(found.map(|found| (attempt, found.state)));
    }
    Ok(seen)
}
