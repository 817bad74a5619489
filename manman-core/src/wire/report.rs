//! Host to control plane.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Outcome;
use crate::{
    clock::Timestamp,
    id::SessionId,
    model::{Capacity, Phase, Reason},
};

/// What a host reports. Also what it may say under the keys `status.#` and `health.#`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum Report {
    /// About itself.
    Host(HostReport),
    /// About one of its sessions.
    Session(SessionReport),
    /// It lives.
    Beat(Beat),
}

/// What a host says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostReport {
    /// It serves its games.
    Online,
    /// It goes away for about so many seconds; its games go on.
    GoingAway {
        /// For how long it need not be missed.
        seconds: u32,
    },
}

/// How a session ended, as its host saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// As asked.
    Stopped,
    /// Exit 0 by itself.
    Completed,
    /// Any other way.
    Crashed,
    /// Never became what was asked.
    Failed,
}

/// What a host says about one of its sessions. Latest per session, but for ends, which
/// are kept until they are receipted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionReport {
    /// What a start is at.
    Phase {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// The phase.
        phase: Phase,
        /// How far, for people.
        progress: Option<String>,
        /// Why it is at this, if that is worth a word (a restart, a wait).
        reason: Option<Reason>,
    },
    /// Its game runs.
    Running {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// Since when, by the host's clock.
        started_at: Timestamp,
        /// What exactly runs: the image's digest.
        image_digest: String,
        /// The hash of the spec that it was rendered from; empty if it is not known.
        #[serde(default)]
        spec_hash: String,
        /// The version of the host manager that says so.
        #[serde(default)]
        manager_version: String,
    },
    /// An attempt ended and another one follows.
    AttemptEnded {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// Its exit code.
        exit_code: Option<i32>,
        /// Why.
        reason: Reason,
    },
    /// It ended for good.
    Ended {
        /// The session.
        session: SessionId,
        /// Its last attempt; 0 if there was none.
        attempt: u32,
        /// How.
        end: End,
        /// The exit code of that attempt, if it has one.
        exit_code: Option<i32>,
        /// Whether the kernel killed something in it for lack of memory.
        out_of_memory: bool,
        /// When, by the host's clock.
        at: Timestamp,
        /// Why.
        reason: Reason,
        /// Its last console lines, lossily as UTF-8, oldest first; at most 20 of 500 bytes.
        last_lines: Vec<String>,
    },
    /// What became of a one-shot command.
    Outcome {
        /// The session.
        session: SessionId,
        /// The command.
        command: Uuid,
        /// What became of it.
        outcome: Outcome,
    },
}

impl SessionReport {
    /// The session it is about.
    pub fn session(&self) -> SessionId {
        match self {
            Self::Phase { session, .. }
            | Self::Running { session, .. }
            | Self::AttemptEnded { session, .. }
            | Self::Ended { session, .. }
            | Self::Outcome { session, .. } => *session,
        }
    }
}

/// A heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beat {
    /// What the machine has.
    pub capacity: Capacity,
    /// Sessions with a live game.
    pub running: u32,
    /// Sessions on their way up.
    pub starting: u32,
    /// Whether the engine answers.
    pub engine_ok: bool,
    /// What is wrong, for people; empty as a rule.
    pub warnings: Vec<String>,
}
