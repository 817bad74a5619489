//! Deployments.

use manman_core::{
    control::DeployRequest,
    id::{ConfigId, ServerId, SgcId},
    model::{
        Deployment, DeploymentStatus, Invalid, PortAsk, PortBinding, deployment::PortRequest, port::MAX_PORTS,
    },
};

use super::{enum_in, enums, id, labels_in, needed, parsed, port_in, port_out, timestamp_in, timestamp_out};
use crate::api::v1;

enums! {
    DeploymentStatus <=> DeploymentStatus:
        Active = DeploymentStatus::Active, Draining = DeploymentStatus::Draining,
        Deleting = DeploymentStatus::Deleting;
}

impl From<PortBinding> for v1::PortBinding {
    fn from(binding: PortBinding) -> Self {
        Self {
            container_port: port_out(binding.container_port),
            host_port: port_out(binding.host_port),
            protocol: v1::Protocol::from(binding.protocol).into(),
        }
    }
}

impl TryFrom<v1::PortBinding> for PortBinding {
    type Error = Invalid;

    fn try_from(binding: v1::PortBinding) -> Result<Self, Invalid> {
        Ok(Self {
            container_port: port_in("container_port", binding.container_port)?,
            host_port: port_in("host_port", binding.host_port)?,
            protocol: enum_in::<v1::Protocol, _>("protocol", binding.protocol)?,
        })
    }
}

impl From<PortRequest> for v1::PortRequest {
    fn from(request: PortRequest) -> Self {
        use v1::port_request::Ask;
        Self {
            container_port: port_out(request.container_port),
            protocol: v1::Protocol::from(request.protocol).into(),
            ask: Some(match request.ask {
                PortAsk::Number(port) => Ask::HostPort(port_out(port)),
                PortAsk::AnyOf(first, last) => {
                    Ask::Any(v1::PortRange { first: port_out(first), last: port_out(last) })
                }
            }),
        }
    }
}

impl TryFrom<v1::PortRequest> for PortRequest {
    type Error = Invalid;

    fn try_from(request: v1::PortRequest) -> Result<Self, Invalid> {
        use v1::port_request::Ask;
        let container_port = port_in("container_port", request.container_port)?;
        let protocol = enum_in::<v1::Protocol, _>("protocol", request.protocol)?;
        let ask = match needed("ask", request.ask)? {
            Ask::HostPort(number) => PortAsk::Number(port_in("host_port", number)?),
            Ask::Any(range) => {
                let (first, last) = (port_in("any.first", range.first)?, port_in("any.last", range.last)?);
                if first > last {
                    return Err(Invalid::new("any", format!("{first} to {last} is a reversed range")));
                }
                PortAsk::AnyOf(first, last)
            }
        };
        Ok(Self { container_port, protocol, ask })
    }
}

impl From<Deployment> for v1::ServerGameConfig {
    fn from(deployment: Deployment) -> Self {
        Self {
            server_game_config_id: deployment.id.0,
            name: deployment.name.into(),
            server_id: deployment.server.0,
            game_config_id: deployment.config.0,
            port_bindings: deployment.ports.into_iter().map(Into::into).collect(),
            status: v1::DeploymentStatus::from(deployment.status).into(),
            labels: deployment.labels,
            created_at: Some(timestamp_out(deployment.created_at)),
        }
    }
}

impl TryFrom<v1::ServerGameConfig> for Deployment {
    type Error = Invalid;

    fn try_from(deployment: v1::ServerGameConfig) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("server_game_config_id", deployment.server_game_config_id, SgcId)?,
            name: parsed("name", &deployment.name)?,
            server: id("server_id", deployment.server_id, ServerId)?,
            config: id("game_config_id", deployment.game_config_id, ConfigId)?,
            ports: deployment.port_bindings.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            status: enum_in::<v1::DeploymentStatus, _>("status", deployment.status)?,
            labels: deployment.labels,
            created_at: timestamp_in(needed("created_at", deployment.created_at)?),
        })
    }
}

impl From<DeployRequest> for v1::DeployGameConfigRequest {
    fn from(request: DeployRequest) -> Self {
        Self {
            name: request.name.map(Into::into),
            server_id: request.server.map(|server| server.0),
            game_config_id: request.config.0,
            ports: request.ports.into_iter().map(Into::into).collect(),
            labels: request.labels,
            idempotency_key: String::new(),
        }
    }
}

impl TryFrom<v1::DeployGameConfigRequest> for DeployRequest {
    type Error = Invalid;

    fn try_from(request: v1::DeployGameConfigRequest) -> Result<Self, Invalid> {
        Ok(Self {
            config: id("game_config_id", request.game_config_id, ConfigId)?,
            name: request.name.map(|name| parsed("name", &name)).transpose()?,
            server: request.server_id.map(|server| id("server_id", server, ServerId)).transpose()?,
            ports: ports_in(request.ports)?,
            labels: labels_in("labels", request.labels)?,
        })
    }
}

/// The ports that a request asks for.
pub fn ports_in(ports: Vec<v1::PortRequest>) -> Result<Vec<PortRequest>, Invalid> {
    let asked = ports.len();
    if asked > MAX_PORTS {
        return Err(Invalid::new("ports", format!("has {asked} entries, {MAX_PORTS} are allowed")));
    }
    let ports = ports.into_iter().enumerate().map(|(index, port)| {
        PortRequest::try_from(port).map_err(|invalid| invalid.within(&format!("ports[{index}]")))
    });
    ports.collect()
}
