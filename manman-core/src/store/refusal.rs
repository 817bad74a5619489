//! Why deeds are not done.

use crate::{
    error::Error,
    id::{ServerId, SessionId, SgcId},
    model::{DeploymentStatus, Invalid, Name, Port, Protocol, State},
};

/// Why a deed was not done. The caller can act on each of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeedError {
    /// The thing named does not exist.
    #[error("there is no {noun} {id}")]
    NotFound {
        /// What kind of thing.
        noun: &'static str,
        /// Which one.
        id: String,
    },
    /// The name is taken.
    #[error("there is already a {noun} named {name}")]
    NameTaken {
        /// What kind of thing.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// A token is told by its digest, and one of that digest is there.
    #[error("the token that is to be {name} is on record already")]
    TokenKnown {
        /// What it was to be called.
        name: Name,
    },
    /// It is not what the caller takes it to be.
    #[error("{noun} {id} was changed meanwhile")]
    ChangedMeanwhile {
        /// What kind of thing.
        noun: &'static str,
        /// Which one.
        id: String,
    },
    /// Something still needs it.
    #[error("{noun} {id} is in use by {by}")]
    InUse {
        /// What kind of thing.
        noun: &'static str,
        /// Which one.
        id: String,
        /// By what.
        by: String,
    },
    /// The port is held.
    #[error("port {port}/{protocol} on server {server} is taken by deployment {holder}")]
    PortTaken {
        /// The port.
        port: Port,
        /// Its protocol.
        protocol: Protocol,
        /// The machine.
        server: ServerId,
        /// Who holds it.
        holder: SgcId,
    },
    /// No port of the range is free.
    #[error("no port from {first} to {last} ({protocol}) is free on server {server}")]
    NoPortFree {
        /// The first of the range.
        first: Port,
        /// The last of the range.
        last: Port,
        /// The protocol.
        protocol: Protocol,
        /// The machine.
        server: ServerId,
    },
    /// What is asked for is not what the config needs.
    #[error("the ports asked for are not those that the config needs: {0}")]
    PortsDiffer(String),
    /// The slot is held.
    #[error("session {session} of deployment {sgc} is {state}")]
    SessionLive {
        /// Who holds it.
        session: SessionId,
        /// The deployment.
        sgc: SgcId,
        /// Where that session is.
        state: State,
    },
    /// It has ended.
    #[error("session {session} has ended: it is {state}")]
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Its end.
        state: State,
    },
    /// It is to be stopped.
    #[error("session {session} is to be stopped and cannot be restarted")]
    SessionStopping {
        /// The session.
        session: SessionId,
    },
    /// Its game does not run.
    #[error("session {session} is {state}, not running")]
    NotRunning {
        /// The session.
        session: SessionId,
        /// Where it is.
        state: State,
    },
    /// The deployment takes no new session.
    #[error("deployment {sgc} is {status}")]
    NotActive {
        /// The deployment.
        sgc: SgcId,
        /// Its status.
        status: DeploymentStatus,
    },
    /// Another machine holds the name and is heard.
    #[error("server {name} is held by another machine that was heard {heard_secs} s ago{}", back(*back_in_secs))]
    ServerTaken {
        /// The name.
        name: Name,
        /// How long ago it was heard.
        heard_secs: u64,
        /// Within which time it said it is back; 0 if it said nothing, or is late.
        back_in_secs: u64,
    },
    /// It is online.
    #[error("server {server} is online")]
    ServerOnline {
        /// The machine.
        server: ServerId,
    },
    /// The key was used for another request.
    #[error("idempotency key {key:?} was used for another {rpc} request")]
    IdempotencyMismatch {
        /// The key.
        key: String,
        /// The RPC.
        rpc: &'static str,
    },
    /// The join token is not good for that.
    #[error("the join token is not valid for server {server}")]
    JoinRefused {
        /// Who wants to join.
        server: Name,
    },
    /// A value that cannot be.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store failed; nothing was written.
    #[error("the store failed")]
    Store(#[from] Error),
}

/// What a machine that is away said, for people.
fn back(within_secs: u64) -> String {
    match within_secs {
        0 => String::new(),
        secs => format!(", and that said it is back within {secs} s"),
    }
}
