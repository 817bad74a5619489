//! Deployments: a config put on a server, with its ports.

use std::collections::BTreeSet;

use super::{Control, check_page, found};
use crate::{
    id::{ConfigId, ServerId, SgcId},
    model::{
        Deployment, Invalid, Labels, Name, PortAsk, PortNeed,
        deployment::{DeploymentChange, NewDeployment, PortRequest},
    },
    store::{DeedError, Page, Write},
};

/// A deployment as somebody asks for it; what is left out has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployRequest {
    /// How it runs.
    pub config: ConfigId,
    /// Its name; the config's if absent.
    pub name: Option<Name>,
    /// The machine; the only one there is, if absent.
    pub server: Option<ServerId>,
    /// Which ports of the machine to take. A port that the config needs and that is not
    /// named here is asked for by the number it has inside.
    pub ports: Vec<PortRequest>,
    /// Free labels.
    pub labels: Labels,
}

impl DeployRequest {
    /// `config` with every default.
    pub fn of(config: ConfigId) -> Self {
        Self { config, name: None, server: None, ports: Vec::new(), labels: Labels::new() }
    }
}

impl Control {
    /// Puts a config on a server and takes its ports, all or none.
    ///
    /// # Errors
    /// [`DeedError::PortTaken`], [`DeedError::NoPortFree`], [`DeedError::PortsDiffer`],
    /// [`DeedError::NameTaken`], [`DeedError::NotFound`], [`DeedError::Invalid`].
    pub async fn deployment_create(
        &self,
        request: &DeployRequest,
        write: &Write,
    ) -> Result<Deployment, DeedError> {
        let config = self.config_get(request.config).await?;
        let new = NewDeployment {
            name: request.name.clone().unwrap_or(config.name),
            server: match request.server {
                Some(server) => server,
                None => self.only_server().await?,
            },
            config: request.config,
            ports: completed(&config.body.ports, &request.ports),
            labels: request.labels.clone(),
        };
        self.store.deployment_create(&new, write).await
    }

    /// One deployment.
    pub async fn deployment_get(&self, id: SgcId) -> Result<Deployment, DeedError> {
        found("deployment", id, self.store.deployment_get(id).await?)
    }

    /// Deployments by id, of one server or all.
    pub async fn deployment_list(
        &self,
        server: Option<ServerId>,
        page: Page<SgcId>,
    ) -> Result<Vec<Deployment>, DeedError> {
        check_page(&page)?;
        Ok(self.store.deployment_list(server, page).await?)
    }

    /// Changes what a deployment runs and where it listens. Its id, name, files and sessions
    /// on record stay.
    ///
    /// # Errors
    /// Those of [`Control::deployment_create`]; [`DeedError::SessionLive`] if its config or
    /// its ports would be others while a session of it has not ended.
    pub async fn deployment_change(
        &self,
        id: SgcId,
        change: &DeploymentChange,
        write: &Write,
    ) -> Result<Deployment, DeedError> {
        self.store.deployment_change(id, change, write).await
    }

    /// Deletes a deployment and frees its ports; its files stay on the machine.
    ///
    /// # Errors
    /// [`DeedError::SessionLive`] while a session of it has not ended.
    pub async fn deployment_delete(&self, id: SgcId, write: &Write) -> Result<(), DeedError> {
        self.store.deployment_delete(id, write).await
    }

    async fn only_server(&self) -> Result<ServerId, DeedError> {
        match self.store.server_list(Page::first(2)).await?.as_slice() {
            [only] => Ok(only.id),
            [] => Err(Invalid::new("server", "no server has registered yet").into()),
            _ => Err(Invalid::new("server", "there are several: say which one").into()),
        }
    }
}

/// What is asked for, and each need that nothing was said of by its own number. Whether that
/// can be is the store's to say.
fn completed(needs: &[PortNeed], asks: &[PortRequest]) -> Vec<PortRequest> {
    let asked: BTreeSet<_> = asks.iter().map(|ask| (ask.container_port, ask.protocol)).collect();
    let own = needs.iter().filter(|need| !asked.contains(&(need.container_port, need.protocol)));
    let own = own.map(|need| PortRequest {
        container_port: need.container_port,
        protocol: need.protocol,
        ask: PortAsk::Number(need.container_port),
    });
    asks.iter().copied().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Port, Protocol};

    fn port(number: i64) -> Port {
        Port::try_from(number).unwrap()
    }

    fn ask(inside: i64, ask: PortAsk) -> PortRequest {
        PortRequest { container_port: port(inside), protocol: Protocol::Udp, ask }
    }

    fn needs() -> Vec<PortNeed> {
        [100, 200].map(|number| PortNeed { container_port: port(number), protocol: Protocol::Udp }).into()
    }

    #[test]
    fn what_is_not_asked_for_is_taken_by_its_own_number() {
        let range = PortAsk::AnyOf(port(1000), port(1010));
        let all = completed(&needs(), &[ask(200, range)]);
        assert_eq!(all, [ask(200, range), ask(100, PortAsk::Number(port(100)))]);
        // What cannot be stays as it is, at its own place, for the store to refuse.
        let wrong = [ask(300, range), ask(100, range), ask(100, range), ask(200, range)];
        assert_eq!(completed(&needs(), &wrong), wrong);
    }
}
