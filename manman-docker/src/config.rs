//! How the Docker backend behaves on one machine.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use manman_core::{machine::Policy, model::Invalid};
use serde::{Deserialize, Serialize};

use crate::subnet::Subnet;

/// How games are run on this machine's Docker Engine. The defaults suit a manager
/// that runs beside the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DockerConfig {
    /// The engine's socket. Default `/var/run/docker.sock`.
    pub socket: PathBuf,
    /// Where the directories of deployments are, as this process sees it. Default
    /// `/var/lib/manman`.
    pub data_dir: PathBuf,
    /// The same tree as the engine sees it. By default found by looking at the mounts
    /// of our own container, or the same as `data_dir` where we run in none.
    pub host_data_dir: Option<PathBuf>,
    /// The addresses that networks are cut from. Default `10.213.0.0/16`.
    ///
    /// The engine's own pools are exhausted after some 30 networks.
    pub address_pool: Subnet,
    /// The prefix of a session's own network. Default 28: 4096 of them in the default
    /// pool, 14 addresses each.
    pub session_prefix: u8,
    /// The prefix of a shared network that has to be created. Default 24.
    pub shared_prefix: u8,
    /// The address that ports of games are published on; all of them if absent.
    pub publish_address: Option<IpAddr>,
    /// How long a call may take, in milliseconds. Default 10000.
    ///
    /// Pulls and streams have no such bound; a stop may take its grace and
    /// `stop_margin_millis` longer.
    pub call_timeout_millis: u32,
    /// How much longer than its grace a stop may take, in milliseconds. Default 15000.
    ///
    /// After the kill the engine waits up to 10 s more (moby 20.10, `daemon/stop.go`
    /// and `daemon/kill.go`).
    pub stop_margin_millis: u32,
    /// The free space in bytes below which no game is prepared. Default 256 MiB.
    pub min_free_bytes: u64,
    /// What games may ask of this machine.
    pub policy: Policy,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            socket: "/var/run/docker.sock".into(),
            data_dir: "/var/lib/manman".into(),
            host_data_dir: None,
            address_pool: default_pool(),
            session_prefix: 28,
            shared_prefix: 24,
            publish_address: None,
            call_timeout_millis: 10_000,
            stop_margin_millis: 15_000,
            min_free_bytes: 256 << 20,
            policy: Policy::default(),
        }
    }
}

fn default_pool() -> Subnet {
    "10.213.0.0/16".parse().expect("a constant subnet parses")
}

impl DockerConfig {
    /// The defaults with games' directories beneath `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), ..Self::default() }
    }

    /// Says everything that is wrong with it, at once.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut wrong = Vec::new();
        let mut absolute = |field: &str, path: &PathBuf| {
            if !path.is_absolute() {
                wrong.push(Invalid::new(field, format!("{} is not an absolute path", path.display())));
            }
        };
        absolute("socket", &self.socket);
        absolute("data_dir", &self.data_dir);
        if let Some(path) = &self.host_data_dir {
            absolute("host_data_dir", path);
        }
        for (field, prefix) in
            [("session_prefix", self.session_prefix), ("shared_prefix", self.shared_prefix)]
        {
            // A /29 has room for the gateway and five containers.
            if !(self.address_pool.prefix()..=29).contains(&prefix) {
                let pool = self.address_pool;
                wrong.push(Invalid::new(
                    field,
                    format!("{prefix} is not from {} (of {pool}) to 29", pool.prefix()),
                ));
            }
        }
        for (field, millis) in [
            ("call_timeout_millis", self.call_timeout_millis),
            ("stop_margin_millis", self.stop_margin_millis),
        ] {
            if !(100..=600_000).contains(&millis) {
                wrong.push(Invalid::new(field, format!("{millis} is not within 100 to 600000")));
            }
        }
        wrong.extend(self.policy.problems().into_iter().map(|problem| problem.within("policy")));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.call_timeout_millis))
    }

    pub(crate) fn stop_margin(&self) -> Duration {
        Duration::from_millis(u64::from(self.stop_margin_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(DockerConfig::default().validate(), Ok(()));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let config: DockerConfig = serde_json::from_value(serde_json::json!({
            "socket": "docker.sock",
            "host_data_dir": "data",
            "session_prefix": 30,
            "shared_prefix": 8,
            "call_timeout_millis": 0,
            "policy": {"images": ["a b"]},
        }))
        .unwrap();
        let fields: Vec<_> = config.validate().unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(
            fields,
            [
                "socket",
                "host_data_dir",
                "session_prefix",
                "shared_prefix",
                "call_timeout_millis",
                "policy.images[0]"
            ]
        );
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<DockerConfig>(r#"{"dokcer_socket":"/x"}"#).is_err());
    }
}
