//! Servers: machines with a host manager.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{EnvironmentName, Labels, Name};
use crate::{
    clock::Timestamp,
    id::{Epoch, ServerId},
};

/// Whether a server's host manager is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerStatus {
    /// It beats.
    Online,
    /// It said that it goes away, or never came.
    #[default]
    Offline,
    /// It fell silent.
    Stale,
}

impl ServerStatus {
    /// Its name, as stores and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Stale => "stale",
        }
    }
}

impl fmt::Display for ServerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capacity {
    /// Processor cores.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The container engine and its version, or what runs games there.
    pub engine: String,
    /// Whether games outlive a restart of the engine (Docker's live-restore).
    pub survives_engine_restart: bool,
}

/// How a host manager says that it is, in its latest beat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether the engine answers.
    pub engine_ok: bool,
    /// What is wrong, for people: at most [`Health::WARNINGS`] of [`Health::WARNING_BYTES`].
    pub warnings: Vec<String>,
}

impl Health {
    /// The most warnings that are kept.
    pub const WARNINGS: usize = 20;

    /// The most bytes that are kept of one.
    pub const WARNING_BYTES: usize = 500;

    /// What keeps it from serving as it should; nothing if all is well.
    pub fn degraded_by(&self) -> Vec<String> {
        // The manager says more of an engine that is away; where it does not, this does.
        if self.engine_ok || !self.warnings.is_empty() {
            return self.warnings.clone();
        }
        vec!["the engine does not answer".to_owned()]
    }
}

/// A machine with a host manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its id.
    pub id: ServerId,
    /// Its name, unique in the installation.
    pub name: Name,
    /// Whether it is heard.
    pub status: ServerStatus,
    /// When it was last heard, by the store's clock.
    pub last_seen: Option<Timestamp>,
    /// The environment in the names of its containers and directories.
    pub environment: EnvironmentName,
    /// What it has.
    pub capacity: Capacity,
    /// How it said it is when it was last heard; absent before the first beat of a
    /// registration.
    pub health: Option<Health>,
    /// Where players reach it, if it said so.
    pub public_address: Option<String>,
    /// Which registration is the valid one.
    pub epoch: Epoch,
    /// The machine that registered last (`/etc/machine-id`).
    pub machine_id: String,
    /// The engine that it drove then.
    pub engine_id: String,
    /// Free labels.
    pub labels: Labels,
    /// When it was first registered.
    pub created_at: Timestamp,
}
