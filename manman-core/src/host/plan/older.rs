//! What is left of the attempts before the current one.

use std::collections::BTreeMap;

use super::{Memory, Stage, Step, Work};
use crate::runtime::AttemptState;

/// The attempts below the current one that are still here.
#[derive(Default)]
pub(super) struct Older {
    /// One that lives: it must not do so beside the current one.
    pub(super) alive: Option<u32>,
    /// What takes the deployment's name from them.
    pub(super) named: Vec<Step>,
    /// What removes those whose ends are on record.
    pub(super) rest: Vec<Step>,
}

impl Older {
    pub(super) fn of(seen: &BTreeMap<u32, AttemptState>, work: &Work, memory: &Memory) -> Self {
        let mut older = Self::default();
        for (&attempt, state) in seen.range(..memory.highest) {
            let known = memory.attempts.get(&attempt);
            let receipted =
                known.is_none_or(|known| !matches!(known.stage, Stage::Over { receipted: false, .. }));
            let retired = work.retired.contains(&attempt);
            match state {
                AttemptState::Running { .. } => older.alive = Some(attempt),
                AttemptState::Created => older.named.push(Step::Remove { attempt }),
                AttemptState::Exited(_) if !retired => older.named.push(Step::Retire { attempt }),
                AttemptState::Exited(_) if receipted => older.rest.push(Step::Remove { attempt }),
                AttemptState::Exited(_) | AttemptState::Removing => {}
            }
        }
        older
    }
}
