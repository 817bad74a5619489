//! What control plane and hosts say to each other: one envelope, JSON payloads,
//! versioned. Readable in any broker's dead letters.

mod command;
mod console;
mod external;
mod report;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub use command::{Command, OneShot, Outcome};
pub use console::{Answer, Ask, Item, Page, Pieces, Told};
pub use external::{ExternalEvent, ExternalKind};
pub use report::{Beat, End, HostReport, Report, SessionReport};

use crate::{
    broker::MAX_BODY,
    clock::Timestamp,
    id::{Epoch, Generation, ServerId},
};

/// The version of the envelope and its payloads that this build speaks.
pub const VERSION: u32 = 1;

/// A message between control plane and host, around its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// See [`VERSION`].
    pub version: u32,
    /// UUID v7, the same for every try to send it.
    pub id: Uuid,
    /// When it was written, by the sender's clock.
    pub issued_at: Timestamp,
    /// After this it is to be dropped and reported, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// The host it is from or for.
    pub server: ServerId,
    /// The registration of that host, as far as the sender knows it.
    pub epoch: Epoch,
    /// The generation of what is wanted that the sender knew of, where there is one.
    #[serde(default)]
    pub generation: Generation,
    /// Counts a host's messages within an epoch; 0 from the control plane.
    #[serde(default)]
    pub sequence: i64,
    /// W3C `traceparent`, if there is a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What it says.
    #[serde(flatten)]
    pub body: T,
}

/// Why bytes are no message for us. The text is fit for a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than [`MAX_BODY`] bytes.
    #[error("too large: {0} bytes")]
    TooLarge(usize),
    /// Not an envelope at all.
    #[error("malformed: {0}")]
    Malformed(String),
    /// An envelope of another version.
    #[error("unsupported_version: {found}, this build speaks {VERSION}")]
    Version {
        /// The version it has.
        found: u64,
    },
}

impl<T: Serialize + DeserializeOwned> Envelope<T> {
    /// The envelope as bytes.
    pub fn encode(&self) -> Result<Bytes, Unreadable> {
        let bytes = serde_json::to_vec(self).map_err(|error| Unreadable::Malformed(error.to_string()))?;
        if bytes.len() > MAX_BODY {
            return Err(Unreadable::TooLarge(bytes.len()));
        }
        Ok(bytes.into())
    }

    /// Reads an envelope; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > MAX_BODY {
            return Err(Unreadable::TooLarge(bytes.len()));
        }
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != u64::from(VERSION) {
            return Err(Unreadable::Version { found: version });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;

    fn envelope() -> Envelope<Command> {
        Envelope {
            version: VERSION,
            id: Uuid::now_v7(),
            issued_at: Timestamp::from_micros(1),
            not_after: None,
            server: ServerId(1),
            epoch: Epoch(2),
            generation: Generation(3),
            sequence: 0,
            trace: None,
            body: Command::Start { session: SessionId(4) },
        }
    }

    #[test]
    fn an_envelope_survives_the_wire() {
        let sent = envelope();
        assert_eq!(Envelope::decode(&sent.encode().unwrap()), Ok(sent));
    }

    #[test]
    fn what_is_unknown_is_refused_with_a_reason() {
        let mut future = envelope();
        future.version = 2;
        assert_eq!(
            Envelope::<Command>::decode(&future.encode().unwrap()),
            Err(Unreadable::Version { found: 2 })
        );
        let text = String::from_utf8(envelope().encode().unwrap().to_vec()).unwrap();
        let unknown = text.replace("\"start\"", "\"dance\"");
        assert!(matches!(Envelope::<Command>::decode(unknown.as_bytes()), Err(Unreadable::Malformed(_))));
    }

    #[test]
    fn truncated_or_flipped_bytes_never_panic() {
        let bytes = envelope().encode().unwrap();
        for cut in 0..bytes.len() {
            assert!(Envelope::<Command>::decode(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                let _ = Envelope::<Command>::decode(&flipped);
            }
        }
    }
}
