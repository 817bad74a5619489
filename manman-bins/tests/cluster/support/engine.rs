//! What of a cluster is at the engine.

use std::{fs, process::Command};

use super::{Cluster, PATIENCE, Ran, until};

/// Asks the engine by its own client.
pub fn docker(args: &[&str]) -> String {
    Ran::of(Command::new("docker").args(args)).out.trim().to_owned()
}

impl Cluster {
    /// What is at the engine of this cluster.
    pub fn containers(&self) -> Vec<String> {
        let label = format!("label=manman.environment={}", self.environment);
        docker(&["ps", "-aq", "--no-trunc", "--filter", &label]).lines().map(str::to_owned).collect()
    }

    /// The container of the latest session of a deployment.
    #[track_caller]
    pub fn container(&self, name: &str) -> String {
        let session = format!("label=manman.session_id={}", self.session(name)["session_id"]);
        let environment = format!("label=manman.environment={}", self.environment);
        let all = docker(&["ps", "-aq", "--no-trunc", "--filter", &environment, "--filter", &session]);
        assert_eq!(all.lines().count(), 1, "the containers of {name}: {all:?}");
        all
    }

    /// Has the game of a deployment crash with 42, as by itself: nobody has to be told.
    #[track_caller]
    pub fn crash(&self, name: &str) {
        let container = self.container(name);
        let first = docker(&["inspect", "-f", "{{.State.Pid}}", &container]);
        until("the game can be told to crash", PATIENCE, || {
            let started = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).ok()?;
            started.split_whitespace().any(catches_usr1).then_some(())
        });
        docker(&["kill", "-s", "USR1", &container]);
    }

    pub(super) fn networks(&self) -> Vec<String> {
        let label = format!("label=manman.environment={}", self.environment);
        docker(&["network", "ls", "-q", "--filter", &label]).lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn await_nothing_left(&self) {
        until("containers and networks are gone", PATIENCE, || {
            (self.containers().is_empty() && self.networks().is_empty()).then_some(())
        });
    }
}

/// Whether a process has said what it does when it gets that signal.
fn catches_usr1(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set >> 9 & 1 == 1)
}
