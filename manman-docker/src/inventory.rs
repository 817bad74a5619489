//! All that is there: ours with its state, what is foreign with the reason, and
//! networks; and who holds a port.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use manman_core::{
    error::{Error, ErrorKind, Result},
    model::PortBinding,
    runtime::{Foreign, Found, Inventory},
};

use crate::{
    backend::DockerRuntime,
    client::within,
    containers::Listed,
    data::DataDir,
    labels::{self, Reading},
    ports,
};

/// How many containers are looked at at once: an engine answers no faster beyond.
const AT_ONCE: usize = 8;

impl DockerRuntime {
    pub(crate) async fn inventory(&self) -> Result<Inventory> {
        let operation = "list containers";
        let (containers, networks) =
            tokio::try_join!(self.containers.marked(operation), self.networks.marked(operation))?;
        let mut inventory = Inventory::default();
        let mut ours = Vec::new();
        for container in containers {
            match container {
                Ok(listed) => {
                    if let Some(why) = self.stuck.why(listed.labels.run) {
                        inventory.foreign.push(Foreign { name: listed.name.clone(), why });
                    }
                    ours.push(listed);
                }
                Err((name, why)) => inventory.foreign.push(Foreign { name, why }),
            }
        }
        let looks = stream::iter(ours).map(|listed| self.look_at(operation, listed)).buffered(AT_ONCE);
        inventory.found = looks.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await?;
        for network in networks {
            match labels::read(&self.owner, &network.labels.unwrap_or_default()) {
                Reading::Network(Some(session)) => inventory.networks.push(session),
                Reading::Foreign(why) => {
                    let name = format!("network {}", network.name.unwrap_or_default());
                    inventory.foreign.push(Foreign { name, why });
                }
                _ => {}
            }
        }
        inventory.networks.sort_unstable();
        inventory.networks.dedup();
        Ok(inventory)
    }

    /// A closer look at one of a list; `None` if it went in the meantime. One that does not
    /// let itself be looked at (an attach that nobody reads does that) must not hide the
    /// others: then the list's word counts.
    async fn look_at(&self, operation: &'static str, listed: Listed) -> Result<Option<Found>> {
        let limit = (self.config.call_timeout() / 4).min(Duration::from_secs(3));
        match within(operation, limit, self.containers.look(operation, &listed.id)).await {
            Ok(Some(Ok(container))) => {
                self.containers.remember(container.labels.run, &container.id);
                Ok(Some(container.found()))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(Some(listed.found())),
            Err(error) => Err(error),
        }
    }

    /// Refuses (`Conflict`) ports that somebody on this machine holds.
    pub(crate) async fn probe_ports(&self, operation: &'static str, ports: &[PortBinding]) -> Result<()> {
        if ports.is_empty() || !self.host.shares_network().await? {
            return Ok(());
        }
        let (wanted, address) = (ports.to_vec(), self.config.publish_address);
        match self.on_disk(operation, move |_| Ok(ports::first_held(&wanted, address))).await? {
            Some(port) => Err(self.held(operation, &port).await),
            None => Ok(()),
        }
    }

    /// Says who holds a port: a container, or a process where it can be seen.
    pub(crate) async fn held(&self, operation: &'static str, port: &PortBinding) -> Error {
        let what = format!("{}/{}", port.host_port, port.protocol.lower());
        let filters = [("publish".to_owned(), vec![what.clone()])].into();
        let containers = self.containers.list(operation, filters).await.unwrap_or_default();
        let running = containers.into_iter().find(|container| {
            let published = container.ports.iter().flatten();
            published.filter_map(|port| port.public_port).any(|public| public == port.host_port.get())
        });
        let holder = match running {
            Some(container) => {
                let names = container.names.unwrap_or_default();
                Some(format!("the container {}", crate::map::name(names.first().map(String::as_str))))
            }
            None => {
                let port = *port;
                self.on_disk(operation, move |_| Ok(ports::holder(&port))).await.ok().flatten()
            }
        };
        let holder = holder.unwrap_or_else(|| "somebody else on this machine".to_owned());
        Error::new(ErrorKind::Conflict, operation, format!("port {what} is held by {holder}"))
    }

    /// Does what blocks on a thread for such work.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&DataDir) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let data = self.data.clone();
        match tokio::task::spawn_blocking(move || work(&data)).await {
            Ok(result) => result,
            Err(error) => {
                Err(Error::new(ErrorKind::Unexpected, operation, "the work broke off").because(error))
            }
        }
    }
}
