//! Containers that the engine refuses to rename or remove though their process is
//! gone: known, reported, and worked around.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use manman_core::id::AttemptId;

/// Which containers are stuck, and what the engine says of them.
#[derive(Debug, Default)]
pub(crate) struct Stuck(Mutex<BTreeMap<AttemptId, String>>);

impl Stuck {
    pub(crate) fn insert(&self, run: AttemptId, why: String) {
        self.all().insert(run, why);
    }

    pub(crate) fn remove(&self, run: AttemptId) {
        self.all().remove(&run);
    }

    pub(crate) fn why(&self, run: AttemptId) -> Option<String> {
        self.all().get(&run).cloned()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<AttemptId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
