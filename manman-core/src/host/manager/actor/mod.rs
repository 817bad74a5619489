//! One actor for each session: looks, plans, does one thing, and plans again.

mod listen;
mod look;
mod outcome;
mod standing;

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use self::listen::{CONSOLE, Listening};
use super::{
    acts::{self, Act, Effect, Trouble},
    doors::Door,
    host::Host,
};
use crate::{
    host::{
        journal::Entry,
        plan::{Actual, Plan, Step, Work, plan},
    },
    id::SessionId,
    retry::Backoff,
    runtime::{AttemptState, ImageInfo},
    wire::SessionReport,
};

/// How many steps may follow each other without a wait: more are a bug, and are slowed down.
const RUSH: u32 = 64;

/// Something that is being done.
type Doing = Pin<Box<dyn Future<Output = Result<Effect, Trouble>> + Send>>;

/// What drives one session.
struct Actor {
    host: Arc<Host>,
    session: SessionId,
    door: Arc<Door>,
    /// What the engine has of the session and the journal did not know was taken over.
    adopted: bool,
    seen: Option<BTreeMap<u32, AttemptState>>,
    work: Work,
    image: Option<Arc<ImageInfo>>,
    progress: Option<String>,
    backoff: Backoff,
    /// When it is to look again, if it could not.
    look_at: Option<Instant>,
    /// Since when it is stuck.
    stuck_since: Option<Instant>,
    doing: Option<Doing>,
    killing: Option<(Step, Doing)>,
    listening: Listening,
    said: Option<SessionReport>,
    /// It is on record as lost.
    lost: bool,
}

/// Drives a session until nothing of it is left.
pub(super) async fn run(host: Arc<Host>, session: SessionId, door: Arc<Door>) {
    let (backoff, listening) = (host.backoff(), Listening::new(&host));
    let actor = Actor {
        host: host.clone(),
        session,
        door,
        adopted: false,
        seen: None,
        work: Work::default(),
        image: None,
        progress: None,
        backoff,
        look_at: None,
        stuck_since: None,
        doing: None,
        killing: None,
        listening,
        said: None,
        lost: false,
    };
    actor.live().await;
    host.session_well(CONSOLE, session);
    host.doors.close(session);
    host.reports.forget(session);
}

impl Actor {
    async fn live(mut self) {
        self.look().await;
        let mut rush = 0;
        while let Some(entry) = self.host.journal.session(self.session) {
            if self.host.is_fenced() {
                // What is being done is let go of: it is somebody else's now.
                self.doing = None;
                self.killing = None;
                self.listening.pause();
                self.door.knocked().await;
                continue;
            }
            if self.host.stands_by() {
                self.stand_by().await;
                continue;
            }
            if self.is_to_look() {
                self.look().await;
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
                let steps: Vec<&str> = plan.steps.iter().map(Step::name).collect();
                tracing::warn!(session.id = %self.session, "session {} keeps changing state, next: {}",
                    self.session, steps.join(", "));
                sleep(Duration::from_secs(1)).await;
            }
            if self.rest(plan.wake_at.map(|at| self.host.instant(at))).await || rush >= RUSH {
                rush = 0;
            }
        }
    }

    fn is_to_look(&mut self) -> bool {
        let due = self.look_at.is_some_and(|at| Instant::now() >= at);
        self.door.take_look() || due || self.listening.is_due()
    }

    /// Does nothing about its game, which goes on, but read its console.
    async fn stand_by(&mut self) {
        if self.doing.take().is_some() | self.killing.take().is_some() {
            (self.work.busy, self.progress) = (None, None);
            // How far it came is for a look to tell.
            self.door.look();
        }
        if self.is_to_look() {
            self.look().await;
        } else {
            self.rest(None).await;
        }
    }

    /// Waits for what is being done, a knock, or a time. `true` if it really waited.
    async fn rest(&mut self, wake_at: Option<Instant>) -> bool {
        let wake_at = [wake_at, self.look_at, self.listening.again_at()].into_iter().flatten().min();
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
            opened = self.listening.opened() => self.listens(opened),
            () = self.door.knocked() => {}
            () = sleep => {}
        }
        Instant::now() > begun
    }

    fn plan(&self, entry: &Entry) -> Plan {
        let work = Work { time_unknown: !self.host.knows_time(), ..self.work.clone() };
        let actual = Actual { seen: self.seen.clone(), work };
        plan(&entry.desired, &actual, &entry.memory, self.host.now())
    }

    /// Begins the first step of a plan. `true` if there was one to begin.
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
                if self.killing.is_some() {
                    return false;
                }
                // Whatever is being done goes on: it fails or succeeds by the kill.
                self.work.killed_at = Some(self.host.now());
                self.killing = Some((step.clone(), self.act(step, entry)));
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
