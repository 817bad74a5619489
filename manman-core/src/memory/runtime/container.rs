//! One container of an engine in memory.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::tape::Tape;
use crate::{
    clock::Timestamp,
    runtime::{AttemptState, ContainerSpec, Exit, Found, Owner},
    watched::Watched,
};

#[derive(Debug)]
pub(super) struct Container {
    pub(super) owner: Owner,
    pub(super) spec: ContainerSpec,
    pub(super) engine_id: String,
    pub(super) number: u64,
    pub(super) retired: bool,
    pub(super) life: Life,
    pub(super) tape: Arc<Tape>,
    pub(super) changed: Watched<()>,
    pub(super) stdin: mpsc::Sender<Vec<u8>>,
    pub(super) signals: mpsc::UnboundedSender<()>,
    /// What its process reads, until it is started.
    pub(super) pipes: Option<(mpsc::Receiver<Vec<u8>>, mpsc::UnboundedReceiver<()>)>,
    /// Stops that will kill it when their grace is over.
    pub(super) reapers: Vec<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
pub(super) enum Life {
    Created,
    Running { started_at: Timestamp, paused: bool, _process: AbortOnDropHandle<()> },
    Exited(Exit),
}

impl Container {
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Running { .. })
    }

    pub(super) fn found(&self) -> Found {
        let state = match &self.life {
            Life::Created => AttemptState::Created,
            Life::Running { started_at, paused, .. } => AttemptState::Running {
                started_at: Some(*started_at),
                pid: i64::try_from(self.number).ok(),
                paused: *paused,
            },
            Life::Exited(exit) => AttemptState::Exited(exit.clone()),
        };
        Found {
            run: self.spec.run,
            sgc: self.spec.sgc,
            state,
            spec_hash: self.spec.spec_hash.clone(),
            created_at: Some(self.spec.created_at),
            engine_id: self.engine_id.clone(),
        }
    }
}
