//! Deployments: a game config on a server, with its ports.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Labels, Name, Port, PortAsk, PortBinding, Protocol};
use crate::{
    clock::Timestamp,
    id::{ConfigId, ServerId, SgcId},
};

/// Whether a deployment may be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentStatus {
    /// It may.
    #[default]
    Active,
    /// Its session may go on, no new one begins.
    Draining,
    /// It is on its way out.
    Deleting,
}

impl DeploymentStatus {
    /// Its name, as stores and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Deleting => "deleting",
        }
    }
}

impl fmt::Display for DeploymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A game config deployed to a server (ServerGameConfig, short SGC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: SgcId,
    /// Its name, unique in the installation.
    pub name: Name,
    /// The machine it runs on.
    pub server: ServerId,
    /// How it runs.
    pub config: ConfigId,
    /// The ports it holds, from creation to deletion.
    pub ports: Vec<PortBinding>,
    /// Whether it may be started.
    pub status: DeploymentStatus,
    /// Free labels.
    pub labels: Labels,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A port that a deployment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// The port inside the container.
    pub container_port: Port,
    /// Its protocol.
    pub protocol: Protocol,
    /// Which port of the machine.
    pub ask: PortAsk,
}

/// A deployment to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDeployment {
    /// See [`Deployment::name`].
    pub name: Name,
    /// See [`Deployment::server`].
    pub server: ServerId,
    /// See [`Deployment::config`].
    pub config: ConfigId,
    /// The ports to take, all or none.
    pub ports: Vec<PortRequest>,
    /// Free labels.
    pub labels: Labels,
}

/// What a deployment is to be from now on. Its name, its machine and its files stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentChange {
    /// What it is taken to be now, if that matters.
    pub seen: Option<Deployment>,
    /// See [`Deployment::config`]; the one it has, if absent.
    pub config: Option<ConfigId>,
    /// Which ports of the machine to hold. One that is needed and not named here stays where
    /// it is; where it is nowhere yet, it is asked for by the number it has inside.
    pub ports: Vec<PortRequest>,
    /// See [`Deployment::labels`].
    pub labels: Labels,
}

/// A port of a machine that a deployment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPort {
    /// The machine.
    pub server: ServerId,
    /// The port.
    pub port: Port,
    /// Its protocol.
    pub protocol: Protocol,
    /// Who holds it.
    pub sgc: SgcId,
    /// Since when.
    pub allocated_at: Timestamp,
}
