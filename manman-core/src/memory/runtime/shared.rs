//! What the runtimes over one engine in memory share, and how calls reach it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::broadcast, time::timeout};

use super::{
    fault::Faults,
    state::{Key, State},
};
use crate::{
    clock::{Clock, Timestamp, TokioClock},
    error::{Error, ErrorKind, Result},
    runtime::RuntimeEvent,
    watched::{Watched, Watcher},
};

/// When calls are given up.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The moment at which every engine in memory begins: 2025-11-21T09:00:00Z.
const BEGIN: Timestamp = Timestamp::from_micros(1_763_715_600_000_000);

/// Whether an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Power {
    pub(super) up: bool,
    pub(super) frozen: bool,
    /// Counts its starts.
    pub(super) boot: u64,
    pub(super) live_restore: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) power: Watched<Power>,
    events: broadcast::Sender<(Key, RuntimeEvent)>,
    pub(super) clock: TokioClock,
    random: Mutex<fastrand::Rng>,
    faults: Mutex<Faults>,
    seed: u64,
}

impl Shared {
    /// An engine that is up and holds nothing.
    pub(super) fn new(seed: u64) -> Self {
        let power = Power { up: true, frozen: false, boot: 1, live_restore: false };
        Self {
            state: Mutex::default(),
            power: Watched::new(power),
            events: broadcast::Sender::new(256),
            clock: TokioClock::starting_at(BEGIN),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            faults: Mutex::default(),
            seed,
        }
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        *locked(&self.faults) = faults;
    }

    /// Makes a call: `act` is its effect, at most once, and its answer.
    pub(super) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        act: impl FnOnce(&Arc<Self>, &mut State) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let fail = |kind, message| Err(Error::new(kind, operation, message));
        let faults = *locked(&self.faults);
        let half = faults.latency.mul_f64(self.random()) / 2;
        if !half.is_zero() {
            tokio::time::sleep(half).await;
        }
        let Ok(power) = timeout(DEADLINE, self.thawed()).await else {
            if self.chance(faults.late) {
                let late = move |shared: &Arc<Self>, state: &mut State| drop(act(shared, state));
                self.lock().late.push(Box::new(late));
            }
            return fail(ErrorKind::Timeout, "the engine does not answer");
        };
        if !power.up {
            return fail(ErrorKind::Unavailable, "the engine is not there");
        }
        if self.chance(faults.before) {
            return fail(ErrorKind::Unavailable, "the connection was refused");
        }
        let answer = act(self, &mut self.lock());
        if !half.is_zero() {
            tokio::time::sleep(half).await;
        }
        if self.chance(faults.after) {
            return fail(ErrorKind::Timeout, "the connection broke before the answer came");
        }
        answer
    }

    /// Waits until the engine is not frozen.
    pub(super) async fn thawed(&self) -> Power {
        let mut power = self.power.watch();
        // The sender is ours.
        match power.until(|power| !power.frozen).await {
            Ok(power) => power.clone(),
            Err(_) => Power { up: false, frozen: false, boot: 0, live_restore: false },
        }
    }

    pub(super) fn power(&self) -> Watcher<Power> {
        self.power.watch()
    }

    pub(super) fn events(&self) -> broadcast::Receiver<(Key, RuntimeEvent)> {
        self.events.subscribe()
    }

    /// Tells whoever listens that something happened to a container.
    pub(super) fn tell(&self, key: Key) {
        let lost = locked(&self.faults).lost_events;
        if !self.chance(lost) {
            // Nobody has to listen.
            let _ = self.events.send((key, RuntimeEvent::Attempt(key.2)));
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    fn random(&self) -> f64 {
        locked(&self.random).f64()
    }

    fn chance(&self, rate: f64) -> bool {
        rate > 0.0 && self.random() < rate
    }

    pub(super) fn breaks_console(&self) -> bool {
        let rate = locked(&self.faults).broken_consoles;
        self.chance(rate)
    }

    /// How many pieces the next batch of a console has at most.
    pub(super) fn batch_pieces(&self) -> usize {
        locked(&self.random).usize(1..=256)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked with it is over; others may go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
