//! What all parts of a host manager share.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout},
};

use super::{Job, actor, doors::Doors, reports::Reports};
use crate::{
    broker::Broker,
    clock::{Clock, Timestamp},
    error::{Chain, Error, ErrorKind, Result},
    host::{
        HostConfig, HostEvent, StartPolicy,
        console::Consoles,
        event::Events,
        journal::{Identity, Journal},
        spool::Spool,
    },
    id::SessionId,
    retry::Backoff,
    runtime::{EngineInfo, Inventory, Runtime},
    uplink::{HostIdentity, Uplink},
};

/// Beyond this a machine's clock is said to be wrong.
const CLOCK_OFF: Duration = Duration::from_secs(5);

/// What a [`Host`] is made from.
pub(super) struct Parts {
    pub runtime: Arc<dyn Runtime>,
    pub broker: Arc<dyn Broker>,
    pub uplink: Arc<dyn Uplink>,
    pub clock: Arc<dyn Clock>,
    pub journal: Journal,
    pub spool: Arc<dyn Spool>,
    pub policy: Arc<dyn StartPolicy>,
    pub seed: u64,
    pub config: HostConfig,
    pub spawner: mpsc::UnboundedSender<Job>,
}

/// What all parts of a host manager share.
pub(super) struct Host {
    pub runtime: Arc<dyn Runtime>,
    pub broker: Arc<dyn Broker>,
    pub uplink: Arc<dyn Uplink>,
    pub journal: Journal,
    pub consoles: Consoles,
    pub policy: Arc<dyn StartPolicy>,
    pub config: HostConfig,
    pub events: Events,
    pub doors: Doors,
    pub reports: Reports,
    pub engine: EngineView,
    /// Asks the link for a snapshot.
    pub snapshot: Notify,
    /// Counts the snapshots that were noted, for those who wait for the next one.
    pub snapshots: watch::Sender<u64>,
    /// Whether the control plane has heard of us since we began.
    pub registered: watch::Sender<bool>,
    clock: Time,
    fenced: watch::Sender<bool>,
    mistaken: watch::Sender<Option<String>>,
    warnings: Mutex<Warnings>,
    seeds: AtomicU64,
    spawner: mpsc::UnboundedSender<Job>,
}

/// What is known of the engine.
pub(super) struct EngineView {
    /// Whether it answers; `None` before it was asked.
    pub answers: watch::Sender<Option<bool>>,
    /// All that was there when it was last listed.
    pub inventory: watch::Sender<Option<(Arc<Inventory>, Instant)>>,
    /// What it said of itself last.
    pub info: Mutex<Option<EngineInfo>>,
    /// Asks the watch to look at everything now.
    pub look: Notify,
    /// Counts how often attempts were marked as lost with the engine.
    pub marks: AtomicU64,
    /// It was not there since it was last asked who it is.
    gone: AtomicBool,
}

impl EngineView {
    /// It is not there.
    pub fn gone(&self) {
        self.gone.store(true, SeqCst);
    }

    /// Whether it was not there since this was last asked.
    pub fn was_gone(&self) -> bool {
        self.gone.swap(false, SeqCst)
    }

    /// Whether it answers, as far as is known.
    pub fn is_answering(&self) -> bool {
        *self.answers.borrow() == Some(true)
    }
}

#[derive(Default)]
struct Warnings {
    /// What is wrong now, by topic.
    now: BTreeMap<&'static str, String>,
    /// What was said once and need not be said again.
    said: BTreeSet<String>,
}

/// The time by which plans are made: it neither jumps nor stands still while we live, and
/// it is the control plane's as far as that is known.
struct Time {
    wall: Arc<dyn Clock>,
    base: Timestamp,
    start: Instant,
    /// Microseconds by which the control plane's clock is ahead.
    ahead: AtomicI64,
}

impl Time {
    fn local(&self) -> Timestamp {
        self.base.plus(self.start.elapsed())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.local().as_micros().saturating_add(self.ahead.load(SeqCst)))
    }
}

impl Host {
    pub fn new(parts: Parts) -> Arc<Self> {
        let doors = Doors::default();
        let hints = doors.clone();
        let hint = Box::new(move |run: crate::id::AttemptId| {
            if let Some(door) = hints.of(run.session) {
                door.look();
            }
        });
        let consoles = Consoles::new(
            parts.runtime.clone(),
            parts.spool,
            parts.clock.clone(),
            parts.config.console.clone(),
            hint,
        );
        Arc::new(Self {
            runtime: parts.runtime,
            broker: parts.broker,
            uplink: parts.uplink,
            journal: parts.journal,
            consoles,
            policy: parts.policy,
            config: parts.config,
            events: Events::new(),
            doors,
            reports: Reports::default(),
            engine: EngineView {
                answers: watch::Sender::new(None),
                inventory: watch::Sender::new(None),
                info: Mutex::default(),
                look: Notify::new(),
                marks: AtomicU64::new(0),
                gone: AtomicBool::new(false),
            },
            snapshot: Notify::new(),
            snapshots: watch::Sender::new(0),
            registered: watch::Sender::new(false),
            clock: Time {
                base: parts.clock.now(),
                wall: parts.clock,
                start: Instant::now(),
                ahead: AtomicI64::new(0),
            },
            fenced: watch::Sender::new(false),
            mistaken: watch::Sender::new(None),
            warnings: Mutex::default(),
            seeds: AtomicU64::new(parts.seed),
            spawner: parts.spawner,
        })
    }

    /// Takes up everything that the journal knows.
    pub fn resume(self: &Arc<Self>) {
        let sessions: Vec<SessionId> = self.journal.look(|state| state.sessions.keys().copied().collect());
        for session in sessions {
            self.attend(session);
        }
        self.reports.resume(&self.journal);
    }

    /// Sees to it that a session has an actor.
    pub fn attend(self: &Arc<Self>, session: SessionId) {
        if let Some(door) = self.doors.build(session) {
            self.spawn(actor::run(self.clone(), session, door));
        }
    }

    pub fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        // A manager that is gone does nothing more.
        let _ = self.spawner.send(Box::pin(job));
    }

    /// The time by which plans are made.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The wall time, for stamps.
    pub fn wall(&self) -> Timestamp {
        self.clock.wall.now()
    }

    /// When a moment by which plans are made comes.
    pub fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.now())
    }

    /// The control plane said what time it is by its clock, at the moment `asked` at the
    /// earliest, and now at the latest.
    pub fn told_time(&self, told: Timestamp, asked: Instant) {
        if told == Timestamp::default() {
            return;
        }
        let middle = self.clock.local().minus(asked.elapsed() / 2);
        let ahead = told.as_micros().saturating_sub(middle.as_micros());
        let unsure = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX).max(1_000_000);
        // Small differences are those of the way there and back.
        if (ahead - self.clock.ahead.load(SeqCst)).abs() > unsure {
            self.clock.ahead.store(ahead, SeqCst);
        }
        let wrong = self.wall().as_micros().saturating_sub(self.now().as_micros());
        let size = Duration::from_micros(wrong.unsigned_abs());
        if size > CLOCK_OFF {
            let side = if wrong > 0 { "ahead of" } else { "behind" };
            let message =
                format!("the clock of this machine is {} s {side} the control plane's", size.as_secs());
            self.condition("clock", message);
        } else {
            self.well("clock");
        }
    }

    /// Waits between tries.
    pub fn backoff(&self) -> Backoff {
        self.config.backoff(self.random())
    }

    pub fn random(&self) -> u64 {
        // Weyl's sequence: distinct seeds that follow from the first one.
        self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst)
    }

    /// A duration, up to a tenth more or less.
    pub fn about(&self, whole: Duration) -> Duration {
        whole.mul_f64(0.9 + fastrand::Rng::with_seed(self.random()).f64() * 0.2)
    }

    /// A call that answers in time, or is given up.
    pub async fn call<T>(&self, name: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.call_within(name, self.config.call(), call).await
    }

    /// As [`Host::call`], with a time of its own.
    pub async fn call_within<T>(
        &self,
        name: &'static str,
        within: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        timeout(within, call).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, name, format!("no answer within {within:?}")))
        })
    }

    /// Asks the control plane, and notices when it has given our place to somebody else.
    pub async fn ask<T>(&self, name: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let result = self.call(name, call).await;
        if let Err(error) = &result
            && error.kind() == ErrorKind::Fenced
        {
            self.fence(error);
        }
        result
    }

    pub fn identity(&self) -> Option<Identity> {
        self.journal.look(|state| state.identity)
    }

    /// Who we are in calls to the control plane.
    pub fn me(&self) -> Result<HostIdentity> {
        match self.identity() {
            Some(identity) => Ok(identity.host()),
            None => Err(Error::new(
                ErrorKind::Unavailable,
                "ask the control plane",
                "this host is not registered yet",
            )),
        }
    }

    fn fence(&self, error: &Error) {
        if !self.fenced.send_replace(true) {
            self.condition(
                "fenced",
                format!("another host manager has taken this one's place: {}", Chain(error)),
            );
            self.events.tell(HostEvent::Fenced);
            for (_, door) in self.doors.all() {
                door.knock();
            }
        }
    }

    /// Whether somebody else has taken our place: nothing is touched any more.
    pub fn is_fenced(&self) -> bool {
        *self.fenced.borrow()
    }

    /// Resolves when somebody else has taken our place.
    pub async fn fenced(&self) {
        // The sender is ours, so it is there.
        let _ = self.fenced.subscribe().wait_for(|fenced| *fenced).await;
    }

    /// The control plane takes us for somebody else.
    pub fn mistake(&self, message: String) {
        self.mistaken.send_replace(Some(message));
    }

    /// Resolves when it does.
    pub async fn mistaken(&self) -> Error {
        let mut mistaken = self.mistaken.subscribe();
        let message = match mistaken.wait_for(Option::is_some).await {
            Ok(message) => message.clone().unwrap_or_default(),
            Err(_) => String::new(),
        };
        Error::new(ErrorKind::Conflict, "register", message)
    }

    /// Says something that an operator should know, now.
    pub fn warn(&self, topic: &'static str, message: String) {
        tracing::warn!("{topic}: {message}");
        self.events.tell(HostEvent::Warning(message));
    }

    /// As [`Host::warn`], but the same message only once.
    pub fn warn_once(&self, topic: &'static str, message: String) {
        let new = self.warnings().said.insert(message.clone());
        if new {
            self.warn(topic, message);
        }
    }

    /// Something is wrong until [`Host::well`] says otherwise: said once, and shown in beats.
    pub fn condition(&self, topic: &'static str, message: String) {
        let before = self.warnings().now.insert(topic, message.clone());
        if before.is_none() {
            self.warn(topic, message);
        }
    }

    pub fn well(&self, topic: &'static str) {
        self.warnings().now.remove(topic);
    }

    /// What is wrong now, for people.
    pub fn conditions(&self) -> Vec<String> {
        self.warnings().now.values().cloned().collect()
    }

    fn warnings(&self) -> MutexGuard<'_, Warnings> {
        // Whole between any two statements.
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("runtime", &self.runtime)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}
