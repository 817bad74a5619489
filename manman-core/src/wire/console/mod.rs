//! What consoles show, for those who look from another machine: a question from where on,
//! and a page for each. Both are telemetry and may be lost, doubled or late: what makes a
//! console exact is that all in it is numbered, and that who did not get an answer asks
//! again from the same number on.

mod page;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use page::{Item, Page, Pieces};

use crate::{id::SessionId, viewing::Begin};

/// A question of a replica of the API to a host: what does this console show?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who looks. A viewer has one question open at a time.
    pub view: Uuid,
    /// Counts the questions of this viewer from 1. A newer one takes the place of all
    /// before it.
    pub question: u64,
    /// Where the answer goes.
    pub replica: Uuid,
    /// Whose console.
    pub session: SessionId,
    /// From where on.
    pub begin: Begin,
    /// Whether what comes later is asked for too.
    pub follow: bool,
    /// About how many bytes of body the answer may have.
    pub most: u32,
    /// How long the host may wait until there is something to show, in milliseconds.
    pub wait_millis: u32,
}

impl Ask {
    /// See [`Ask::wait_millis`]; no host waits longer than [`Ask::WAIT_MOST`].
    pub fn wait(&self) -> Duration {
        Duration::from_millis(u64::from(self.wait_millis)).min(Self::WAIT_MOST)
    }

    /// The longest that a question is kept.
    pub const WAIT_MOST: Duration = Duration::from_secs(10);
}

/// A host's answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Who asked.
    pub view: Uuid,
    /// The question that this answers.
    pub question: u64,
    /// The answer.
    pub answer: Answer,
}

/// What a host answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What it shows; nothing, if nothing came in time.
    Shown(Page),
    /// Nothing is kept of that session here.
    NotFound,
    /// Too many ask at once: ask again later.
    Busy,
    /// It cannot be read now, and why.
    Failed(String),
}
