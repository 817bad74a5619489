//! What manager and supervisor say to each other: small files of a version, in the directory
//! of an attempt.

use std::{collections::BTreeMap, path::PathBuf};

use manman_core::{
    clock::Timestamp,
    id::{AttemptId, SgcId},
    model::{Limits, PortBinding, Signal},
    runtime::Owner,
};
use serde::{Deserialize, Serialize};

/// The version of these files. A supervisor is as old as its game: a change that one of an
/// older version cannot live with needs a road for both.
pub const VERSION: u32 = 1;

/// What is to run, and whose it is. Written before anything else, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// Whose it is.
    pub owner: Owner,
    /// Which attempt of which session it is.
    pub run: AttemptId,
    /// Its deployment.
    pub sgc: SgcId,
    /// The keyed digest of the session's spec.
    pub spec_hash: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// Where it is started.
    pub directory: PathBuf,
    /// The user and group it runs as, where that is not the manager's.
    pub user: Option<(u32, u32)>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// The signal that asks it to end.
    pub stop_signal: Signal,
    /// What it may use.
    pub limits: Limits,
    /// Its own cgroup, if it has one.
    pub cgroup: Option<PathBuf>,
    /// The most output in bytes that is kept for those who have not read it.
    pub keep_bytes: u64,
    /// Ports that have to be free before it starts.
    pub ports: Vec<PortBinding>,
}

impl Plan {
    /// The variable of the environment that marks the processes of an attempt, those too
    /// whose parents have ended.
    pub const MARK: &str = "MANMAN_ATTEMPT";

    /// How the processes of this attempt are marked.
    pub fn mark(&self) -> &str {
        self.env.get(Self::MARK).map_or("", String::as_str)
    }
}

/// A process, told from every other one of this run of the machine: pids come again, the pair
/// does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// When it was started, in clock ticks since the machine was (proc_pid_stat(5), field 22).
    pub start: u64,
}

/// The process of an attempt. Written before its program is loaded, so what lives is known;
/// renamed once it is, so that nobody takes for a game what cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The game's main process.
    pub game: Process,
    /// Which run of the machine it belongs to.
    pub boot: String,
    /// When it was started.
    pub at: Timestamp,
}

/// How a start went, as the supervisor tells the manager that waits for it: one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Launched {
    /// The program is loaded and runs.
    Running,
    /// It cannot be loaded: the error number of the call, and which step it was.
    NotLoaded {
        /// errno(3).
        errno: i32,
        /// What was tried.
        what: String,
    },
    /// It has been started before, or is being started.
    Again,
    /// The supervisor cannot do its part.
    Failed(String),
}
