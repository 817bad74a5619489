//! An engine in memory: what tests do to it.

use std::sync::Arc;

use super::{
    MemoryRuntime,
    container::{Container, Life},
    fault::Faults,
    script::{Ending, Image},
    shared::Shared,
    state::{Key, State, foreign_name},
};
use crate::{
    clock::{Clock, Timestamp},
    console::Channel,
    id::{AttemptId, ClusterId, SgcId},
    model::{EnvironmentName, ImageRef, Port, Protocol},
    runtime::Owner,
};

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

/// An engine in memory that plays scripted games under tokio's time. Clones are the
/// same engine; it lives as long as any clone or runtime of it.
///
/// It keeps to the contract of [`Runtime`](crate::runtime::Runtime) and fails as tests tell it
/// to. What must never happen and did is among its [violations](Engine::violations).
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

impl Engine {
    /// An engine that is up; what is random in it follows `seed`. To be called within a
    /// tokio runtime.
    pub fn new(seed: u64) -> Self {
        Self { shared: Arc::new(Shared::new(seed)) }
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
        self.shared.set_faults(faults);
    }

    /// Whether games outlive a stop of the engine. Not so unless said.
    pub fn set_live_restore(&self, live_restore: bool) {
        self.shared.power.modify(|power| power.live_restore = live_restore);
    }

    /// The engine goes: calls are `Unavailable`, streams break, and games end with it unless
    /// they outlive it.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        self.shared.power.modify(|power| (power.up, power.frozen) = (false, false));
        state.late.clear();
        if !self.shared.power.look().live_restore {
            let alive: Vec<Key> = live(&state).map(|(key, _)| *key).collect();
            for key in alive {
                state.end(&self.shared, key, Ending::code(137));
            }
        }
    }

    /// The engine comes back.
    pub fn start(&self) {
        self.shared.power.modify_if(|power| {
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
        self.shared.power.modify(|power| power.frozen = power.up);
    }

    /// The engine goes on where it was.
    pub fn thaw(&self) {
        let mut state = self.shared.lock();
        for effect in std::mem::take(&mut state.late) {
            effect(&self.shared, &mut state);
        }
        self.shared.power.modify(|power| power.frozen = false);
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

    /// From now on what has ended can neither be renamed nor removed, as where storage is stuck, or
    /// again. Each runtime works around those whose names it tried to take away.
    pub fn set_stuck(&self, stuck: bool) {
        self.shared.lock().stuck = stuck;
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
