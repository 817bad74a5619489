//! What all parts of a host manager share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

use super::{
    Job, actor, doors::Doors, engine::EngineView, place::Place, reports::Reports, time::Time,
    warnings::Warnings,
};
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
    runtime::Runtime,
    uplink::{HostIdentity, Uplink},
    watched::Watched,
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
    pub snapshots: Watched<u64>,
    /// What the control plane says of our place.
    pub place: Watched<Place>,
    time: Time,
    fenced: Watched<bool>,
    mistaken: Watched<Option<String>>,
    warnings: Warnings,
    seeds: AtomicU64,
    spawner: mpsc::UnboundedSender<Job>,
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
            engine: EngineView::default(),
            snapshot: Notify::new(),
            snapshots: Watched::new(0),
            place: Watched::new(Place::Unasked),
            time: Time::new(parts.clock),
            fenced: Watched::new(false),
            mistaken: Watched::new(None),
            warnings: Warnings::default(),
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
        self.time.now()
    }

    /// Whether that is the control plane's time, and not only what this machine takes for it.
    pub fn knows_time(&self) -> bool {
        self.time.is_known()
    }

    /// The wall time, for stamps.
    pub fn wall(&self) -> Timestamp {
        self.time.wall()
    }

    /// When a moment by which plans are made comes.
    pub fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.now())
    }

    /// The control plane said what time it is by its clock, at the moment `asked` at the
    /// earliest, and now at the latest.
    pub fn told_time(&self, told: Timestamp, asked: Instant) {
        // One that does not tell its time is believed to have ours.
        if told == Timestamp::default() {
            return self.time.untold();
        }
        self.time.told(told, asked);
        let (by, ahead) = self.time.wrong();
        if by > CLOCK_OFF {
            let side = if ahead { "ahead of" } else { "behind" };
            let message =
                format!("the clock of this machine is {} s {side} the control plane's", by.as_secs());
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

    /// Asks the control plane as `me`, and notices when it has given our place to somebody
    /// else.
    pub async fn ask<T>(
        &self,
        name: &'static str,
        me: HostIdentity,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = self.call(name, call).await;
        if let Err(error) = &result
            && error.kind() == ErrorKind::Fenced
            // A registration of our own whose answer got lost fences us as well, until the
            // next one is answered.
            && self.is_registered()
            && self.identity().is_some_and(|identity| identity.epoch == me.epoch)
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
        if !self.fenced.replace(true) {
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
        *self.fenced.look()
    }

    /// Resolves when somebody else has taken our place.
    pub async fn fenced(&self) {
        // The sender is ours, so it is there.
        let _ = self.fenced.watch().until(|fenced| *fenced).await;
    }

    /// The control plane takes us for somebody else.
    pub fn mistake(&self, message: String) {
        self.mistaken.replace(Some(message));
    }

    /// Resolves when it does.
    pub async fn mistaken(&self) -> Error {
        let mut mistaken = self.mistaken.watch();
        let message = match mistaken.until(Option::is_some).await {
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

    /// Whether this was not said before.
    pub fn is_news(&self, message: &str) -> bool {
        self.warnings.is_new(message)
    }

    /// As [`Host::warn`], but the same message only once.
    pub fn warn_once(&self, topic: &'static str, message: String) {
        if self.is_news(&message) {
            self.warn(topic, message);
        }
    }

    /// Something is wrong until [`Host::well`] says otherwise: said once, and again when it is
    /// something else, and shown in beats.
    pub fn condition(&self, topic: &'static str, message: String) {
        if self.warnings.begin((None, topic), message.clone()) {
            self.warn(topic, message);
        }
    }

    pub fn well(&self, topic: &'static str) {
        self.warnings.end((None, topic));
    }

    /// As [`Host::condition`], of one session.
    pub fn session_condition(&self, topic: &'static str, session: SessionId, message: String) {
        if self.warnings.begin((Some(session), topic), message.clone()) {
            self.warn(topic, message);
        }
    }

    pub fn session_well(&self, topic: &'static str, session: SessionId) {
        self.warnings.end((Some(session), topic));
    }

    /// What is wrong now, for people.
    pub fn conditions(&self) -> Vec<String> {
        self.warnings.now()
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
