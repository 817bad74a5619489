//! How a host manager behaves.

use std::time::Duration;

use serde::Deserialize;

use super::{console::ConsoleConfig, plan};
use crate::{
    model::{Capacity, EnvironmentName, Invalid, Name},
    retry::Backoff,
    runtime::EngineInfo,
    uplink::Registration,
};

/// How a host manager behaves. The defaults suit one small machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HostConfig {
    /// The machine's name in the installation. Default `host`.
    pub name: Name,
    /// The environment in the names of containers and directories. Default `production`.
    pub environment: EnvironmentName,
    /// Tells this machine from every other one (`/etc/machine-id`). Default empty.
    ///
    /// A name that another machine holds is not given to this one while that is heard.
    pub machine_id: String,
    /// Tells this run of the machine from others (`/proc/sys/kernel/random/boot_id`).
    /// Default empty: a reboot is then only noticed by the engine.
    pub boot_id: String,
    /// Where players reach the machine. Default none.
    pub public_address: Option<String>,
    /// Takes the name from another machine even though that is still heard. Default false.
    pub take_over: bool,
    /// Milliseconds between heartbeats. Default 2000, 100 to 5000.
    ///
    /// The control plane calls a host stale 10 s after the last beat it received.
    pub heartbeat_millis: u32,
    /// Seconds between two looks at what is wanted, a tenth more or less. Default 30.
    pub snapshot_secs: u32,
    /// Seconds between two looks at all containers. Default 5.
    ///
    /// Events of the engine come sooner; this is for those that get lost.
    pub poll_secs: u32,
    /// Seconds between two searches for what nobody wants any more. Default 300.
    pub sweep_secs: u32,
    /// Seconds that something has to be unwanted before it is removed. Default 300.
    pub orphan_grace_secs: u32,
    /// Seconds without progress after which a start is given up, while the engine answers.
    /// Default 120.
    pub start_patience_secs: u32,
    /// Seconds without a word from a pull after which it is begun anew. Default 300.
    pub pull_stall_secs: u32,
    /// Milliseconds that an end waits for the last lines of its console. Default 2000.
    pub last_lines_millis: u32,
    /// Seconds that a container which has ended is kept for the rest of its console.
    /// Default 60.
    pub drain_secs: u32,
    /// Seconds that the control plane is told not to miss us when we are shut down. Default 60.
    pub going_away_secs: u32,
    /// Milliseconds between two looks at whether somebody else has taken our place, and at
    /// whether ends are on record. Default 4000.
    pub fence_millis: u32,
    /// Seconds after which a call is given up, whatever the backend says. Default 15.
    pub call_secs: u32,
    /// How consoles are kept and shown.
    pub console: ConsoleConfig,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            name: constant("host"),
            environment: constant("production"),
            machine_id: String::new(),
            boot_id: String::new(),
            public_address: None,
            take_over: false,
            heartbeat_millis: 2_000,
            snapshot_secs: 30,
            poll_secs: 5,
            sweep_secs: 300,
            orphan_grace_secs: 300,
            start_patience_secs: 120,
            pull_stall_secs: 300,
            last_lines_millis: 2_000,
            drain_secs: 60,
            going_away_secs: 60,
            fence_millis: 4_000,
            call_secs: 15,
            console: ConsoleConfig::default(),
        }
    }
}

fn constant<T: std::str::FromStr<Err = Invalid>>(text: &str) -> T {
    text.parse().expect("a constant name parses")
}

impl HostConfig {
    /// Refuses what could not work, all of it at once.
    ///
    /// # Errors
    /// One for each field that is out of its bounds.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let hour = 3_600;
        let bounds = [
            ("heartbeat_millis", self.heartbeat_millis, 100, 5_000),
            ("snapshot_secs", self.snapshot_secs, 1, hour),
            ("poll_secs", self.poll_secs, 1, hour),
            ("sweep_secs", self.sweep_secs, 1, 24 * hour),
            ("orphan_grace_secs", self.orphan_grace_secs, 1, 24 * hour),
            ("start_patience_secs", self.start_patience_secs, 1, 24 * hour),
            ("pull_stall_secs", self.pull_stall_secs, 1, 24 * hour),
            ("last_lines_millis", self.last_lines_millis, 0, 10_000),
            ("drain_secs", self.drain_secs, 0, hour),
            ("going_away_secs", self.going_away_secs, 0, hour),
            ("fence_millis", self.fence_millis, 100, 60_000),
            ("call_secs", self.call_secs, 1, 300),
        ];
        let mut wrong: Vec<Invalid> = bounds
            .into_iter()
            .filter(|&(_, value, least, most)| !(least..=most).contains(&value))
            .map(|(field, value, least, most)| {
                Invalid::new(field, format!("{value} is not within {least} to {most}"))
            })
            .collect();
        wrong.extend(self.console.validate().err().map(|invalid| invalid.within("console")));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// How this host registers, with what is known of its engine.
    pub fn registration(&self, engine: Option<&EngineInfo>) -> Registration {
        Registration {
            name: self.name.clone(),
            environment: self.environment.clone(),
            machine_id: self.machine_id.clone(),
            engine_id: engine.map(|engine| engine.id.clone()).unwrap_or_default(),
            capacity: engine.map(capacity).unwrap_or_default(),
            public_address: self.public_address.clone(),
            take_over: self.take_over,
        }
    }

    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_millis.into())
    }

    pub(super) fn snapshot(&self) -> Duration {
        secs(self.snapshot_secs)
    }

    pub(super) fn poll(&self) -> Duration {
        secs(self.poll_secs)
    }

    pub(super) fn sweep(&self) -> Duration {
        secs(self.sweep_secs)
    }

    pub(super) fn orphan_grace(&self) -> Duration {
        secs(self.orphan_grace_secs)
    }

    pub(super) fn start_patience(&self) -> Duration {
        secs(self.start_patience_secs)
    }

    pub(super) fn pull_stall(&self) -> Duration {
        secs(self.pull_stall_secs)
    }

    pub(super) fn last_lines(&self) -> Duration {
        Duration::from_millis(self.last_lines_millis.into())
    }

    pub(super) fn drain(&self) -> Duration {
        secs(self.drain_secs)
    }

    pub(super) fn fence(&self) -> Duration {
        Duration::from_millis(self.fence_millis.into())
    }

    pub(super) fn call(&self) -> Duration {
        secs(self.call_secs)
    }

    /// The waits between tries of anything.
    pub(super) fn backoff(&self, seed: u64) -> Backoff {
        Backoff::new(Duration::from_millis(200), plan::HELD_AT_MOST, seed)
    }
}

/// What a machine has, as its engine tells it.
pub(super) fn capacity(engine: &EngineInfo) -> Capacity {
    Capacity {
        cpus: engine.cpus,
        memory_bytes: engine.memory_bytes,
        engine: engine.version.clone(),
        survives_engine_restart: engine.survives_restart,
    }
}

fn secs(secs: u32) -> Duration {
    Duration::from_secs(secs.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_all_that_is_wrong_is_told() {
        assert_eq!(HostConfig::default().validate(), Ok(()));
        let config: HostConfig =
            serde_json::from_str(r#"{"name":"box","heartbeat_millis":60000,"poll_secs":0}"#).unwrap();
        let fields: Vec<_> =
            config.validate().unwrap_err().into_iter().map(|invalid| invalid.field).collect();
        assert_eq!(fields, ["heartbeat_millis", "poll_secs"]);
        assert!(serde_json::from_str::<HostConfig>(r#"{"pol_secs":1}"#).is_err());
    }
}
