//! Deployments and their ports.

use async_trait::async_trait;
use serde_json::json;

use super::{MemoryStore, books::missing};
use crate::{
    error::Result,
    id::{ServerId, SgcId},
    model::{Deployment, DeploymentStatus, deployment::NewDeployment, text},
    store::{DeedError, DeploymentStore, Page, Write, decide},
};

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

    async fn deployment_delete(&self, id: SgcId, write: &Write) -> Result<(), DeedError> {
        self.deed(|books, now| {
            if books.recall::<()>(write, now)?.is_some() {
                return Ok(());
            }
            if !books.deployments.contains_key(&id) {
                return Err(missing("deployment", id));
            }
            if let Some(held) = books.live.get(&id).and_then(|session| books.sessions.get(session)) {
                let session = &held.session;
                return Err(DeedError::SessionLive { session: session.id, sgc: id, state: session.state });
            }
            books.deployments.remove(&id);
            books.ports.retain(|_, (holder, _)| *holder != id);
            books.sign(write, "deployment_delete", format!("deployment {id}"), json!(null), now);
            Ok(())
        })
    }
}
