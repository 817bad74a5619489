//! Machines.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::{MemoryStore, books::missing};
use crate::{
    clock::Timestamp,
    error::Result,
    id::{Epoch, ServerId, SessionId},
    model::{Server, ServerStatus, deployment::ServerPort},
    store::{Actor, Applied, DeedError, Page, Registration, ServerStore, Source, Welcomed, Write, decide},
    wire::{Beat, HostReport},
};

#[async_trait]
impl ServerStore for MemoryStore {
    async fn server_register(
        &self,
        hello: &Registration,
        stale_after: Duration,
    ) -> Result<Welcomed, DeedError> {
        self.deed(|books, now| {
            let before = books.servers.values().find(|it| it.server.name == hello.name);
            let id = ServerId(books.last.server + 1);
            let (presence, event) = decide::registered(before, id, hello, stale_after, now)?;
            let (server, epoch) = (presence.server.id, presence.server.epoch);
            books.keep_server(presence, event, now)?;
            books.last.server = books.last.server.max(server.0);
            let object = format!("server {server} epoch {epoch}");
            books.sign(&Write::by(Actor::system()), "server_register", object, json!(null), now);
            Ok(Welcomed { cluster: books.cluster, server, epoch })
        })
    }

    async fn server_lift(&self, id: ServerId, held: Epoch) -> Result<bool> {
        self.deed(|books, now| {
            let Some(presence) = books.servers.get_mut(&id) else { return Ok(false) };
            if !decide::lifts(presence.server.epoch.0, held.0) {
                return Ok(false);
            }
            presence.server.epoch = held;
            let object = format!("server {id} epoch {held}");
            books.sign(&Write::by(Actor::system()), "server_lift", object, json!(null), now);
            Ok(true)
        })
    }

    async fn server_get(&self, id: ServerId) -> Result<Option<Server>> {
        Ok(self.read(|books| books.servers.get(&id).map(|it| it.server.clone())))
    }

    async fn server_by_name(&self, name: &str) -> Result<Option<Server>> {
        Ok(self.read(|books| {
            let mut servers = books.servers.values().map(|it| &it.server);
            servers.find(|server| server.name.as_str() == name).cloned()
        }))
    }

    async fn server_list(&self, page: Page<ServerId>) -> Result<Vec<Server>> {
        Ok(self.read(|books| super::page_of(&books.servers, page, |_| true)))
            .map(|found| found.into_iter().map(|it| it.server).collect())
    }

    async fn server_beat(&self, source: Source, beat: &Beat) -> Result<Applied> {
        self.deed(|books, now| {
            let Some(before) = books.servers.get(&source.server).filter(|it| it.server.epoch == source.epoch)
            else {
                return Ok(Applied::Fenced);
            };
            let (after, event) = decide::beaten(before, beat, now);
            let same = before.server.capacity == after.server.capacity;
            let told = event.is_some();
            books.keep_server(after, event, now)?;
            Ok(if same && !told { Applied::Same } else { Applied::Changed })
        })
    }

    async fn server_report(&self, source: Source, report: &HostReport) -> Result<Applied> {
        self.deed(|books, now| {
            if !books.is_current(source) {
                return Ok(Applied::Fenced);
            }
            if !books.is_first(source, now) {
                return Ok(Applied::Duplicate);
            }
            let Some(before) = books.servers.get(&source.server) else { return Ok(Applied::Fenced) };
            let (after, event) = decide::reported(before, report, now);
            let same = event.is_none() && after.away_until == before.away_until;
            books.keep_server(after, event, now)?;
            Ok(if same { Applied::Same } else { Applied::Changed })
        })
    }

    async fn server_sweep(&self, cutoff: Timestamp) -> Result<Vec<Server>> {
        self.deed(|books, now| {
            let silent: Vec<_> = books
                .servers
                .values()
                .filter(|presence| decide::is_silent(presence, cutoff, now))
                .map(decide::silenced)
                .collect();
            let mut servers = Vec::new();
            for (presence, event) in silent {
                let server = presence.server.clone();
                books.keep_server(presence, event, now)?;
                for session in books.live_of(server.id) {
                    if let Some(change) = decide::lost(&session, now) {
                        books.keep(change, None, now)?;
                    }
                }
                servers.push(server);
            }
            Ok(servers)
        })
    }

    async fn server_abandon(&self, id: ServerId, write: &Write) -> Result<Vec<SessionId>, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            let presence = books.servers.get(&id).ok_or_else(|| missing("server", id))?;
            if presence.server.status == ServerStatus::Online {
                return Err(DeedError::ServerOnline { server: id });
            }
            let mut ended = Vec::new();
            for session in books.live_of(id) {
                if let Some(change) = decide::abandoned(&session, &write.actor, now) {
                    books.outbox.withdraw(id, session.id);
                    ended.push(books.keep(change, None, now)?.id);
                }
            }
            books.sign(write, "server_abandon", format!("server {id}"), json!(ended), now);
            Ok(ended)
        })
    }

    async fn server_ports(&self, id: ServerId) -> Result<Vec<ServerPort>> {
        Ok(self.read(|books| {
            let held = books.ports.iter().filter(|((server, _, _), _)| *server == id);
            held.map(|(&(server, port, protocol), &(sgc, allocated_at))| ServerPort {
                server,
                port,
                protocol,
                sgc,
                allocated_at,
            })
            .collect()
        }))
    }
}
