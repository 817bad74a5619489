//! What the programs need for their work.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use manman_core::{
    broker::Broker,
    error::{Error, ErrorKind, Result},
    runtime::Runtime,
    store::Store,
};

use super::health::Parts;
use crate::uplink::Line;

/// Those of a process that is coming up.
#[derive(Default)]
pub(super) struct Late {
    parts: OnceLock<Arc<dyn Parts>>,
    /// What a host that is coming up waits for.
    line: Line,
}

impl Late {
    /// It is up.
    pub fn set(&self, parts: Arc<dyn Parts>) {
        let _ = self.parts.set(parts);
    }

    /// The way to the control plane, for a host.
    pub fn line(&self) -> &Line {
        &self.line
    }
}

#[async_trait]
impl Parts for Late {
    async fn look(&self) -> Vec<(&'static str, Result<()>)> {
        if let Some(parts) = self.parts.get() {
            return parts.look().await;
        }
        let mut parts = vec![("start", Err(Error::new(ErrorKind::Unavailable, "start", "it is not up yet")))];
        if let Err(error) = self.line.look() {
            parts.push((CONTROL_PLANE, Err(error)));
        }
        parts
    }
}

/// What a host's way to its control plane is called.
const CONTROL_PLANE: &str = "control plane";

/// Those of the control plane.
pub(super) struct Control {
    pub store: Arc<dyn Store>,
    pub broker: Arc<dyn Broker>,
}

#[async_trait]
impl Parts for Control {
    async fn look(&self) -> Vec<(&'static str, Result<()>)> {
        let (store, broker) = tokio::join!(self.store.now(), self.broker.probe());
        vec![("store", store.map(drop)), ("broker", broker)]
    }
}

/// Those of a host.
pub(super) struct Machine {
    pub runtime: Arc<dyn Runtime>,
    pub broker: Arc<dyn Broker>,
    pub line: Line,
    pub registered: Arc<AtomicBool>,
}

#[async_trait]
impl Parts for Machine {
    async fn look(&self) -> Vec<(&'static str, Result<()>)> {
        let (engine, broker) = tokio::join!(self.runtime.engine(), self.broker.probe());
        let control = self.line.look().and_then(|()| match self.registered.load(Ordering::Relaxed) {
            true => Ok(()),
            false => {
                let message = "not registered since this process began";
                Err(Error::new(ErrorKind::Unavailable, "register", message))
            }
        });
        vec![("engine", engine.map(drop)), ("broker", broker), (CONTROL_PLANE, control)]
    }
}
