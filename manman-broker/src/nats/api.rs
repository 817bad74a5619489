//! The few calls of JetStream's API that are needed, each with a deadline.
//!
//! Server 2.9 ignores what it does not know, in silence: whatever is created is compared
//! with what was asked for.

use bytes::Bytes;
use manman_core::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    link::Link,
    translate::{self, ApiError},
};

/// A stream as it is asked for. Durations are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamConfig {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub subjects: Vec<String>,
    pub retention: String,
    pub storage: String,
    pub discard: String,
    pub max_msgs: i64,
    pub max_msgs_per_subject: i64,
    pub max_bytes: i64,
    pub max_age: i64,
    pub num_replicas: usize,
    pub duplicate_window: i64,
    #[serde(default)]
    pub allow_direct: bool,
}

/// A durable pull consumer as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConsumerConfig {
    pub durable_name: String,
    #[serde(default)]
    pub description: String,
    pub deliver_policy: String,
    pub ack_policy: String,
    pub ack_wait: i64,
    pub max_deliver: i64,
    pub max_ack_pending: i64,
    pub max_waiting: i64,
    pub filter_subject: String,
    pub replay_policy: String,
}

/// What the server knows of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct StreamInfo {
    pub config: StreamConfig,
    pub state: StreamState,
}

/// What is in a stream.
#[derive(Debug, Deserialize)]
pub(super) struct StreamState {
    pub first_seq: u64,
    pub last_seq: u64,
    pub messages: u64,
    #[serde(default)]
    pub deleted: Option<Vec<u64>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConsumerInfo {
    pub config: ConsumerConfig,
}

/// What became of a message that was published to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Stored,
    /// The stream is full.
    Full,
    /// There is no stream for its subject.
    Nowhere,
}

/// What a stream says of a message that it has stored.
#[derive(Debug, Deserialize)]
struct Stored {
    stream: String,
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    streams: Option<Vec<String>>,
}

/// What the server answers: an error, or what was asked.
#[derive(Deserialize)]
struct Refused {
    error: ApiError,
}

impl Link {
    /// Calls JetStream's API.
    pub async fn api<A: DeserializeOwned>(
        &self,
        operation: &'static str,
        call: &str,
        request: &impl Serialize,
    ) -> Result<A> {
        let request = serde_json::to_vec(request)
            .map_err(|error| Error::new(ErrorKind::Unexpected, operation, "not written").because(error))?;
        let subject = format!("$JS.API.{call}");
        let Some(answer) = self.ask(operation, &subject, None, request.into()).await? else {
            let message = "nothing at NATS answers for JetStream, check that it is turned on";
            return Err(Error::new(ErrorKind::Unavailable, operation, message));
        };
        read(operation, call, &answer.payload)
    }

    /// Makes a stream exist.
    pub async fn stream_create(&self, operation: &'static str, asked: &StreamConfig) -> Result<()> {
        let made: StreamInfo = self.api(operation, &format!("STREAM.CREATE.{}", asked.name), asked).await?;
        same(operation, "stream", &asked.name, asked, &made.config)
    }

    /// Makes a consumer exist, with a single filter: all that server 2.9 knows.
    pub async fn consumer_create(
        &self,
        operation: &'static str,
        stream: &str,
        asked: &ConsumerConfig,
    ) -> Result<()> {
        let call = format!("CONSUMER.DURABLE.CREATE.{stream}.{}", asked.durable_name);
        let request = serde_json::json!({ "stream_name": stream, "config": asked });
        let made: ConsumerInfo = self.api(operation, &call, &request).await?;
        same(operation, "the consumer of stream", stream, asked, &made.config)
    }

    /// The streams that keep what is published under any of `subject`.
    pub async fn streams_of(&self, operation: &'static str, subject: &str) -> Result<Vec<String>> {
        let request = serde_json::json!({ "subject": subject });
        let names: Names = self.api(operation, "STREAM.NAMES", &request).await?;
        Ok(names.streams.unwrap_or_default())
    }
}

/// Reads what a stream says of a message.
pub(super) fn read_put(operation: &'static str, subject: &str, answer: &Bytes) -> Result<Put> {
    if let Ok(refused) = serde_json::from_slice::<Refused>(answer)
        && translate::is_full(&refused.error)
    {
        return Ok(Put::Full);
    }
    let stored: Stored = read(operation, subject, answer)?;
    tracing::trace!(message.stream = stored.stream, "stored");
    Ok(Put::Stored)
}

/// Reads an answer of JetStream.
pub(super) fn read<A: DeserializeOwned>(operation: &'static str, about: &str, answer: &Bytes) -> Result<A> {
    if let Ok(refused) = serde_json::from_slice::<Refused>(answer) {
        return Err(translate::api(operation, about, &refused.error));
    }
    serde_json::from_slice(answer).map_err(|error| {
        let message = format!("{about}: the answer of the server is not understood");
        Error::new(ErrorKind::Unexpected, operation, message).because(error)
    })
}

fn same<C: PartialEq + std::fmt::Debug>(
    operation: &'static str,
    what: &str,
    name: &str,
    asked: &C,
    found: &C,
) -> Result<()> {
    if asked == found {
        return Ok(());
    }
    let message = format!("{what} {name} exists otherwise: asked for {asked:?}, found {found:?}");
    Err(Error::new(ErrorKind::Conflict, operation, message))
}
