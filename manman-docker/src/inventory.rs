//! All that is there: ours with its state, what is foreign with the reason, and
//! networks.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use manman_core::{
    error::{ErrorKind, Result},
    runtime::{Foreign, Found, Inventory},
};

use crate::{
    backend::DockerRuntime,
    client::within,
    containers::{Listed, Marked},
    labels::{self, Reading},
};

/// How many containers are looked at at once: an engine answers no faster beyond.
const AT_ONCE: usize = 8;

impl DockerRuntime {
    pub(crate) async fn inventory(&self) -> Result<Inventory> {
        let operation = "list containers";
        let (containers, networks) =
            tokio::try_join!(self.containers.marked(operation), self.networks.marked(operation))?;
        let mut inventory = Inventory::default();
        let (mut ours, mut probes) = (Vec::new(), Vec::new());
        for container in containers {
            match container {
                Marked::Game(listed) => {
                    if let Some(why) = self.stuck.why(listed.labels.run) {
                        inventory.foreign.push(Foreign { name: listed.name.clone(), why });
                    }
                    ours.push(listed);
                }
                Marked::Foreign(foreign) => inventory.foreign.push(foreign),
                Marked::Probe { id, created } => probes.push((id, created)),
            }
        }
        self.probes.sweep(probes);
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
}
