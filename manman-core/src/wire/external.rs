//! Control plane to other systems: the exchange `external`.

use serde::{Deserialize, Serialize};

use crate::{
    broker::RoutingKey,
    id::{ServerId, SessionId, SgcId},
    model::Reason,
};

/// What happened, as other systems are told. Also the end of its routing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalKind {
    /// A host is heard.
    HostOnline,
    /// A host said that it goes.
    HostOffline,
    /// A host fell silent.
    HostStale,
    /// A session's game runs.
    SessionStarted,
    /// A session's game is ready for players.
    SessionReady,
    /// An attempt ended and another one follows.
    SessionAttemptEnded,
    /// A session was stopped.
    SessionStopped,
    /// A session ended by itself with exit code 0.
    SessionCompleted,
    /// A session crashed.
    SessionCrashed,
    /// A session never became what was asked.
    SessionFailed,
    /// A session's host fell silent.
    SessionLost,
}

impl ExternalKind {
    /// The routing key under which it is published.
    pub fn key(self) -> &'static str {
        match self {
            Self::HostOnline => "manman.host.online",
            Self::HostOffline => "manman.host.offline",
            Self::HostStale => "manman.host.stale",
            Self::SessionStarted => "manman.session.started",
            Self::SessionReady => "manman.session.ready",
            Self::SessionAttemptEnded => "manman.session.attempt_ended",
            Self::SessionStopped => "manman.session.stopped",
            Self::SessionCompleted => "manman.session.completed",
            Self::SessionCrashed => "manman.session.crashed",
            Self::SessionFailed => "manman.session.failed",
            Self::SessionLost => "manman.session.lost",
        }
    }

    /// [`ExternalKind::key`], parsed.
    pub fn routing_key(self) -> RoutingKey {
        self.key().parse().expect("constant keys are well-formed")
    }
}

/// Something other systems may want to know. (session, revision) tells two of them apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum ExternalEvent {
    /// About a host.
    Host {
        /// What happened.
        event: ExternalKind,
        /// The host.
        name: String,
    },
    /// About a session.
    Session {
        /// What happened.
        event: ExternalKind,
        /// The session.
        session: SessionId,
        /// Its deployment.
        sgc: SgcId,
        /// Its machine.
        server: ServerId,
        /// Its revision that this tells of.
        revision: i64,
        /// The attempt.
        attempt: u32,
        /// The exit code, if it ended with one.
        exit_code: Option<i32>,
        /// Why.
        reason: Reason,
    },
}
