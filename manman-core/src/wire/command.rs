//! Control plane to host.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    id::{AttemptId, SessionId},
    model::ConsoleLine,
};

/// A command for a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum Command {
    /// Hint: this session is to run. The host asks for its desired state.
    Start {
        /// The session.
        session: SessionId,
    },
    /// Hint: this session is not to run.
    Stop {
        /// The session.
        session: SessionId,
    },
    /// Hint: this session is to be killed.
    Kill {
        /// The session.
        session: SessionId,
    },
    /// Hint: this session is to be restarted.
    Restart {
        /// The session.
        session: SessionId,
    },
    /// Hint: ask for everything.
    Snapshot {},
    /// One-shot: write a line to a game's stdin.
    Input(OneShot<ConsoleLine>),
}

/// A command that is done once or not at all, and whose outcome is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneShot<T> {
    /// Its id: a host that has seen it does nothing.
    pub id: Uuid,
    /// The attempt it is meant for; another one refuses it. An attempt of 0 means the
    /// one that runs when it arrives.
    pub run: AttemptId,
    /// Nothing is done after this.
    pub not_after: Timestamp,
    /// What is to be done.
    pub what: T,
}

/// What became of a one-shot command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not done, and why.
    Refused(String),
    /// It may or may not have been done, and why nobody knows.
    Unknown(String),
}
