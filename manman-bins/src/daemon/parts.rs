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

/// Those of a process that is coming up.
#[derive(Default)]
pub(super) struct Late(OnceLock<Arc<dyn Parts>>);

impl Late {
    /// It is up.
    pub fn set(&self, parts: Arc<dyn Parts>) {
        let _ = self.0.set(parts);
    }
}

#[async_trait]
impl Parts for Late {
    async fn look(&self) -> Vec<(&'static str, Result<()>)> {
        match self.0.get() {
            Some(parts) => parts.look().await,
            None => vec![("start", Err(Error::new(ErrorKind::Unavailable, "start", "it is not up yet")))],
        }
    }
}

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
    pub registered: Arc<AtomicBool>,
}

#[async_trait]
impl Parts for Machine {
    async fn look(&self) -> Vec<(&'static str, Result<()>)> {
        let (engine, broker) = tokio::join!(self.runtime.engine(), self.broker.probe());
        let registered = if self.registered.load(Ordering::Relaxed) {
            Ok(())
        } else {
            let message = "not registered since this process began";
            Err(Error::new(ErrorKind::Unavailable, "register", message))
        };
        vec![("engine", engine.map(drop)), ("broker", broker), ("registered", registered)]
    }
}
