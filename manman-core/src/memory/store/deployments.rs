//! Deployments and their ports.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::json;

use super::{
    MemoryStore,
    books::{Books, missing},
};
use crate::{
    clock::Timestamp,
    error::Result,
    id::{ServerId, SgcId},
    model::{
        Deployment, DeploymentStatus, Port, PortBinding, PortNeed, Protocol,
        deployment::{DeploymentChange, NewDeployment, PortRequest},
        text,
    },
    store::{DeedError, DeploymentStore, Page, Write, decide},
};

/// Who holds which port of which machine.
pub(super) type Ports = BTreeMap<(ServerId, Port, Protocol), (SgcId, Timestamp)>;

/// Gives a deployment these ports in place of those it has.
pub(super) fn rebind(ports: &mut Ports, deployment: &Deployment, bindings: &[PortBinding], now: Timestamp) {
    let server = deployment.server;
    let wanted = |port, protocol| bindings.iter().any(|it| (it.host_port, it.protocol) == (port, protocol));
    ports.retain(|&(_, port, protocol), &mut (holder, _)| holder != deployment.id || wanted(port, protocol));
    for binding in bindings {
        ports.entry((server, binding.host_port, binding.protocol)).or_insert((deployment.id, now));
    }
}

impl Books {
    /// The session that holds the slot of a deployment, as a refusal.
    pub(super) fn slot_holder(&self, sgc: SgcId) -> Option<DeedError> {
        let held = self.live.get(&sgc).and_then(|session| self.sessions.get(session))?;
        Some(DeedError::SessionLive { session: held.session.id, sgc, state: held.session.state })
    }

    /// The ports that a deployment is to have beside the holders in `ports`, if they are not
    /// those it has. Refused while a session of it has not ended.
    pub(super) fn rebound(
        &self,
        ports: &Ports,
        deployment: &Deployment,
        needs: &[PortNeed],
        asked: &[PortRequest],
    ) -> Result<Option<Vec<PortBinding>>, DeedError> {
        let others = ports
            .iter()
            .filter(|((server, _, _), (holder, _))| *server == deployment.server && *holder != deployment.id);
        let others = others.map(|(&(_, port, protocol), &(holder, _))| ((port, protocol), holder)).collect();
        let rebound = decide::ports_change(deployment.server, &others, needs, &deployment.ports, asked)?;
        match self.slot_holder(deployment.id) {
            Some(live) if rebound.is_some() => Err(live),
            _ => Ok(rebound),
        }
    }
}

#[async_trait]
impl DeploymentStore for MemoryStore {
    async fn deployment_create(&self, new: &NewDeployment, write: &Write) -> Result<Deployment, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            text::check_labels("labels", &new.labels)?;
            if !books.servers.contains_key(&new.server) {
                return Err(missing("server", new.server));
            }
            let config = books.configs.get(&new.config).ok_or_else(|| missing("config", new.config))?;
            decide::ports_cover(&config.body.ports, &new.ports)?;
            if books.deployments.values().any(|deployment| deployment.name == new.name) {
                return Err(DeedError::NameTaken { noun: "deployment", name: new.name.to_string() });
            }
            let of_server = books.ports.iter().filter(|((server, _, _), _)| *server == new.server);
            let held = of_server.map(|(&(_, port, protocol), &(sgc, _))| ((port, protocol), sgc)).collect();
            let ports = decide::ports_take(new.server, &held, &new.ports)?;
            books.last.sgc += 1;
            let id = SgcId(books.last.sgc);
            for binding in &ports {
                books.ports.insert((new.server, binding.host_port, binding.protocol), (id, now));
            }
            let deployment = Deployment {
                id,
                name: new.name.clone(),
                server: new.server,
                config: new.config,
                ports,
                status: DeploymentStatus::Active,
                labels: new.labels.clone(),
                created_at: now,
            };
            books.deployments.insert(id, deployment.clone());
            books.sign(write, "deployment_create", format!("deployment {id}"), json!(deployment), now);
            Ok(deployment)
        })
    }

    async fn deployment_get(&self, id: SgcId) -> Result<Option<Deployment>> {
        Ok(self.read(|books| books.deployments.get(&id).cloned()))
    }

    async fn deployment_by_name(&self, name: &str) -> Result<Option<Deployment>> {
        Ok(self.read(|books| books.deployments.values().find(|it| it.name.as_str() == name).cloned()))
    }

    async fn deployment_list(&self, server: Option<ServerId>, page: Page<SgcId>) -> Result<Vec<Deployment>> {
        let wanted = |deployment: &Deployment| server.is_none_or(|server| deployment.server == server);
        Ok(self.read(|books| super::page_of(&books.deployments, page, wanted)))
    }

    async fn deployment_change(
        &self,
        id: SgcId,
        change: &DeploymentChange,
        write: &Write,
    ) -> Result<Deployment, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            text::check_labels("labels", &change.labels)?;
            let mut changed = books.deployments.get(&id).ok_or_else(|| missing("deployment", id))?.clone();
            decide::same_as_seen("deployment", id, change.seen.as_ref(), &changed)?;
            let config = change.config.unwrap_or(changed.config);
            let needs = &books.configs.get(&config).ok_or_else(|| missing("config", config))?.body.ports;
            if changed.config != config
                && let Some(live) = books.slot_holder(id)
            {
                return Err(live);
            }
            let rebound = books.rebound(&books.ports, &changed, needs, &change.ports)?;
            if let Some(bindings) = rebound {
                rebind(&mut books.ports, &changed, &bindings, now);
                changed.ports = bindings;
            }
            changed.config = config;
            changed.labels.clone_from(&change.labels);
            books.deployments.insert(id, changed.clone());
            books.sign(write, "deployment_change", format!("deployment {id}"), json!(changed), now);
            Ok(changed)
        })
    }

    async fn deployment_delete(&self, id: SgcId, write: &Write) -> Result<(), DeedError> {
        self.deed(|books, now| {
            if books.recall::<()>(write, now)?.is_some() {
                return Ok(());
            }
            if !books.deployments.contains_key(&id) {
                return Err(missing("deployment", id));
            }
            if let Some(live) = books.slot_holder(id) {
                return Err(live);
            }
            books.deployments.remove(&id);
            books.ports.retain(|_, (holder, _)| *holder != id);
            books.sign(write, "deployment_delete", format!("deployment {id}"), json!(null), now);
            Ok(())
        })
    }
}
