//! Machines.

use std::time::Duration;

use async_trait::async_trait;
use manman_core::{
    clock::Timestamp,
    error::Result,
    id::{Epoch, ServerId, SessionId},
    model::{Server, ServerStatus, deployment::ServerPort},
    store::{
        Actor, Applied, DeedError, Page, Registration, ServerStore, Source, Welcomed, Write,
        decide::{self, Post, Presence},
    },
    wire::{Beat, ExternalEvent, HostReport},
};
use serde_json::json;

use super::{
    SqlStore,
    deed::{Deed, Scope, missing},
    map::{self, limit},
};

impl Deed<'_> {
    async fn presence(&mut self, id: ServerId) -> Result<Option<Presence>> {
        let row = self.row(sqlx::query("SELECT * FROM servers WHERE id = $1").bind(id.0)).await?;
        row.as_ref().map(map::presence).transpose()
    }

    /// The sender of a message, if it speaks for its server.
    async fn sender(&mut self, source: Source) -> Result<Option<Presence>> {
        Ok(self.presence(source.server).await?.filter(|it| it.server.epoch == source.epoch))
    }

    /// Writes a server and tells other systems. One with the id 0 gets its own.
    async fn keep_server(&mut self, presence: &Presence, event: Option<ExternalEvent>) -> Result<ServerId> {
        let server = &presence.server;
        let new = "INSERT INTO servers (status, last_seen, away_until, environment, capacity, health,
                public_address, epoch, machine_id, engine_id, labels, name, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id";
        let known = "UPDATE servers SET status = $1, last_seen = $2, away_until = $3, environment = $4,
                capacity = $5, health = $6, public_address = $7, epoch = $8, machine_id = $9,
                engine_id = $10, labels = $11
            WHERE id = $12 RETURNING id";
        let is_new = server.id == ServerId(0);
        let query = sqlx::query(if is_new { new } else { known })
            .bind(server.status.as_str())
            .bind(server.last_seen.map(Timestamp::as_micros))
            .bind(presence.away_until.map(Timestamp::as_micros))
            .bind(server.environment.to_string())
            .bind(map::json(&server.capacity)?)
            .bind(server.health.as_ref().map(map::json).transpose()?)
            .bind(server.public_address.clone())
            .bind(server.epoch.0)
            .bind(server.machine_id.clone())
            .bind(server.engine_id.clone())
            .bind(map::json(&server.labels)?);
        let query = match is_new {
            true => query.bind(server.name.to_string()).bind(server.created_at.as_micros()),
            false => query.bind(server.id.0),
        };
        let id = ServerId(self.insert(query).await?.unwrap_or(server.id.0));
        if let Some(event) = event {
            let post = Post { server: id, epoch: server.epoch, now: self.now };
            let message = post.event(self.uuid(), &event)?;
            self.post(message, None);
        }
        Ok(id)
    }
}

#[async_trait]
impl ServerStore for SqlStore {
    async fn server_register(
        &self,
        hello: &Registration,
        stale_after: Duration,
    ) -> Result<Welcomed, DeedError> {
        again!(async {
            let mut deed = self.deed("server_register", Scope::All).await?;
            let query = sqlx::query("SELECT * FROM servers WHERE name = $1").bind(hello.name.to_string());
            let before = deed.row(query).await?.as_ref().map(map::presence).transpose()?;
            let (presence, event) =
                decide::registered(before.as_ref(), ServerId(0), hello, stale_after, deed.now)?;
            let server = deed.keep_server(&presence, event).await?;
            let epoch = presence.server.epoch;
            let object = format!("server {server} epoch {epoch}");
            deed.sign(&Write::by(Actor::system()), object, json!(null)).await?;
            deed.commit().await?;
            Ok(Welcomed { cluster: self.cluster, server, epoch })
        })
    }

    async fn server_lift(&self, id: ServerId, held: Epoch) -> Result<bool> {
        again!(async {
            let mut deed = self.deed("server_lift", Scope::Server(id)).await?;
            let Some(known) = deed.epoch_of(id).await? else { return Ok(false) };
            if !decide::lifts(known.0, held.0) {
                return Ok(false);
            }
            let query = sqlx::query("UPDATE servers SET epoch = $1 WHERE id = $2");
            deed.run(query.bind(held.0).bind(id.0)).await?;
            let object = format!("server {id} epoch {held}");
            deed.sign(&Write::by(Actor::system()), object, json!(null)).await?;
            deed.commit().await?;
            Ok(true)
        })
    }

    async fn server_get(&self, id: ServerId) -> Result<Option<Server>> {
        let query = sqlx::query("SELECT * FROM servers WHERE id = $1").bind(id.0);
        let found = self.row("server_get", query).await?.as_ref().map(map::presence).transpose()?;
        Ok(found.map(|it| it.server))
    }

    async fn server_by_name(&self, name: &str) -> Result<Option<Server>> {
        let query = sqlx::query("SELECT * FROM servers WHERE name = $1").bind(name.to_owned());
        let found = self.row("server_by_name", query).await?.as_ref().map(map::presence).transpose()?;
        Ok(found.map(|it| it.server))
    }

    async fn server_list(&self, page: Page<ServerId>) -> Result<Vec<Server>> {
        let query = sqlx::query("SELECT * FROM servers WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(page.after.map_or(0, |id| id.0))
            .bind(limit(page.limit));
        let rows = self.rows("server_list", query).await?;
        rows.iter().map(|row| Ok(map::presence(row)?.server)).collect()
    }

    async fn server_beat(&self, source: Source, beat: &Beat) -> Result<Applied> {
        again!(async {
            let mut deed = self.deed("server_beat", Scope::Server(source.server)).await?;
            let Some(before) = deed.sender(source).await? else { return Ok(Applied::Fenced) };
            let (after, event) = decide::beaten(&before, beat, deed.now);
            let same = before.server.capacity == after.server.capacity;
            let told = event.is_some();
            deed.keep_server(&after, event).await?;
            deed.commit().await?;
            Ok(if same && !told { Applied::Same } else { Applied::Changed })
        })
    }

    async fn server_report(&self, source: Source, report: &HostReport) -> Result<Applied> {
        again!(async {
            let mut deed = self.deed("server_report", Scope::Server(source.server)).await?;
            let Some(before) = deed.sender(source).await? else { return Ok(Applied::Fenced) };
            if !deed.is_first(source).await? {
                return Ok(Applied::Duplicate);
            }
            let (after, event) = decide::reported(&before, report, deed.now);
            let same = event.is_none() && after.away_until == before.away_until;
            deed.keep_server(&after, event).await?;
            deed.commit().await?;
            Ok(if same { Applied::Same } else { Applied::Changed })
        })
    }

    async fn server_sweep(&self, cutoff: Timestamp) -> Result<Vec<Server>> {
        again!(async {
            // Nearly always nobody is silent, and then nothing is locked.
            let sql = "SELECT * FROM servers WHERE (status = 'online' OR away_until IS NOT NULL)
                AND (last_seen IS NULL OR last_seen < $1) ORDER BY id";
            if self.rows("server_sweep", sqlx::query(sql).bind(cutoff.as_micros())).await?.is_empty() {
                return Ok(Vec::new());
            }
            let mut deed = self.deed("server_sweep", Scope::All).await?;
            let mut silent = Vec::new();
            for row in deed.rows(sqlx::query(sql).bind(cutoff.as_micros())).await? {
                let presence = map::presence(&row)?;
                if !decide::is_silent(&presence, cutoff, deed.now) {
                    continue;
                }
                let (presence, event) = decide::silenced(&presence);
                deed.keep_server(&presence, event).await?;
                for session in deed.live_of(presence.server.id).await? {
                    if let Some(change) = decide::lost(&session, deed.now) {
                        deed.keep(change, None).await?;
                    }
                }
                silent.push(presence.server);
            }
            deed.commit().await?;
            Ok(silent)
        })
    }

    async fn server_abandon(&self, id: ServerId, write: &Write) -> Result<Vec<SessionId>, DeedError> {
        again!(async {
            let mut deed = self.deed("server_abandon", Scope::Server(id)).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            let presence = deed.presence(id).await?.ok_or_else(|| missing("server", id))?;
            if presence.server.status == ServerStatus::Online {
                return Err(DeedError::ServerOnline { server: id });
            }
            let mut ended = Vec::new();
            for session in deed.live_of(id).await? {
                if let Some(change) = decide::abandoned(&session, &write.actor, deed.now) {
                    deed.withdraw(session.id).await?;
                    ended.push(deed.keep(change, None).await?.id);
                }
            }
            deed.sign(write, format!("server {id}"), json!(ended)).await?;
            deed.commit().await?;
            Ok(ended)
        })
    }

    async fn server_ports(&self, id: ServerId) -> Result<Vec<ServerPort>> {
        let sql = "SELECT * FROM server_ports WHERE server_id = $1 ORDER BY port, protocol";
        let rows = self.rows("server_ports", sqlx::query(sql).bind(id.0)).await?;
        rows.iter().map(map::server_port).collect()
    }
}
