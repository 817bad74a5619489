//! Servers and the ports held on them.

use manman_core::{
    id::{Epoch, ServerId, SgcId},
    model::{Capacity, Health, Invalid, Server, ServerStatus, deployment::ServerPort},
};

use super::{enum_in, enums, id, needed, parsed, port_in, port_out, timestamp_in, timestamp_out};
use crate::api::v1;

enums! {
    ServerStatus <=> ServerStatus:
        Online = ServerStatus::Online, Offline = ServerStatus::Offline, Stale = ServerStatus::Stale;
}

impl From<Server> for v1::Server {
    fn from(server: Server) -> Self {
        let Capacity { cpus, memory_bytes, engine, survives_engine_restart } = server.capacity;
        Self {
            server_id: server.id.0,
            name: server.name.into(),
            status: v1::ServerStatus::from(server.status).into(),
            last_seen: server.last_seen.map(timestamp_out),
            environment: server.environment.into(),
            capacity: Some(v1::Capacity { cpus, memory_bytes, engine, survives_engine_restart }),
            health: server.health.map(|Health { engine_ok, warnings }| v1::Health { engine_ok, warnings }),
            public_address: server.public_address,
            epoch: server.epoch.0,
            machine_id: server.machine_id,
            engine_id: server.engine_id,
            labels: server.labels,
            created_at: Some(timestamp_out(server.created_at)),
        }
    }
}

impl TryFrom<v1::Server> for Server {
    type Error = Invalid;

    fn try_from(server: v1::Server) -> Result<Self, Invalid> {
        let v1::Capacity { cpus, memory_bytes, engine, survives_engine_restart } =
            server.capacity.unwrap_or_default();
        Ok(Self {
            id: id("server_id", server.server_id, ServerId)?,
            name: parsed("name", &server.name)?,
            status: enum_in::<v1::ServerStatus, _>("status", server.status)?,
            last_seen: server.last_seen.map(timestamp_in),
            environment: parsed("environment", &server.environment)?,
            capacity: Capacity { cpus, memory_bytes, engine, survives_engine_restart },
            health: server.health.map(|v1::Health { engine_ok, warnings }| Health { engine_ok, warnings }),
            public_address: server.public_address,
            epoch: Epoch(server.epoch),
            machine_id: server.machine_id,
            engine_id: server.engine_id,
            labels: server.labels,
            created_at: timestamp_in(needed("created_at", server.created_at)?),
        })
    }
}

impl From<ServerPort> for v1::ServerPort {
    fn from(held: ServerPort) -> Self {
        Self {
            server_id: held.server.0,
            port: port_out(held.port),
            protocol: v1::Protocol::from(held.protocol).into(),
            server_game_config_id: held.sgc.0,
            allocated_at: Some(timestamp_out(held.allocated_at)),
        }
    }
}

impl TryFrom<v1::ServerPort> for ServerPort {
    type Error = Invalid;

    fn try_from(held: v1::ServerPort) -> Result<Self, Invalid> {
        Ok(Self {
            server: id("server_id", held.server_id, ServerId)?,
            port: port_in("port", held.port)?,
            protocol: enum_in::<v1::Protocol, _>("protocol", held.protocol)?,
            sgc: id("server_game_config_id", held.server_game_config_id, SgcId)?,
            allocated_at: timestamp_in(needed("allocated_at", held.allocated_at)?),
        })
    }
}
