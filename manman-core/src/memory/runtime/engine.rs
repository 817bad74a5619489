//! An engine in memory: what tests do to it, and how calls reach it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};

use super::{
    MemoryRuntime,
    fault::Faults,
    script::{Ending, Image},
    state::{Container, Key, Life, State, foreign_name},
};
use crate::{
    clock::{Clock, Timestamp, TokioClock},
    console::Channel,
    error::{Error, ErrorKind, Result},
    id::{AttemptId, ClusterId, SgcId},
    model::{EnvironmentName, ImageRef, Port, Protocol},
    runtime::{Owner, RuntimeEvent},
};

/// When calls are given up.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The moment at which every engine in memory begins: 2025-11-21T09:00:00Z.
const BEGIN: Timestamp = Timestamp::from_micros(1_763_715_600_000_000);

/// Something that happened to a container, for tests to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// To which.
    pub run: AttemptId,
    /// What.
    pub what: Deeds,
}

/// What can happen to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deeds {
    /// It was created.
    Created,
    /// Its process was started.
    Started,
    /// Its process ended with this code.
    Ended(i32),
    /// It gave its name away.
    Retired,
    /// It was removed.
    Removed,
}

/// Whether an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Power {
    pub(super) up: bool,
    pub(super) frozen: bool,
    /// Counts its starts.
    pub(super) boot: u64,
    pub(super) live_restore: bool,
}

/// An engine in memory that plays scripted games under tokio's time. Clones are the
/// same engine; it lives as long as any clone or runtime of it.
///
/// It keeps to the contract of [`Runtime`](crate::runtime::Runtime) and fails as tests tell it
/// to. What must never happen and did is among its [violations](Engine::violations).
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    power: watch::Sender<Power>,
    events: broadcast::Sender<(Key, RuntimeEvent)>,
    clock: TokioClock,
    random: Mutex<fastrand::Rng>,
    faults: Mutex<Faults>,
    seed: u64,
}

impl Engine {
    /// An engine that is up; what is random in it follows `seed`. To be called within a
    /// tokio runtime.
    pub fn new(seed: u64) -> Self {
        let power = Power { up: true, frozen: false, boot: 1, live_restore: false };
        let shared = Shared {
            state: Mutex::default(),
            power: watch::Sender::new(power),
            events: broadcast::Sender::new(256),
            clock: TokioClock::starting_at(BEGIN),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            faults: Mutex::default(),
            seed,
        };
        Self { shared: Arc::new(shared) }
    }

    /// A runtime of this owner over this engine. Each is as a manager that was started
    /// again would make it: nothing is lost with the one before.
    pub fn runtime(&self, owner: Owner) -> MemoryRuntime {
        MemoryRuntime::over(self.clone(), owner)
    }

    /// The engine's clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.shared.clock.clone())
    }

    /// Makes an image of this name, or changes what it is.
    pub fn image(&self, name: &ImageRef, image: Image) {
        self.shared.lock().images.insert(name.clone(), image);
    }

    /// From now on this goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        *locked(&self.shared.faults) = faults;
    }

    /// Whether games outlive a stop of the engine. Not so unless said.
    pub fn set_live_restore(&self, live_restore: bool) {
        self.shared.power.send_modify(|power| power.live_restore = live_restore);
    }

    /// The engine goes: calls are `Unavailable`, streams break, and games end with it unless
    /// they outlive it.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        self.shared.power.send_modify(|power| (power.up, power.frozen) = (false, false));
        state.late.clear();
        if !self.shared.power.borrow().live_restore {
            let alive: Vec<Key> = live(&state).map(|(key, _)| *key).collect();
            for key in alive {
                state.end(&self.shared, key, Ending::code(137));
            }
        }
    }

    /// The engine comes back.
    pub fn start(&self) {
        self.shared.power.send_if_modified(|power| {
            let was_down = !power.up;
            if was_down {
                power.up = true;
                power.boot += 1;
            }
            was_down
        });
    }

    /// The engine answers nobody any more; calls run into their deadline.
    pub fn freeze(&self) {
        self.shared.power.send_modify(|power| power.frozen = power.up);
    }

    /// The engine goes on where it was.
    pub fn thaw(&self) {
        let mut state = self.shared.lock();
        for effect in std::mem::take(&mut state.late) {
            effect(&self.shared, &mut state);
        }
        self.shared.power.send_modify(|power| power.frozen = false);
    }

    /// Somebody else takes a port of the machine.
    pub fn hold_port(&self, port: Port, protocol: Protocol, holder: &str) {
        self.shared.lock().held_ports.insert((port.get(), protocol), holder.to_owned());
    }

    /// Gives a port back that somebody else had taken.
    pub fn free_port(&self, port: Port, protocol: Protocol) {
        self.shared.lock().held_ports.remove(&(port.get(), protocol));
    }

    /// Somebody else ends a game: with 137, as by a kill.
    pub fn kill(&self, run: AttemptId) {
        self.end(run, Ending::code(137));
    }

    /// A game ends by itself with this code.
    pub fn crash(&self, run: AttemptId, code: i32) {
        self.end(run, Ending::code(code));
    }

    /// The kernel ends a game for the memory it uses.
    pub fn out_of_memory(&self, run: AttemptId) {
        self.end(run, Ending { code: 137, out_of_memory: true });
    }

    fn end(&self, run: AttemptId, ending: Ending) {
        let mut state = self.shared.lock();
        for key in keys(&state, run) {
            state.end(&self.shared, key, ending);
        }
    }

    /// Somebody else removes a container, living or not.
    pub fn remove(&self, run: AttemptId) {
        self.kill(run);
        let mut state = self.shared.lock();
        for key in keys(&state, run) {
            // Nothing of it lives, so nothing is refused.
            let _ = state.remove(&self.shared, key);
        }
    }

    /// Somebody else suspends a game, or lets it go on: it is shown so, no more.
    pub fn pause(&self, run: AttemptId, pause: bool) {
        let mut state = self.shared.lock();
        for key in keys(&state, run) {
            if let Some(Container { life: Life::Running { paused, .. }, .. }) = state.containers.get_mut(&key)
            {
                *paused = pause;
            }
        }
    }

    /// The engine's log of an attempt rotates: all but its newest `keep` pieces are gone.
    pub fn rotate(&self, run: AttemptId, keep: usize) {
        let state = self.shared.lock();
        for key in keys(&state, run) {
            state.containers[&key].tape.rotate(keep);
        }
    }

    /// A container that carries our mark and cannot be read.
    pub fn plant_unreadable(&self, name: &str) {
        self.shared.lock().unreadable.push(name.to_owned());
    }

    /// The directory of a deployment belongs to this cluster.
    pub fn plant_directory(&self, environment: EnvironmentName, sgc: SgcId, cluster: ClusterId) {
        self.shared.lock().directories.insert((environment, sgc), cluster);
    }

    /// From now on no directory can be made, or no longer so.
    pub fn set_disk_full(&self, full: bool) {
        self.shared.lock().disk_full = full;
    }

    /// All that an attempt printed to a channel, if its container is there.
    pub fn printed(&self, run: AttemptId, channel: Channel) -> Option<Vec<u8>> {
        let state = self.shared.lock();
        keys(&state, run).first().map(|key| state.containers[key].tape.all(channel))
    }

    /// The attempts that live, with their deployments.
    pub fn live(&self) -> Vec<(AttemptId, SgcId)> {
        live(&self.shared.lock()).map(|(key, container)| (key.2, container.spec.sgc)).collect()
    }

    /// How many containers and networks there are, whoever's.
    pub fn holds(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.containers.len(), state.networks.len())
    }

    /// The names of the containers of an attempt as others see them in their lists.
    pub fn names(&self, run: AttemptId) -> Vec<String> {
        let state = self.shared.lock();
        keys(&state, run).iter().map(|key| foreign_name(&state.containers[key], run)).collect()
    }

    /// What must never happen and did.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }

    /// All that happened to containers, in order.
    pub fn deeds(&self) -> Vec<Deed> {
        self.shared.lock().deeds.clone()
    }
}

fn live(state: &State) -> impl Iterator<Item = (&Key, &Container)> {
    state.containers.iter().filter(|(_, container)| container.is_alive())
}

fn keys(state: &State, run: AttemptId) -> Vec<Key> {
    state.containers.keys().filter(|key| key.2 == run).copied().collect()
}

impl Shared {
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
        let mut power = self.power.subscribe();
        // The sender is ours.
        match power.wait_for(|power| !power.frozen).await {
            Ok(power) => power.clone(),
            Err(_) => Power { up: false, frozen: false, boot: 0, live_restore: false },
        }
    }

    pub(super) fn power(&self) -> watch::Receiver<Power> {
        self.power.subscribe()
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
