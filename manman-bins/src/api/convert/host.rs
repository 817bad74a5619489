//! What hosts ask and are told.

use manman_core::{
    blob::Presigned,
    id::{AttemptId, Epoch, Generation, ServerId, SessionId, SgcId},
    model::{Capacity, ConfigBody, Invalid, SessionSpec},
    store::{Registration, Welcomed},
    uplink::{Desired, HostIdentity, Known, Snapshot},
};

use super::{enum_in, id, needed, parsed, timestamp_in, timestamp_out};
use crate::api::v1;

impl From<Presigned> for v1::BlobAddress {
    fn from(presigned: Presigned) -> Self {
        let Presigned { method, url, headers } = presigned;
        let header = |(name, value)| v1::blob_address::Header { name, value };
        Self { method, url, headers: headers.into_iter().map(header).collect() }
    }
}

impl From<v1::BlobAddress> for Presigned {
    fn from(address: v1::BlobAddress) -> Self {
        let v1::BlobAddress { method, url, headers } = address;
        Self { method, url, headers: headers.into_iter().map(|it| (it.name, it.value)).collect() }
    }
}

impl From<&Registration> for v1::RegisterHostRequest {
    fn from(hello: &Registration) -> Self {
        let Capacity { cpus, memory_bytes, engine, survives_engine_restart } = hello.capacity.clone();
        Self {
            server_name: hello.name.to_string(),
            environment: hello.environment.to_string(),
            machine_id: hello.machine_id.clone(),
            engine_id: hello.engine_id.clone(),
            capacity: Some(v1::Capacity { cpus, memory_bytes, engine, survives_engine_restart }),
            public_address: hello.public_address.clone(),
            take_over: hello.take_over,
        }
    }
}

impl TryFrom<v1::RegisterHostRequest> for Registration {
    type Error = Invalid;

    fn try_from(request: v1::RegisterHostRequest) -> Result<Self, Invalid> {
        let v1::Capacity { cpus, memory_bytes, engine, survives_engine_restart } =
            request.capacity.unwrap_or_default();
        Ok(Self {
            name: parsed("server_name", &request.server_name)?,
            environment: parsed("environment", &request.environment)?,
            machine_id: bounded("machine_id", request.machine_id)?,
            engine_id: bounded("engine_id", request.engine_id)?,
            capacity: Capacity {
                cpus,
                memory_bytes,
                engine: bounded("engine", engine)?,
                survives_engine_restart,
            },
            public_address: request
                .public_address
                .map(|address| bounded("public_address", address))
                .transpose()?,
            take_over: request.take_over,
        })
    }
}

/// Text of a host that is shown to people.
fn bounded(field: &str, text: String) -> Result<String, Invalid> {
    manman_core::model::text::check(field, &text, 255)?;
    Ok(text)
}

impl From<Welcomed> for v1::RegisterHostResponse {
    fn from(welcomed: Welcomed) -> Self {
        Self {
            cluster_id: welcomed.cluster.to_string(),
            server_id: welcomed.server.0,
            epoch: welcomed.epoch.0,
        }
    }
}

impl TryFrom<v1::RegisterHostResponse> for Welcomed {
    type Error = Invalid;

    fn try_from(response: v1::RegisterHostResponse) -> Result<Self, Invalid> {
        let cluster = response.cluster_id.parse();
        Ok(Self {
            cluster: cluster.map_err(|_| Invalid::new("cluster_id", "is no UUID"))?,
            server: id("server_id", response.server_id, ServerId)?,
            epoch: id("epoch", response.epoch, Epoch)?,
        })
    }
}

impl From<HostIdentity> for v1::HostIdentity {
    fn from(me: HostIdentity) -> Self {
        Self { server_id: me.server.0, epoch: me.epoch.0 }
    }
}

/// Who asks.
pub fn host_in(host: Option<v1::HostIdentity>) -> Result<HostIdentity, Invalid> {
    let host = needed("host", host)?;
    Ok(HostIdentity {
        server: id("host.server_id", host.server_id, ServerId)?,
        epoch: id("host.epoch", host.epoch, Epoch)?,
    })
}

impl From<Desired> for v1::DesiredSession {
    fn from(desired: Desired) -> Self {
        Self {
            session_id: desired.session.0,
            server_game_config_id: desired.sgc.0,
            want: Some(desired.want.into()),
            generation: desired.generation.0,
            not_after: Some(timestamp_out(desired.not_after)),
            attempt: desired.attempt,
            state: v1::SessionState::from(desired.state).into(),
        }
    }
}

impl TryFrom<v1::DesiredSession> for Desired {
    type Error = Invalid;

    fn try_from(desired: v1::DesiredSession) -> Result<Self, Invalid> {
        Ok(Self {
            session: id("session_id", desired.session_id, SessionId)?,
            sgc: id("server_game_config_id", desired.server_game_config_id, SgcId)?,
            want: needed("want", desired.want)?.try_into()?,
            generation: Generation(desired.generation),
            not_after: timestamp_in(needed("not_after", desired.not_after)?),
            attempt: desired.attempt,
            state: enum_in::<v1::SessionState, _>("state", desired.state)?,
        })
    }
}

impl From<Snapshot> for v1::GetSnapshotResponse {
    fn from(snapshot: Snapshot) -> Self {
        let ids = |sessions: Vec<SessionId>| sessions.into_iter().map(|session| session.0).collect();
        Self {
            taken_at: Some(timestamp_out(snapshot.taken_at)),
            wanted: snapshot.wanted.into_iter().map(Into::into).collect(),
            ended_session_ids: ids(snapshot.ended),
            unknown_session_ids: ids(snapshot.unknown),
        }
    }
}

impl TryFrom<v1::GetSnapshotResponse> for Snapshot {
    type Error = Invalid;

    fn try_from(response: v1::GetSnapshotResponse) -> Result<Self, Invalid> {
        Ok(Self {
            taken_at: timestamp_in(needed("taken_at", response.taken_at)?),
            wanted: response.wanted.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            ended: sessions_in("ended_session_ids", response.ended_session_ids)?,
            unknown: sessions_in("unknown_session_ids", response.unknown_session_ids)?,
        })
    }
}

impl From<Known> for v1::KnownSession {
    fn from(known: Known) -> Self {
        Self { session_id: known.session.0, generation: known.generation.0 }
    }
}

/// What a host knows of, at this field.
pub fn known_in(field: &str, known: Vec<v1::KnownSession>) -> Result<Vec<Known>, Invalid> {
    let one = |known: v1::KnownSession| {
        let session = id(field, known.session_id, SessionId)?;
        Ok(Known { session, generation: Generation(known.generation) })
    };
    known.into_iter().map(one).collect()
}

/// Session ids at this field.
fn sessions_in(field: &str, ids: Vec<i64>) -> Result<Vec<SessionId>, Invalid> {
    ids.into_iter().map(|number| id(field, number, SessionId)).collect()
}

impl From<SessionSpec> for v1::GetSessionSpecResponse {
    fn from(spec: SessionSpec) -> Self {
        let body = ConfigBody {
            entrypoint: spec.entrypoint,
            command: spec.command,
            env_template: spec.env,
            data_path: spec.data_path,
            volumes: spec.volumes,
            ports: Vec::new(),
            stop: spec.stop,
            limits: spec.limits,
            capabilities: spec.capabilities,
            user: spec.user,
            tty: spec.tty,
            network: spec.network,
            console: spec.console,
            log: spec.log,
            ..ConfigBody::new(spec.image)
        };
        Self {
            session_id: spec.session.0,
            server_game_config_id: spec.sgc.0,
            body: Some(body.into()),
            port_bindings: spec.ports.into_iter().map(Into::into).collect(),
            hash: spec.hash,
            labels: spec.labels,
        }
    }
}

impl TryFrom<v1::GetSessionSpecResponse> for SessionSpec {
    type Error = Invalid;

    fn try_from(response: v1::GetSessionSpecResponse) -> Result<Self, Invalid> {
        let body = ConfigBody::try_from(needed("body", response.body)?)?;
        let ports = response.port_bindings.into_iter().map(TryInto::try_into);
        Ok(Self {
            session: id("session_id", response.session_id, SessionId)?,
            sgc: id("server_game_config_id", response.server_game_config_id, SgcId)?,
            image: body.image,
            entrypoint: body.entrypoint,
            command: body.command,
            env: body.env_template,
            data_path: body.data_path,
            volumes: body.volumes,
            ports: ports.collect::<Result<_, _>>()?,
            stop: body.stop,
            limits: body.limits,
            capabilities: body.capabilities,
            user: body.user,
            tty: body.tty,
            network: body.network,
            console: body.console,
            log: body.log,
            labels: response.labels,
            hash: response.hash,
        })
    }
}

impl From<AttemptId> for v1::AttemptRef {
    fn from(run: AttemptId) -> Self {
        Self { session_id: run.session.0, attempt: run.attempt }
    }
}

/// Attempts at this field.
pub fn attempts_in(field: &str, runs: Vec<v1::AttemptRef>) -> Result<Vec<AttemptId>, Invalid> {
    let one = |run: v1::AttemptRef| Ok(AttemptId::new(id(field, run.session_id, SessionId)?, run.attempt));
    runs.into_iter().map(one).collect()
}
