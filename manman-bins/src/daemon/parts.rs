//! What the programs work with.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use manman_core::{
    broker::Broker,
    error::{Error, ErrorKind},
    runtime::Runtime,
    store::Store,
};

use super::health::{Part, Parts};
use crate::compose::LateBlobs;

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
    async fn look(&self) -> Vec<Part> {
        match self.0.get() {
            Some(parts) => parts.look().await,
            None => {
                let error = Error::new(ErrorKind::Unavailable, "start", "it is not up yet");
                vec![Part::needed("start", Err(error))]
            }
        }
    }
}

/// Those of the control plane.
pub(super) struct Control {
    pub store: Arc<dyn Store>,
    pub broker: Arc<dyn Broker>,
    /// If this process keeps any.
    pub blobs: Option<Arc<LateBlobs>>,
}

#[async_trait]
impl Parts for Control {
    async fn look(&self) -> Vec<Part> {
        let blobs = async {
            match &self.blobs {
                Some(blobs) => Some(blobs.look().await),
                None => None,
            }
        };
        let (store, broker, blobs) = tokio::join!(self.store.now(), self.broker.probe(), blobs);
        let mut parts = vec![Part::needed("store", store.map(drop)), Part::needed("broker", broker)];
        // Games are started and stopped without.
        parts.extend(blobs.map(|blobs| Part::beside("blobs", blobs)));
        parts
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
    async fn look(&self) -> Vec<Part> {
        let (engine, broker) = tokio::join!(self.runtime.engine(), self.broker.probe());
        let registered = if self.registered.load(Ordering::Relaxed) {
            Ok(())
        } else {
            let message = "not registered since this process began";
            Err(Error::new(ErrorKind::Unavailable, "register", message))
        };
        vec![
            Part::needed("engine", engine.map(drop)),
            Part::needed("broker", broker),
            Part::needed("registered", registered),
        ]
    }
}
