//! Removing networks, also from under what a crash has left in them.

use bollard::models::NetworkDisconnectRequest;
use manman_core::{
    error::{ErrorKind, Result},
    id::SessionId,
};

use super::{Networks, id};
use crate::translate::{is_absent, translate};

impl Networks {
    /// Removes the session's own network; also a second one that a race has left.
    pub(crate) async fn remove(&self, session: SessionId) -> Result<()> {
        let operation = "remove network";
        let all = self.ours(operation).await?;
        for network in self.of_session(session, &all) {
            self.remove_one(operation, &id(network)).await?;
        }
        Ok(())
    }

    /// Removes a network by its id.
    pub(crate) async fn remove_one(&self, operation: &'static str, id: &str) -> Result<()> {
        match self.try_remove(operation, id).await {
            Err(error) if error.kind() == ErrorKind::Conflict && self.evict_dead(operation, id).await? => {
                self.try_remove(operation, id).await
            }
            result => result,
        }
    }

    async fn try_remove(&self, operation: &'static str, id: &str) -> Result<()> {
        match self.client.docker(operation).await?.remove_network(id).await {
            Err(error) if !is_absent(&error) => Err(translate(operation, error)),
            _ => Ok(()),
        }
    }

    /// Takes endpoints out that a crash of the engine has left of containers that are
    /// not there any more; `false` if somebody is still in.
    async fn evict_dead(&self, operation: &'static str, id: &str) -> Result<bool> {
        let docker = self.client.docker(operation).await?;
        let network = match docker.inspect_network(id, None).await {
            Ok(network) => network,
            Err(error) if is_absent(&error) => return Ok(true),
            Err(error) => return Err(translate(operation, error)),
        };
        for container in network.containers.unwrap_or_default().into_keys() {
            match docker.inspect_container(&container, None).await {
                Err(error) if is_absent(&error) => {}
                Ok(_) => return Ok(false),
                Err(error) => return Err(translate(operation, error)),
            }
            let request = NetworkDisconnectRequest { container, force: Some(true) };
            docker.disconnect_network(id, request).await.map_err(|error| translate(operation, error))?;
        }
        Ok(true)
    }
}
