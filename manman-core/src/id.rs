//! Typed ids: an `i64` inside, shown and serialized as the bare number, because
//! labels, directories and routing keys carry it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {noun}; expected {expected}")]
pub struct BadId {
    noun: &'static str,
    expected: &'static str,
    text: String,
}

impl BadId {
    fn new(noun: &'static str, expected: &'static str, text: &str) -> Self {
        Self { noun, expected, text: text.chars().take(64).collect() }
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $noun:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                // Canonical decimal only: "+7" and "007" would be second names for one thing.
                match text.parse::<i64>() {
                    Ok(id) if id > 0 && text.as_bytes()[0].is_ascii_digit() && !text.starts_with('0') => Ok(Self(id)),
                    _ => Err(BadId::new($noun, "a whole number from 1 up", text)),
                }
            }
        }
    )*};
}

ids! {
    /// A machine that runs a host manager.
    ServerId "server id";
    /// A game that can be run, whatever its configuration.
    GameId "game id";
    /// A way to run a game: image, command, ports, stop sequence.
    ConfigId "config id";
    /// A game config deployed to a server with its ports; "deployment" in the user's mouth.
    SgcId "deployment id";
    /// One execution of a deployment, from request to final end. Never reused.
    SessionId "session id";
    /// What somebody shows to be let in.
    TokenId "token id";
}

/// One container or process of a session: attempts count from 1 and never repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The session it belongs to.
    pub session: SessionId,
    /// Its number within the session, from 1.
    pub attempt: u32,
}

impl AttemptId {
    /// Names the `attempt`-th attempt of `session`.
    pub fn new(session: SessionId, attempt: u32) -> Self {
        Self { session, attempt }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session, self.attempt)
    }
}

/// One installation of manman: everything of ours on a machine carries it, and
/// what carries another is never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub Uuid);

impl ClusterId {
    /// Makes a random one (UUID v4).
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The first eight hex digits, which container names carry.
    pub fn short(&self) -> String {
        let mut text = self.0.simple().to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ClusterId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Uuid::parse_str(text).map(Self).map_err(|_| BadId::new("cluster id", "a UUID", text))
    }
}

/// The ordinal number of a host manager's registration. The control plane
/// counts it up at each registration; whoever holds an older one is fenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the changes of what is wanted of a session. A host ignores a desired
/// state whose generation is below the one it journaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_as_the_bare_number() {
        assert_eq!(SessionId(7).to_string(), "7");
        assert_eq!(serde_json::to_string(&SessionId(7)).unwrap(), "7");
        assert_eq!(AttemptId::new(SessionId(7), 2).to_string(), "7.2");
    }

    #[test]
    fn only_canonical_positive_numbers_are_ids() {
        assert_eq!("7".parse(), Ok(SgcId(7)));
        for bad in ["", "0", "-1", "+7", "007", " 7", "7x", "9223372036854775808"] {
            assert!(bad.parse::<SgcId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_id_says_what_is_expected() {
        let said = |bad: BadId| bad.to_string();
        let expected = "\"x\" is not a valid session id; expected a whole number from 1 up";
        assert_eq!("x".parse::<SessionId>().map_err(said), Err(expected.to_owned()));
        let expected = "\"7\" is not a valid cluster id; expected a UUID";
        assert_eq!("7".parse::<ClusterId>().map_err(said), Err(expected.to_owned()));
    }
}
