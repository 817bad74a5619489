//! The seam from a host to its control plane, for what needs an answer: who am I, what
//! is wanted of me, what exactly is to run, what has arrived.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    blob::{BlobKey, BlobStream, Presigned},
    clock::Timestamp,
    error::Result,
    id::{AttemptId, Epoch, Generation, ServerId, SessionId, SgcId},
    model::{Session, SessionSpec, State, Want},
};

// The host never talks to the store; these words of it are the uplink's too.
pub use crate::store::{Registration, Welcomed};

/// A registered host manager, in every call it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The server.
    pub server: ServerId,
    /// Its registration.
    pub epoch: Epoch,
}

/// A session that a host knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The session.
    pub session: SessionId,
    /// The latest generation that the host holds of it; 0 if it only sees that it runs.
    pub generation: Generation,
}

impl From<SessionId> for Known {
    /// One of which only that is known.
    fn from(session: SessionId) -> Self {
        Self { session, generation: Generation::default() }
    }
}

/// What is wanted of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The session.
    pub session: SessionId,
    /// Its deployment.
    pub sgc: SgcId,
    /// What is wanted.
    pub want: Want,
    /// Counts the changes of `want`: an older one than was journaled is ignored.
    pub generation: Generation,
    /// Until when a first attempt may be created.
    pub not_after: Timestamp,
    /// The highest attempt on record; the next one is above it.
    pub attempt: u32,
    /// Where it is on record. A host that sees it elsewhere (what is `lost` and runs, above
    /// all) says so again.
    pub state: State,
}

impl Desired {
    /// What is wanted of a session, as it is on record.
    pub fn of(session: &Session) -> Self {
        Self {
            session: session.id,
            sgc: session.sgc,
            want: session.want,
            generation: session.generation,
            not_after: session.not_after,
            attempt: session.attempt,
            state: session.state,
        }
    }
}

/// All that is wanted of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken, by the control plane's clock: hosts read deadlines by that one.
    pub taken_at: Timestamp,
    /// Every session of this host that has not ended.
    pub wanted: Vec<Desired>,
    /// Those of the sessions asked about that have ended on record, or that were given
    /// out once and exist no more: what runs of them is to be stopped.
    pub ended: Vec<SessionId>,
    /// Those of the sessions asked about that the control plane cannot have given out:
    /// its store was restored from an old copy. They are left alone, and said.
    pub unknown: Vec<SessionId>,
}

/// What a host asks of its control plane.
///
/// # Contract
/// - `register` may be repeated; each one makes a new epoch, and calls with an older one
///   are `Fenced`. One that was never given out is `NotFound`: the store was restored from
///   an old copy, and registering again helps.
/// - Once `register` has answered, commands for the host are kept for it.
/// - Every query is limited to the calling host: a session of another one is `NotFound`.
/// - A snapshot holds what was committed before it was asked for, with generations beyond
///   those that the host holds: an older one says that the store was restored from an old
///   copy, and is counted on.
/// - A blob is put beneath [`BlobKey::of_host`] of the caller and nowhere else, whole or not
///   at all; the same key again replaces it, so that what broke off is begun anew.
/// - No call retries; every call answers or fails within ten seconds. A put takes as long as
///   its bytes; a stream that gives none for ten seconds is `Timeout`.
///
/// `testkit::uplink` checks each of these against every implementation.
#[async_trait]
pub trait Uplink: fmt::Debug + Send + Sync + 'static {
    /// Says who we are and learns our identity.
    ///
    /// # Errors
    /// `Conflict` if another machine holds the name and is heard.
    async fn register(&self, hello: &Registration) -> Result<Welcomed>;

    /// What is wanted, and what became of the sessions in `known`.
    ///
    /// # Errors
    /// `Fenced` or `NotFound` as the contract says; `Unavailable` or `Timeout` if the control
    /// plane does not answer.
    async fn snapshot(&self, me: HostIdentity, known: &[Known]) -> Result<Snapshot>;

    /// What exactly a session runs. Whoever asks keeps it while the session lives: a config
    /// that is changed meanwhile gives another answer.
    ///
    /// # Errors
    /// `NotFound` if it is no session of this host, or its deployment is gone; else as
    /// [`Uplink::snapshot`].
    async fn spec(&self, me: HostIdentity, session: SessionId) -> Result<SessionSpec>;

    /// Which of these attempts' ends are on record, so that they need not be kept.
    ///
    /// # Errors
    /// As [`Uplink::snapshot`].
    async fn receipts(&self, me: HostIdentity, ends: &[AttemptId]) -> Result<Vec<AttemptId>>;

    /// Stores a blob of this host's, and says how many bytes it has. Memory is bounded
    /// whatever the size. A host that is fenced while it puts one has put it all the same.
    ///
    /// # Errors
    /// `Denied` for a key that is not this host's; `Invalid` if there are more bytes than the
    /// control plane takes; `Timeout` if they come too slowly; `Unsupported` if it keeps no blobs; `Busy` or `Unavailable` if it
    /// takes no more at once; the stream's own error; else as [`Uplink::snapshot`].
    async fn blob_put(&self, me: HostIdentity, key: &BlobKey, bytes: BlobStream) -> Result<u64>;

    /// An address that takes one blob of this host's at `key`, for ten minutes: bytes whose
    /// number is known, 5 GiB at most, need not go through the control plane. `None` where
    /// there are no such addresses; [`Uplink::blob_put`] always does.
    ///
    /// It is good until then, whoever holds it: a host that is fenced meanwhile too.
    ///
    /// # Errors
    /// `Denied` and `Unsupported` as [`Uplink::blob_put`]; else as [`Uplink::snapshot`].
    async fn blob_address(&self, me: HostIdentity, key: &BlobKey) -> Result<Option<Presigned>>;
}
