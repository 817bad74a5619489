//! How the process backend behaves on one machine.

use std::path::PathBuf;

use manman_core::{
    machine::Policy,
    model::{Invalid, RunAs},
};
use serde::{Deserialize, Serialize};

/// How games are run as plain processes of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProcessConfig {
    /// Where the directories of deployments are. Default `/var/lib/manman`. Users that games
    /// run as have to be able to pass through it.
    pub data_dir: PathBuf,
    /// The program that stands beside each game. By default this program itself, whose `main`
    /// then has to begin with [`supervise`](crate::supervise).
    pub supervisor: Option<PathBuf>,
    /// The user (`uid:gid`) of games that ask for none, where this process is root. Default
    /// `65534:65534`, which is `nobody` on Debian. Elsewhere they run as this process does.
    pub user: String,
    /// A directory of the cgroup (version 2) hierarchy that is this manager's to divide. By
    /// default the parent of our own cgroup, if ours is called `manager` and the parent is
    /// ours to write to, which is what systemd makes of `Delegate=yes` and
    /// `DelegateSubgroup=manager`.
    pub cgroup: Option<PathBuf>,
    /// The free space in bytes below which no game is prepared. Default 256 MiB.
    pub min_free_bytes: u64,
    /// Tells one run of the machine from the next one. Default: what the kernel says, in
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// What games may ask of this machine.
    pub policy: Policy,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/manman".into(),
            supervisor: None,
            user: "65534:65534".to_owned(),
            cgroup: None,
            min_free_bytes: 256 << 20,
            boot_id: None,
            policy: Policy::default(),
        }
    }
}

impl ProcessConfig {
    /// The defaults with games' directories beneath `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), ..Self::default() }
    }

    /// Says everything that is wrong with it, at once.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut wrong = Vec::new();
        let paths = [
            ("data_dir", Some(&self.data_dir)),
            ("supervisor", self.supervisor.as_ref()),
            ("cgroup", self.cgroup.as_ref()),
        ];
        for (field, path) in paths {
            if let Some(path) = path.filter(|path| !path.is_absolute()) {
                wrong.push(Invalid::new(field, format!("{} is not an absolute path", path.display())));
            }
        }
        match self.user.parse::<RunAs>() {
            Ok(RunAs { uid: 0, .. }) => wrong.push(Invalid::new("user", "games are not run as root")),
            Ok(_) => {}
            Err(invalid) => wrong.push(invalid),
        }
        wrong.extend(self.policy.problems().into_iter().map(|problem| problem.within("policy")));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(ProcessConfig::default().validate(), Ok(()));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let config: ProcessConfig = serde_json::from_value(serde_json::json!({
            "data_dir": "data",
            "supervisor": "manman-supervisor",
            "user": "0:0",
            "cgroup": "games",
            "policy": {"images": ["a b"]},
        }))
        .unwrap();
        let fields: Vec<_> = config.validate().unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(fields, ["data_dir", "supervisor", "cgroup", "user", "policy.images[0]"]);
    }
}
