//! How actors are woken, and what they are told by it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use tokio::sync::Notify;

use crate::{id::SessionId, runtime::AttemptState};

/// The door of one actor: whoever wants something of it knocks.
#[derive(Debug, Default)]
pub(super) struct Door {
    bell: Notify,
    look: AtomicBool,
    say: Mutex<Option<bool>>,
    progress: Mutex<Option<String>>,
    seen: Mutex<BTreeMap<u32, AttemptState>>,
}

impl Door {
    /// Something changed: plan again.
    pub fn knock(&self) {
        self.bell.notify_one();
    }

    /// Something may have happened to its containers: look, and plan again.
    pub fn look(&self) {
        self.look.store(true, SeqCst);
        self.knock();
    }

    /// The control plane does not know where it is, or even has it as `lost`: say it again.
    pub fn say_again(&self, lost: bool) {
        let mut say = locked(&self.say);
        *say = Some(lost || say.unwrap_or_default());
        drop(say);
        self.knock();
    }

    /// What it is at goes on. Called often.
    pub fn progress(&self, text: String) {
        *locked(&self.progress) = Some(text);
        self.knock();
    }

    pub async fn knocked(&self) {
        self.bell.notified().await;
    }

    pub fn take_look(&self) -> bool {
        self.look.swap(false, SeqCst)
    }

    pub fn take_say(&self) -> Option<bool> {
        locked(&self.say).take()
    }

    pub fn take_progress(&self) -> Option<String> {
        locked(&self.progress).take()
    }

    /// What the actor last saw, for the watch to compare.
    pub fn saw(&self, seen: &BTreeMap<u32, AttemptState>) {
        locked(&self.seen).clone_from(seen);
    }

    /// Whether the actor has seen what a list shows.
    pub fn has_seen(&self, listed: &BTreeMap<u32, AttemptState>) -> bool {
        *locked(&self.seen) == *listed
    }
}

/// The doors of all actors.
#[derive(Clone, Debug, Default)]
pub(super) struct Doors(Arc<Mutex<BTreeMap<SessionId, Arc<Door>>>>);

impl Doors {
    /// A door for a new actor; `None` if there is one already.
    pub fn build(&self, session: SessionId) -> Option<Arc<Door>> {
        let mut doors = locked(&self.0);
        if doors.contains_key(&session) {
            return None;
        }
        Some(doors.entry(session).or_default().clone())
    }

    /// The actor is gone.
    pub fn close(&self, session: SessionId) {
        locked(&self.0).remove(&session);
    }

    pub fn of(&self, session: SessionId) -> Option<Arc<Door>> {
        locked(&self.0).get(&session).cloned()
    }

    pub fn all(&self) -> Vec<(SessionId, Arc<Door>)> {
        locked(&self.0).iter().map(|(&session, door)| (session, door.clone())).collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
