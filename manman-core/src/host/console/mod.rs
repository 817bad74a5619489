//! Consoles of the running games: from the runtime to the spool, and then to whoever
//! watches.
//!
//! Each attempt has a task that takes what its runtime shows, gives it numbers, has it
//! kept by the [spool](super::spool) and only then shows it. That task waits for
//! nobody: a viewer reads at its own pace from what is kept, and a disk that stalls or
//! is full lets output through unkept, to be kept later or to be a gap on record.

mod attempt;
mod config;
mod handle;
mod input;
mod recorder;
mod retention;
mod ring;
mod view;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

pub use config::ConsoleConfig;
pub use handle::ConsoleHandle;

use attempt::Attempt;
use recorder::Recorder;
use retention::Ends;
pub(super) use view::{Step, Walk};

use super::spool::Spool;
use crate::{
    clock::{Clock, Timestamp},
    error::Result,
    id::{AttemptId, SessionId},
    runtime::Runtime,
};

/// Called with an attempt whose output ended or broke: a hint to inspect it now.
pub type EndHint = Box<dyn Fn(AttemptId) + Send + Sync>;

/// The consoles of one host manager. Clones are the same; with the last one gone the
/// consoles are let go, which no game notices.
#[derive(Clone)]
pub struct Consoles {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Arc<dyn Runtime>,
    spool: Arc<dyn Spool>,
    clock: Arc<dyn Clock>,
    config: ConsoleConfig,
    hint: Arc<EndHint>,
    sessions: Mutex<BTreeMap<SessionId, Live>>,
    /// Who takes a session up, or ends it, is alone with it.
    gates: Gates,
    ends: Mutex<Ends>,
}

/// A gate for each session that is being opened or ended, so that it has one keeper, none after
/// its end, and waits for no other session's disk.
#[derive(Debug, Default)]
struct Gates(Mutex<BTreeMap<SessionId, Weak<tokio::sync::Mutex<()>>>>);

impl Gates {
    fn of(&self, session: SessionId) -> Arc<tokio::sync::Mutex<()>> {
        // Whole between any two statements.
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| gate.strong_count() > 0);
        if let Some(gate) = gates.get(&session).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::default();
        gates.insert(session, Arc::downgrade(&gate));
        gate
    }
}

/// A session that is being recorded, and its attempts.
#[derive(Debug)]
struct Live {
    recorder: Arc<Recorder>,
    attempts: BTreeMap<u32, Arc<Attempt>>,
}

impl Live {
    /// Reads no more, and has what was read kept as far as the disk takes it.
    async fn close(&self) {
        self.attempts.values().for_each(|attempt| attempt.close());
        self.recorder.settle().await;
        self.recorder.release();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for live in self.sessions.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            live.attempts.values().for_each(|attempt| attempt.close());
            live.recorder.release();
        }
    }
}

impl Consoles {
    /// Consoles of what `runtime` runs, kept in `spool`; `hint` is called when output ends.
    pub fn new(
        runtime: Arc<dyn Runtime>,
        spool: Arc<dyn Spool>,
        clock: Arc<dyn Clock>,
        config: ConsoleConfig,
        hint: EndHint,
    ) -> Self {
        let ends = Mutex::new(Ends::new(clock.now()));
        let inner = Inner {
            runtime,
            spool,
            clock,
            config,
            hint: Arc::new(hint),
            sessions: Mutex::default(),
            gates: Gates::default(),
            ends,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Opens the console of an attempt where it was left, or from its beginning, and
    /// keeps it open until all is shown, whatever breaks. One that is open is given again.
    ///
    /// With `before_start` it returns when the runtime has opened it, so that a start
    /// after it shows every byte as it comes; else at once, and the opening is tried until it
    /// works.
    ///
    /// # Errors
    /// What the spool says: `Busy` if the disk is full. With `before_start`, what the
    /// runtime says; the console is closed then.
    pub async fn open(&self, run: AttemptId, before_start: bool) -> Result<ConsoleHandle> {
        let recorder = self.record(run.session).await?;
        let attempt = {
            let mut sessions = self.sessions();
            let live = sessions
                .entry(run.session)
                .or_insert_with(|| Live { recorder: recorder.clone(), attempts: BTreeMap::new() });
            let new = || {
                let (runtime, hint) = (self.inner.runtime.clone(), self.inner.hint.clone());
                Attempt::begin(runtime, live.recorder.clone(), run, hint, before_start)
            };
            live.attempts.entry(run.attempt).or_insert_with(new).clone()
        };
        if before_start && let Err(error) = attempt.opened().await {
            self.close(run);
            return Err(error);
        }
        Ok(ConsoleHandle::of(attempt))
    }

    /// The console of an attempt, if it is open or was drained.
    pub fn get(&self, run: AttemptId) -> Option<ConsoleHandle> {
        let sessions = self.sessions();
        let attempt = sessions.get(&run.session)?.attempts.get(&run.attempt)?.clone();
        Some(ConsoleHandle::of(attempt))
    }

    /// Lets go of the console of one attempt; what was shown stays.
    pub fn close(&self, run: AttemptId) {
        let mut sessions = self.sessions();
        let attempt = sessions.get_mut(&run.session).and_then(|live| live.attempts.remove(&run.attempt));
        if let Some(attempt) = attempt {
            attempt.close();
        }
    }

    /// The container of an attempt is gone, and not all that it printed was read: that is put on
    /// record as a gap.
    ///
    /// # Errors
    /// What the spool says.
    pub(super) async fn miss(&self, run: AttemptId, reason: &str) -> Result<()> {
        self.record(run.session).await?.push_gap_here(run.attempt, reason).await;
        Ok(())
    }

    /// A session has ended for good: its consoles are closed, those who follow it come to
    /// their end, and what is kept can be seen until [`Consoles::sweep`] removes it.
    ///
    /// To be called after [`ConsoleHandle::drained`]; what comes later is lost.
    ///
    /// # Errors
    /// What the spool says: the end is not noted, and whoever begins to follow the session
    /// from now on waits until another call of this has noted it.
    pub async fn end(&self, session: SessionId) -> Result<()> {
        let gate = self.inner.gates.of(session);
        // Whoever comes to follow it meanwhile waits, and sees it ended.
        let _alone = gate.lock().await;
        let live = self.sessions().remove(&session);
        if let Some(live) = live {
            live.close().await;
            live.recorder.end();
        }
        let (spool, now) = (self.inner.spool.clone(), self.inner.clock.now());
        let note = move || {
            let first = spool.ended(session)?.is_none();
            spool.end(session, now)?;
            Ok(first)
        };
        if recorder::off(&*self.inner.spool, note).await? {
            self.ends().ended(session);
        }
        Ok(())
    }

    /// Removes the consoles of sessions that ended too long ago, and of those that ended
    /// first while all take too much. To be called now and then, after recovery.
    ///
    /// A clock that is put right meanwhile makes nothing older than it was seen to become.
    ///
    /// # Errors
    /// What the spool says.
    pub async fn sweep(&self) -> Result<Vec<SessionId>> {
        self.sweep_by(self.inner.clock.now()).await
    }

    /// As [`Consoles::sweep`], for whoever was told what time it is: what is too old has to be
    /// that by this time too.
    pub(super) async fn sweep_by(&self, told: Timestamp) -> Result<Vec<SessionId>> {
        let live: Vec<SessionId> = self.sessions().keys().copied().collect();
        let age = self.ends().age(self.inner.clock.now(), told);
        let (spool, keep) = (self.inner.spool.clone(), self.inner.config.spool.clone());
        let removed =
            recorder::off(&*self.inner.spool, move || retention::sweep(&*spool, &keep, &live, &age)).await?;
        self.ends().forget(&removed);
        Ok(removed)
    }

    /// What is wrong with keeping consoles, for people; empty as a rule.
    pub fn warnings(&self) -> Vec<String> {
        self.sessions().values().filter_map(|live| live.recorder.warning()).collect()
    }

    /// Waits until all that was shown is kept, as far as the disk takes it, and lets go of
    /// every console.
    pub async fn shut_down(&self) {
        let live: Vec<Live> = std::mem::take(&mut *self.sessions()).into_values().collect();
        futures::future::join_all(live.iter().map(Live::close)).await;
    }

    /// The recorder of a session, opened if it is not.
    async fn record(&self, session: SessionId) -> Result<Arc<Recorder>> {
        let gate = self.inner.gates.of(session);
        let _alone = gate.lock().await;
        self.record_alone(session).await
    }

    /// The recorder of a session, opened if it is not and the session has not ended.
    async fn record_unless_ended(&self, session: SessionId) -> Result<Option<Arc<Recorder>>> {
        let gate = self.inner.gates.of(session);
        let _alone = gate.lock().await;
        let spool = self.inner.spool.clone();
        if recorder::off(&*self.inner.spool, move || spool.ended(session)).await?.is_some() {
            return Ok(None);
        }
        self.record_alone(session).await.map(Some)
    }

    /// For whoever is alone with the session.
    async fn record_alone(&self, session: SessionId) -> Result<Arc<Recorder>> {
        if let Some(live) = self.sessions().get(&session) {
            return Ok(live.recorder.clone());
        }
        let spool = self.inner.spool.clone();
        let keeper = recorder::off(&*self.inner.spool, move || spool.open(session)).await?;
        let recorder = Recorder::new(
            session,
            self.inner.spool.clone(),
            keeper,
            self.inner.clock.clone(),
            &self.inner.config,
        );
        let live = Live { recorder: recorder.clone(), attempts: BTreeMap::new() };
        self.sessions().insert(session, live);
        Ok(recorder)
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        // Whole between any two statements.
        self.inner.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<SessionId, Live>> {
        // The map is whole between any two statements.
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Consoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consoles").field("sessions", &*self.sessions()).finish_non_exhaustive()
    }
}
