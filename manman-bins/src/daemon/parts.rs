//! What the programs work with.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use manman_core::{
    broker::Broker,
    error::{Error, ErrorKind, Result},
    runtime::Runtime,
    store::Store,
};

use super::health::{Part, Parts};
use crate::{compose::LateBlobs, uplink::Line};

/// The longest that a part may take to say how it is: less than whoever asks for all of them
/// waits, so that one that hangs is named and the others are heard.
const EACH_WITHIN: Duration = Duration::from_secs(2);

async fn in_time<T>(look: impl Future<Output = Result<T>>) -> Result<()> {
    match tokio::time::timeout(EACH_WITHIN, look).await {
        Ok(looked) => looked.map(drop),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "look", format!("no answer within {EACH_WITHIN:?}"))),
    }
}

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
    async fn look(&self) -> Vec<Part> {
        if let Some(parts) = self.parts.get() {
            return parts.look().await;
        }
        let error = Error::new(ErrorKind::Unavailable, "start", "it is not up yet");
        let mut parts = vec![Part::needed("start", Err(error))];
        if let Err(error) = self.line.look() {
            parts.push(Part::needed(CONTROL_PLANE, Err(error)));
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
        let (store, broker, blobs) =
            tokio::join!(in_time(self.store.now()), in_time(self.broker.probe()), blobs);
        let mut parts = vec![Part::needed("store", store), Part::needed("broker", broker)];
        // Games are started and stopped without.
        parts.extend(blobs.map(|blobs| Part::beside("blobs", blobs)));
        parts
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
    async fn look(&self) -> Vec<Part> {
        let (engine, broker) = tokio::join!(in_time(self.runtime.engine()), in_time(self.broker.probe()));
        let control = self.line.look().and_then(|()| match self.registered.load(Ordering::Relaxed) {
            true => Ok(()),
            false => {
                let message = "not registered since this process began";
                Err(Error::new(ErrorKind::Unavailable, "register", message))
            }
        });
        vec![
            Part::needed("engine", engine),
            Part::needed("broker", broker),
            Part::needed(CONTROL_PLANE, control),
        ]
    }
}
