//! Tokens: what their holders may do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Invalid, Name};
use crate::{clock::Timestamp, id::TokenId};

/// What the holder of a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Run games: everything but tokens, the end of processes, and giving servers up.
    Operator,
    /// Look on.
    Viewer,
    /// Be the host manager of this server, and nothing else.
    Host {
        /// The server.
        server: Name,
    },
    /// Become a host, once.
    Join {
        /// Only this one, if it is set.
        server: Option<Name>,
    },
}

impl Role {
    /// Its name without what it is limited to.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Host { .. } => "host",
            Self::Join { .. } => "join",
        }
    }

    /// The server it is limited to.
    pub fn server(&self) -> Option<&Name> {
        match self {
            Self::Host { server } => Some(server),
            Self::Join { server } => server.as_ref(),
            _ => None,
        }
    }
}

/// SHA-256 of a token: all that is kept of it. Enough for what is random all through.
pub type TokenDigest = [u8; 32];

/// A token to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What people call it; need not be unique. Shown as the actor of what its holder does.
    pub name: Name,
    /// What its holder may do.
    pub role: Role,
    /// Of the token itself.
    pub digest: TokenDigest,
    /// How long it is good for; for ever if absent. Up to ten years.
    pub valid_for: Option<Duration>,
}

impl NewToken {
    /// The longest time that a token may be limited to.
    pub const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

    /// Refuses a time that is none or too long.
    ///
    /// # Errors
    /// What is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        match self.valid_for {
            Some(time) if time < Duration::from_secs(1) => {
                Err(Invalid::new("valid_for", "is shorter than a second"))
            }
            Some(time) if time > Self::LONGEST => Err(Invalid::new("valid_for", "is longer than ten years")),
            _ => Ok(()),
        }
    }
}

/// A token on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub name: Name,
    /// What its holder may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When somebody joined with it: then it is good for that host only.
    pub spent_at: Option<Timestamp>,
}

impl Token {
    /// Whether it is good at `now`, as far as time and people say.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}
