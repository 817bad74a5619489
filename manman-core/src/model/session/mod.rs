//! Sessions: one request to run a deployment, to its final end.

mod table;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use table::{Event, Rejected, Standing, Transition};

use super::Reason;
use crate::{
    clock::Timestamp,
    id::{Generation, ServerId, SessionId, SgcId},
};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, as stores and the API write it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named! {
    /// Where a session is, as far as is known.
    State {
        /// Asked for; no host has taken it up.
        Pending = "pending",
        /// A host is at it; the [`Phase`] says what.
        Starting = "starting",
        /// Its game runs.
        Running = "running",
        /// It is being stopped as asked.
        Stopping = "stopping",
        /// End: stopped as asked, whatever its exit code.
        Stopped = "stopped",
        /// End: exit code 0 by itself.
        Completed = "completed",
        /// End: ended by itself with another code, killed or removed by somebody else,
        /// or gone with the engine.
        Crashed = "crashed",
        /// End: it never became what was asked.
        Failed = "failed",
        /// The host is silent and nobody knows. Not an end.
        Lost = "lost",
    }
}

impl State {
    /// Whether nothing can follow.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Crashed | Self::Failed)
    }
}

named! {
    /// What a starting session is at.
    Phase {
        /// The host has written it down.
        Accepted = "accepted",
        /// Its image is being fetched.
        Pulling = "pulling",
        /// Its files are being installed.
        Installing = "installing",
        /// Its directories and network are being made.
        Preparing = "preparing",
        /// Its container is being created.
        Creating = "creating",
        /// It was started and is not ready yet.
        Booting = "booting",
        /// It waits for the next attempt.
        Backoff = "backoff",
    }
}

/// How a session is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopMode {
    /// As its stop plan says.
    Graceful,
    /// At once.
    Kill,
}

/// What is wanted of a session. Owned by the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    /// That it runs. The number counts restarts by hand: each one more asks for one
    /// attempt more.
    Run {
        /// How often a restart was asked for.
        restarts: u32,
    },
    /// That it does not run.
    Stop(StopMode),
}

/// One request to run a deployment, to its final end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What it runs.
    pub sgc: SgcId,
    /// Where it runs.
    pub server: ServerId,
    /// What is wanted of it.
    pub want: Want,
    /// Counts the changes of `want`.
    pub generation: Generation,
    /// Where it is.
    pub state: State,
    /// What it is at while it is starting.
    pub phase: Option<Phase>,
    /// How far a long phase is, for people (`12 of 80 MB`).
    pub progress: Option<String>,
    /// The highest attempt that was seen; 0 before the first.
    pub attempt: u32,
    /// Why it is where it is.
    pub reason: Reason,
    /// Counts the changes of what was seen.
    pub revision: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Until when a start may begin.
    pub not_after: Timestamp,
    /// When its game was first seen running.
    pub started_at: Option<Timestamp>,
    /// When its game was ready.
    pub ready_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The exit code of its last attempt, if that ended.
    pub exit_code: Option<i32>,
    /// Whether the kernel ended something in it for lack of memory.
    pub out_of_memory: bool,
    /// The last lines of its console, kept at its end.
    pub last_lines: Vec<String>,
}

impl Session {
    /// What the state table needs of it.
    pub fn standing(&self) -> Standing {
        Standing { state: self.state, attempt: self.attempt, phase: self.phase }
    }
}

/// What is on record of one attempt of a session: what exactly ran, and how it ended. What
/// nobody reported is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// The digest of the image that ran.
    pub image_digest: Option<String>,
    /// The hash of the rendered spec, keyed with the installation's secret.
    pub spec_hash: Option<String>,
    /// The version of the host manager that saw it run.
    pub manager_version: Option<String>,
    /// When its game was first seen running.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// Why it ended.
    pub reason: Option<Reason>,
}

impl Attempt {
    /// One of which nothing else is known.
    pub fn new(number: u32) -> Self {
        Self {
            number,
            image_digest: None,
            spec_hash: None,
            manager_version: None,
            started_at: None,
            ended_at: None,
            exit_code: None,
            reason: None,
        }
    }

    /// The same, with what `later` adds; what is on record stands.
    pub fn or(self, later: Self) -> Self {
        Self {
            number: self.number,
            image_digest: self.image_digest.or(later.image_digest),
            spec_hash: self.spec_hash.or(later.spec_hash),
            manager_version: self.manager_version.or(later.manager_version),
            started_at: self.started_at.or(later.started_at),
            ended_at: self.ended_at.or(later.ended_at),
            exit_code: self.exit_code.or(later.exit_code),
            reason: self.reason.or(later.reason),
        }
    }
}

/// An entry of a session's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// The session's revision that it made.
    pub revision: i64,
    /// When it was recorded.
    pub at: Timestamp,
    /// The state.
    pub state: State,
    /// The phase.
    pub phase: Option<Phase>,
    /// The attempt.
    pub attempt: u32,
    /// Whether nobody saw this state: a report jumped over it.
    pub not_seen: bool,
    /// Why.
    pub reason: Reason,
}
