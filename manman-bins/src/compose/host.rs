//! The host manager of this machine, over whatever reaches its control plane.

use std::{fmt, sync::Arc};

use tokio_util::sync::CancellationToken;

use manman_core::{
    broker::Broker,
    error::Result,
    host::{Manager, join, journal::Identity},
    runtime::{Owner, Runtime},
    uplink::Uplink,
};

use super::{drives::MakeRuntime, machine};
use crate::config::MachineConfig;

/// A host manager, ready to run.
pub struct Host {
    /// It.
    pub manager: Manager,
    /// What drives its games.
    pub runtime: Arc<dyn Runtime>,
    /// Who it is.
    pub identity: Identity,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Host {
    /// Makes it. Who it is comes from its journal; one that never registered waits for its
    /// control plane, until `shutdown`.
    ///
    /// # Errors
    /// What journal, spool, control plane or runtime say.
    pub async fn open(
        config: &MachineConfig,
        make: MakeRuntime,
        broker: Arc<dyn Broker>,
        uplink: Arc<dyn Uplink>,
        shutdown: &CancellationToken,
    ) -> Result<Self> {
        let journal = machine::journal(config)?;
        let spool = machine::spool(config)?;
        let host_config = machine::host_config(config)?;
        let identity = join(&*uplink, &journal, &host_config, shutdown).await?;
        let owner = Owner {
            cluster: identity.cluster,
            server: identity.server,
            environment: config.environment.clone(),
        };
        let runtime = make(config, owner)?;
        let manager = Manager::builder(runtime.clone(), broker, uplink)
            .journal(journal)
            .spool(Arc::new(spool))
            .build(host_config)?;
        Ok(Self { manager, runtime, identity })
    }
}
