//! Whether the ports of a game are free on this machine, and who holds them if not.

use manman_core::{
    error::{Error, ErrorKind, Result},
    machine::{blocking, first_held, port_holder},
    model::PortBinding,
};

use crate::{backend::DockerRuntime, map};

impl DockerRuntime {
    /// Refuses (`Conflict`) ports that somebody on this machine holds.
    pub(crate) async fn probe_ports(&self, operation: &'static str, ports: &[PortBinding]) -> Result<()> {
        if ports.is_empty() || !self.host.shares_network().await? {
            return Ok(());
        }
        let (wanted, address) = (ports.to_vec(), self.config.publish_address);
        match blocking(operation, move || Ok(first_held(&wanted, address))).await? {
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
                format!("the container {}", map::name(names.first().map(String::as_str)))
            }
            None => {
                let port = *port;
                blocking(operation, move || Ok(port_holder(&port))).await.unwrap_or_default()
            }
        };
        Error::new(ErrorKind::Conflict, operation, format!("port {what} is held by {holder}"))
    }
}
