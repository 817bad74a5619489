//! Gives numbers to what a session prints, has it kept, and then shows it.

mod keep;
mod read;
mod unkept;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{ConsoleConfig, ring::Ring};
use crate::{
    clock::{Clock, Timestamp},
    console::{Gap, Position},
    error::{Error, ErrorKind, Result},
    host::spool::{Entry, Keeper, Kept, Spool},
    id::SessionId,
    watched::{Watched, Watcher},
};

use unkept::Unkept;

/// How long output waits for a disk that does not answer before it is shown unkept.
const STALL: Duration = Duration::from_secs(1);

/// Does what may wait for a disk where that holds up nobody.
pub(super) async fn off<T: Send + 'static>(
    spool: &dyn Spool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if !spool.blocks() {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "use the spool", "the process is ending")))
}

/// How far the showing is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// The number that is shown next.
    pub(super) shown: u64,
    /// Whether nothing follows.
    pub(super) ended: bool,
}

/// Records one session.
#[derive(Debug)]
pub(super) struct Recorder {
    session: SessionId,
    spool: Arc<dyn Spool>,
    clock: Arc<dyn Clock>,
    lag_pieces: u64,
    state: Mutex<State>,
    ring: RwLock<Ring>,
    progress: Watched<Progress>,
    kept: Watched<u64>,
    /// Wakes the task that looks after what is not kept yet.
    unkept: Arc<Notify>,
    upkeep: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
struct State {
    /// Absent while another thread writes with it.
    keeper: Option<Box<dyn Keeper>>,
    next: u64,
    shown: u64,
    unkept: Unkept,
    trouble: Option<Trouble>,
    /// When the disk last took something, or was given something after a rest.
    answered_at: Instant,
    /// How many numbers were given up since all was well.
    given_up: u64,
    /// Nothing is written any more.
    released: bool,
}

/// The disk refuses.
#[derive(Debug)]
struct Trouble {
    error: String,
    retry_at: Instant,
}

impl Recorder {
    /// Goes on recording what `keeper` keeps.
    pub(super) fn new(
        session: SessionId,
        spool: Arc<dyn Spool>,
        keeper: Box<dyn Keeper>,
        clock: Arc<dyn Clock>,
        config: &ConsoleConfig,
    ) -> Arc<Self> {
        let next = keeper.span().next;
        let state = State {
            keeper: Some(keeper),
            next,
            shown: next,
            unkept: Unkept::new(config.unkept_bytes),
            trouble: None,
            answered_at: Instant::now(),
            given_up: 0,
            released: false,
        };
        let recorder = Arc::new(Self {
            session,
            spool,
            clock,
            lag_pieces: config.lag_pieces,
            state: Mutex::new(state),
            ring: RwLock::new(Ring::new(config.recent_bytes)),
            progress: Watched::new(Progress { shown: next, ended: false }),
            kept: Watched::new(next),
            unkept: Arc::new(Notify::new()),
            upkeep: Mutex::new(None),
        });
        let (weak, unkept) = (Arc::downgrade(&recorder), recorder.unkept.clone());
        let upkeep = tokio::spawn(async move {
            loop {
                unkept.notified().await;
                loop {
                    tokio::time::sleep(STALL / 4).await;
                    match weak.upgrade() {
                        None => return,
                        Some(recorder) if recorder.look() => {}
                        Some(_) => break,
                    }
                }
            }
        });
        *locked(&recorder.upkeep) = Some(AbortOnDropHandle::new(upkeep));
        recorder
    }

    /// Takes what an attempt printed, or what is missing of it. Waits for nothing.
    pub(super) fn push(self: &Arc<Self>, attempt: u32, what: Kept) {
        let numbers = match &what {
            Kept::Output(batch) => batch.len() as u64,
            Kept::Gap(..) => 1,
        };
        if numbers == 0 {
            return;
        }
        let mut state = locked(&self.state);
        let entry = Entry { first: state.next, numbers, attempt, what };
        state.next = entry.next();
        state.unkept.push(entry);
        if state.trouble.is_none() {
            self.write(&mut state);
        }
        if !state.unkept.is_empty() {
            if state.trouble.is_some() || state.unkept.is_over() {
                self.show(&mut state, u64::MAX);
            }
            if state.trouble.is_some() || state.answered_at.elapsed() >= STALL {
                state.given_up += state.unkept.give_up();
            }
            drop(state);
            self.unkept.notify_one();
        }
    }

    /// Waits while much is not kept yet and the disk is at it: for what is read faster than
    /// a disk writes, as a long absence is. The runtime meanwhile holds what comes, or lets
    /// go to be asked again, which loses nothing. Does not wait for a disk that refuses or
    /// does not answer.
    pub(super) async fn room(&self) {
        let mut kept = self.kept.watch();
        loop {
            {
                let state = locked(&self.state);
                let answers = state.trouble.is_none() && state.answered_at.elapsed() < STALL;
                if !answers || !state.unkept.is_much() {
                    return;
                }
            }
            // In time or not, look again.
            let _ = timeout(STALL / 4, kept.changed()).await;
        }
    }

    /// Takes a gap that was noticed here.
    pub(super) fn push_gap(self: &Arc<Self>, attempt: u32, position: Position, reason: &str) {
        let gap = Gap { channel: None, bytes: None, lines: None, uncertain: true, reason: reason.to_owned() };
        self.push(attempt, Kept::Gap(gap, position, self.clock.now()));
    }

    /// When it is, for what has no time of its own.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Shows what has a number below `until` and was not shown yet.
    fn show(&self, state: &mut State, until: u64) {
        let from = state.shown;
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        for entry in state.unkept.from(from).take_while(|entry| entry.first < until) {
            state.shown = entry.next();
            ring.push(entry.clone());
        }
        drop(ring);
        if state.shown > from {
            let shown = state.shown;
            self.progress.modify(|progress| progress.shown = shown);
        }
    }

    /// Tells how far the showing is, from now on.
    pub(super) fn progress(&self) -> Watcher<Progress> {
        self.progress.watch()
    }

    /// The oldest number that is held for viewers, or the one that is shown next.
    pub(super) fn newest(&self) -> u64 {
        let held = self.ring.read().unwrap_or_else(PoisonError::into_inner).first();
        held.unwrap_or_else(|| self.progress.look().shown)
    }

    /// How far a viewer may fall behind.
    pub(super) fn lag_pieces(&self) -> u64 {
        self.lag_pieces
    }

    /// From now on the newest output is held for one viewer more, or less.
    pub(super) fn watched(&self, joins: bool) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        if joins { ring.join() } else { ring.leave() }
    }

    /// Waits until all that was taken so far is shown.
    pub(super) async fn shown(&self) {
        let next = locked(&self.state).next;
        // The sender lives as long as we do.
        let _ = self.progress().until(|progress| progress.shown >= next).await;
    }

    /// Nothing follows: whoever follows comes to an end.
    pub(super) fn end(&self) {
        self.progress.modify(|progress| progress.ended = true);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
