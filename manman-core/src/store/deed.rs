//! What deeds take and return.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    broker::Message,
    clock::Timestamp,
    id::{AttemptId, ClusterId, Epoch, ServerId, SessionId, SgcId},
    model::{Capacity, EnvironmentName, Invalid, Name, Session, State, session::Rejected},
    wire::Outcome,
};

/// Who asks: shown in reasons and audits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor(pub String);

impl Actor {
    /// The control plane itself.
    pub fn system() -> Self {
        Self("manman".to_owned())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a repeated request one deed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The RPC that it was given for.
    pub rpc: &'static str,
    /// The caller's key, 1 to 255 bytes.
    pub key: String,
    /// A digest of the request, to tell a repetition from another request.
    pub request: [u8; 32],
}

impl IdempotencyKey {
    /// Refuses keys of other than 1 to 255 bytes and control characters.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.key.is_empty() {
            return Err(Invalid::new("idempotency_key", "is empty"));
        }
        crate::model::text::check("idempotency_key", &self.key, 255)
    }
}

/// Who writes, and under which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who asks.
    pub actor: Actor,
    /// Makes a repetition harmless, where the caller gave one.
    pub idempotency: Option<IdempotencyKey>,
}

impl Write {
    /// A write by `actor` without a key.
    pub fn by(actor: Actor) -> Self {
        Self { actor, idempotency: None }
    }

    /// How long a key is kept.
    pub const KEY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
}

/// A stretch of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<Id> {
    /// After this one, in the list's order; from its beginning if absent.
    pub after: Option<Id>,
    /// At most so many; 1 to 200 at the API.
    pub limit: usize,
}

impl<Id> Page<Id> {
    /// The first `limit`.
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }
}

/// Which sessions a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Of this deployment.
    pub sgc: Option<SgcId>,
    /// Of this server.
    pub server: Option<ServerId>,
    /// In one of these states; in any, if empty.
    pub states: Vec<State>,
}

/// A host manager that comes to register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The server's name.
    pub name: Name,
    /// The environment in its names.
    pub environment: EnvironmentName,
    /// The machine (`/etc/machine-id`).
    pub machine_id: String,
    /// The engine that it drives.
    pub engine_id: String,
    /// What the machine has.
    pub capacity: Capacity,
    /// Where players reach it.
    pub public_address: Option<String>,
    /// Take the name from another machine even though that is still heard.
    pub take_over: bool,
}

/// What a registered host manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcomed {
    /// The installation.
    pub cluster: ClusterId,
    /// The server.
    pub server: ServerId,
    /// The registration that is valid from now on.
    pub epoch: Epoch,
}

/// Where a report comes from: the key that makes it one deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The message.
    pub message: Uuid,
    /// The host, as the broker knows it.
    pub server: ServerId,
    /// Its registration.
    pub epoch: Epoch,
    /// Counts its messages.
    pub sequence: i64,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// It changed something.
    Changed,
    /// It said what was known.
    Same,
    /// It was applied before, or a later one of its session was.
    Duplicate,
    /// Its sender has been replaced, or was never registered.
    Fenced,
    /// The state table refuses it, or it is about nothing of its sender's.
    Illegal(IllegalReport),
}

/// Why a report could not be applied. Counted and kept, never retried.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum IllegalReport {
    /// The state table refuses it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// No such session on that server.
    #[error("server {server} has no session {session}")]
    NoSession {
        /// The sender.
        server: ServerId,
        /// The session it spoke of.
        session: SessionId,
    },
}

/// A report that could not be applied, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedReport {
    /// When it came.
    pub at: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// The session it spoke of.
    pub session: SessionId,
    /// Why it was refused, for people.
    pub why: String,
    /// The report as JSON.
    pub report: String,
}

/// The reports that could not be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedReports {
    /// How many there were, since the store was made.
    pub total: i64,
    /// The latest of them, newest first; a store keeps at least [`RefusedReports::KEPT`].
    pub latest: Vec<RefusedReport>,
}

impl RefusedReports {
    /// How many are kept; older ones are only counted.
    pub const KEPT: usize = 1000;
}

/// An entry of the audit: who wrote what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts the entries.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The deed (`session_start`).
    pub deed: String,
    /// What it was done to (`session 7`).
    pub object: String,
}

/// What a start made, or found.
#[derive(Clone, Debug, PartialEq)]
pub struct StartOutcome {
    /// The session.
    pub session: Session,
    /// Whether a repetition of the same request found it.
    pub repeated: bool,
}

/// Where a one-shot command is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandState {
    /// Nobody has answered for it.
    Sent,
    /// Somebody has.
    Settled(Outcome),
}

/// A one-shot command on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// Its id.
    pub id: Uuid,
    /// The attempt it is for.
    pub run: AttemptId,
    /// The machine.
    pub server: ServerId,
    /// Until when it may be done.
    pub not_after: Timestamp,
    /// What became of it.
    pub state: CommandState,
}

/// A message that is to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    /// What is to be published; its id is the row's.
    pub message: Message,
    /// How often it was tried.
    pub tries: u32,
}
