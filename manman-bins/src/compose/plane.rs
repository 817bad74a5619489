//! The control plane of one process: what decides, what moves by itself, and the API.

use std::{fmt, path::PathBuf, sync::Arc};

use tokio_util::sync::CancellationToken;

use manman_core::{
    blob::Blobs,
    broker::Broker,
    control::{Control, ControlConfig, ControlUplink},
    error::Result,
    processor::Processor,
    store::Store,
    viewing::Viewing,
};

use super::tasks::Tasks;
use crate::api::{Api, ApiServer, Authenticator, Hosts};

/// A control plane over a store and a broker.
pub struct Plane {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    control: Control,
    blobs: Option<Arc<dyn Blobs>>,
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane").field("control", &self.control).finish_non_exhaustive()
    }
}

impl Plane {
    /// A control plane; nothing moves yet.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig) -> Self {
        let control = Control::new(store.clone(), broker.clone(), config.clone());
        Self { store, broker, config, control, blobs: None }
    }

    /// Keeps what hosts put in `blobs`.
    pub fn with_blobs(self, blobs: Arc<dyn Blobs>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    /// What can be asked of it.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// What its hosts ask.
    pub fn uplink(&self) -> ControlUplink {
        let uplink = ControlUplink::new(self.store.clone(), self.broker.clone(), self.config.clone());
        match &self.blobs {
            Some(blobs) => uplink.with_blobs(blobs.clone()),
            None => uplink,
        }
    }

    /// Lets move what moves by itself, until `shutdown`.
    pub fn spawn_processor(&self, tasks: &mut Tasks, shutdown: CancellationToken) {
        let processor = Processor::new(self.store.clone(), self.broker.clone(), self.config.clone());
        tasks.spawn("the event processor", async move {
            processor.run(shutdown).await;
            Ok(())
        });
    }

    /// Its API, to be served until `shutdown`, which clients may ask for.
    ///
    /// # Errors
    /// What the store says to its identity.
    pub async fn api(
        &self,
        viewing: Arc<dyn Viewing>,
        data_dir: PathBuf,
        authenticator: Arc<dyn Authenticator>,
        shutdown: CancellationToken,
    ) -> Result<ApiServer> {
        let api = Api::new(self.control.clone(), &*self.store, viewing, data_dir, shutdown).await?;
        let hosts = Hosts::new(Arc::new(self.uplink()), self.store.clone());
        Ok(ApiServer::new(api, hosts, authenticator).await)
    }
}
