//! Deployments and their ports.

use std::collections::BTreeMap;

use async_trait::async_trait;
use manman_core::{
    error::Result,
    id::{ServerId, SgcId},
    model::{
        Deployment, DeploymentStatus, Port, PortBinding, PortNeed, Protocol,
        deployment::{DeploymentChange, NewDeployment, PortRequest},
        text,
    },
    store::{DeedError, DeploymentStore, Page, Write, decide},
};
use serde_json::json;

use super::{
    SqlStore,
    deed::{Deed, Scope, missing},
    map::{self, limit},
};

impl Deed<'_> {
    pub(super) async fn deployment(&mut self, id: SgcId) -> Result<Deployment, DeedError> {
        let query = sqlx::query("SELECT * FROM deployments WHERE id = $1 AND deleted_at IS NULL").bind(id.0);
        let row = self.row(query).await?.ok_or_else(|| missing("deployment", id))?;
        Ok(map::deployment(&row)?)
    }

    /// The session that holds the slot of a deployment, as a refusal.
    pub(super) async fn slot_holder(&mut self, sgc: SgcId) -> Result<Option<DeedError>> {
        let sql = "SELECT * FROM sessions
            WHERE sgc_id = $1 AND state IN ('pending', 'starting', 'running', 'stopping', 'lost')";
        let row = self.row(sqlx::query(sql).bind(sgc.0)).await?;
        let holder = row.as_ref().map(map::session).transpose()?;
        Ok(holder.map(|it| DeedError::SessionLive { session: it.id, sgc, state: it.state }))
    }

    /// The ports that are held on a server.
    async fn held(&mut self, server: ServerId) -> Result<BTreeMap<(Port, Protocol), SgcId>> {
        let query = sqlx::query("SELECT * FROM server_ports WHERE server_id = $1").bind(server.0);
        let mut held = BTreeMap::new();
        for row in self.rows(query).await? {
            let port = map::server_port(&row)?;
            held.insert((port.port, port.protocol), port.sgc);
        }
        Ok(held)
    }

    /// Notes that a deployment holds this port.
    async fn hold(&mut self, server: ServerId, id: SgcId, binding: &PortBinding) -> Result<()> {
        let sql = "INSERT INTO server_ports (server_id, port, protocol, sgc_id, allocated_at)
            VALUES ($1, $2, $3, $4, $5)";
        let query = sqlx::query(sql)
            .bind(server.0)
            .bind(i64::from(binding.host_port))
            .bind(binding.protocol.to_string())
            .bind(id.0)
            .bind(self.now.as_micros());
        // The primary key decides; under the one writer it agrees with what was just read.
        self.run(query).await?;
        Ok(())
    }

    /// Gives a deployment the ports that it is to have, if they are not those it has.
    /// Refused while a session of it has not ended.
    pub(super) async fn rebind(
        &mut self,
        deployment: &Deployment,
        needs: &[PortNeed],
        asked: &[PortRequest],
    ) -> Result<(), DeedError> {
        let Deployment { id, server, ports: bound, .. } = deployment;
        let mut others = self.held(*server).await?;
        others.retain(|_, holder| holder != id);
        let Some(ports) = decide::ports_change(*server, &others, needs, bound, asked)? else {
            return Ok(());
        };
        if let Some(live) = self.slot_holder(*id).await? {
            return Err(live);
        }
        let at = |it: &PortBinding| (it.host_port, it.protocol);
        for left in bound.iter().filter(|old| !ports.iter().any(|new| at(new) == at(old))) {
            let sql = "DELETE FROM server_ports WHERE server_id = $1 AND port = $2 AND protocol = $3";
            let query = sqlx::query(sql).bind(server.0).bind(i64::from(left.host_port));
            self.run(query.bind(left.protocol.to_string())).await?;
        }
        for new in ports.iter().filter(|new| !bound.iter().any(|old| at(new) == at(old))) {
            self.hold(*server, *id, new).await?;
        }
        let query = sqlx::query("UPDATE deployments SET ports = $1 WHERE id = $2");
        self.run(query.bind(map::json(&ports)?).bind(id.0)).await?;
        Ok(())
    }
}

#[async_trait]
impl DeploymentStore for SqlStore {
    async fn deployment_create(&self, new: &NewDeployment, write: &Write) -> Result<Deployment, DeedError> {
        again!(async {
            let mut deed = self.deed("deployment_create", Scope::Server(new.server)).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            text::check_labels("labels", &new.labels)?;
            deed.epoch_of(new.server).await?.ok_or_else(|| missing("server", new.server))?;
            let config = deed.config(new.config).await?;
            decide::ports_cover(&config.body.ports, &new.ports)?;
            let held = deed.held(new.server).await?;
            let sql =
                "INSERT INTO deployments (name, server_id, config_id, ports, status, labels, created_at)
                VALUES ($1, $2, $3, '[]', $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id";
            let query = sqlx::query(sql)
                .bind(new.name.to_string())
                .bind(new.server.0)
                .bind(new.config.0)
                .bind(DeploymentStatus::Active.as_str())
                .bind(map::json(&new.labels)?)
                .bind(deed.now.as_micros());
            let taken = || DeedError::NameTaken { noun: "deployment", name: new.name.to_string() };
            let id = SgcId(deed.insert(query).await?.ok_or_else(taken)?);
            let ports = decide::ports_take(new.server, &held, &new.ports)?;
            for binding in &ports {
                deed.hold(new.server, id, binding).await?;
            }
            let query = sqlx::query("UPDATE deployments SET ports = $1 WHERE id = $2");
            deed.run(query.bind(map::json(&ports)?).bind(id.0)).await?;
            let deployment = deed.deployment(id).await?;
            deed.sign(write, format!("deployment {id}"), json!(deployment)).await?;
            deed.commit().await?;
            Ok(deployment)
        })
    }

    async fn deployment_get(&self, id: SgcId) -> Result<Option<Deployment>> {
        let query = sqlx::query("SELECT * FROM deployments WHERE id = $1 AND deleted_at IS NULL").bind(id.0);
        self.row("deployment_get", query).await?.as_ref().map(map::deployment).transpose()
    }

    async fn deployment_by_name(&self, name: &str) -> Result<Option<Deployment>> {
        let query = sqlx::query("SELECT * FROM deployments WHERE name = $1 AND deleted_at IS NULL");
        let row = self.row("deployment_by_name", query.bind(name.to_owned())).await?;
        row.as_ref().map(map::deployment).transpose()
    }

    async fn deployment_list(&self, server: Option<ServerId>, page: Page<SgcId>) -> Result<Vec<Deployment>> {
        let sql = "SELECT * FROM deployments
            WHERE id > $1 AND ($2 IS NULL OR server_id = $2) AND deleted_at IS NULL ORDER BY id LIMIT $3";
        let query = sqlx::query(sql)
            .bind(page.after.map_or(0, |id| id.0))
            .bind(server.map(|id| id.0))
            .bind(limit(page.limit));
        self.rows("deployment_list", query).await?.iter().map(map::deployment).collect()
    }

    async fn deployment_change(
        &self,
        id: SgcId,
        change: &DeploymentChange,
        write: &Write,
    ) -> Result<Deployment, DeedError> {
        again!(async {
            let mut deed = self.deed("deployment_change", Scope::Deployment(id)).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            text::check_labels("labels", &change.labels)?;
            let before = deed.deployment(id).await?;
            decide::same_as_seen("deployment", id, change.seen.as_ref(), &before)?;
            let config = deed.config(change.config.unwrap_or(before.config)).await?;
            if before.config != config.id
                && let Some(live) = deed.slot_holder(id).await?
            {
                return Err(live);
            }
            deed.rebind(&before, &config.body.ports, &change.ports).await?;
            let query = sqlx::query("UPDATE deployments SET config_id = $1, labels = $2 WHERE id = $3");
            deed.run(query.bind(config.id.0).bind(map::json(&change.labels)?).bind(id.0)).await?;
            let after = deed.deployment(id).await?;
            deed.sign(write, format!("deployment {id}"), json!(after)).await?;
            deed.commit().await?;
            Ok(after)
        })
    }

    async fn deployment_delete(&self, id: SgcId, write: &Write) -> Result<(), DeedError> {
        again!(async {
            let mut deed = self.deed("deployment_delete", Scope::Deployment(id)).await?;
            if deed.recall::<()>(write).await?.is_some() {
                return Ok(());
            }
            deed.deployment(id).await?;
            if let Some(live) = deed.slot_holder(id).await? {
                return Err(live);
            }
            let query = sqlx::query("UPDATE deployments SET deleted_at = $1 WHERE id = $2");
            deed.run(query.bind(deed.now.as_micros()).bind(id.0)).await?;
            deed.run(sqlx::query("DELETE FROM server_ports WHERE sgc_id = $1").bind(id.0)).await?;
            deed.sign(write, format!("deployment {id}"), json!(null)).await?;
            Ok(deed.commit().await?)
        })
    }
}
