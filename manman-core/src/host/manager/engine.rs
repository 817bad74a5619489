//! What is known of the engine.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    runtime::{EngineInfo, Inventory},
    watched::Watched,
};

/// What is known of the engine.
#[derive(Default)]
pub(super) struct EngineView {
    /// Whether it answers; `None` before it was asked.
    pub answers: Watched<Option<bool>>,
    /// All that was there when it was last listed.
    pub inventory: Watched<Option<(Arc<Inventory>, Instant)>>,
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
        *self.answers.look() == Some(true)
    }

    /// Whether it was asked and does not answer.
    pub fn is_away(&self) -> bool {
        *self.answers.look() == Some(false)
    }
}
