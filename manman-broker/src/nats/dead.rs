//! Messages that nobody could deal with: a stream of our own, the newest thousands kept.

use async_nats::{HeaderMap, StatusCode};
use futures::{StreamExt as _, stream};
use manman_core::{
    broker::{DeadLetter, Message},
    error::{Error, ErrorKind, Result},
};
use uuid::Uuid;

use super::{
    api::{Put, StreamConfig, StreamInfo},
    backend::{Shared, WINDOW},
    map,
    publish::full_queue,
};
use crate::bury::kept;

/// How many are kept; the oldest go first.
const KEPT: i64 = 10_000;
/// The most that they may take, in bytes.
const KEPT_BYTES: i64 = 1 << 30;
/// How many are read at once.
const AT_ONCE: usize = 16;

/// A dead letter with its place.
struct Found {
    letter: DeadLetter,
    sequence: u64,
}

impl Shared {
    /// Makes the stream of dead letters exist. One that an administrator has made larger or
    /// smaller is left as it is.
    pub async fn declare_dead(&self) -> Result<()> {
        let config = StreamConfig {
            name: self.names.dead_stream(),
            description: "what nobody could deal with".to_owned(),
            subjects: vec![self.names.dead("*", "*")],
            retention: "limits".to_owned(),
            storage: "file".to_owned(),
            discard: "old".to_owned(),
            max_msgs: KEPT,
            // One that died again takes the place of its former self.
            max_msgs_per_subject: 1,
            max_bytes: KEPT_BYTES,
            max_age: 0,
            num_replicas: self.replicas,
            duplicate_window: WINDOW,
            allow_direct: true,
        };
        match self.link.stream_create("declare queue", &config).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other,
        }
    }

    /// Makes a message of a queue a dead letter. `mark` tells one death from another.
    pub async fn bury(
        &self,
        queue: &str,
        mark: &str,
        message: &Message,
        attempts: u32,
        reason: &str,
    ) -> Result<()> {
        let (body, reason) = kept(message, reason);
        let mut headers = map::headers(message);
        headers.insert(map::MESSAGE_ID, format!("{queue}/{mark}"));
        headers.insert(map::REASON, map::reason(&reason).as_str());
        headers.insert(map::ATTEMPTS, attempts.to_string());
        headers.insert(map::SUBJECT, self.names.stored(queue, message.exchange, message.key.as_str()));
        let subject = self.names.dead(queue, &message.id.to_string());
        let what = match self.store("dead letter", &subject, headers, body).await? {
            Put::Stored => return Ok(()),
            Put::Full => format!("stream {} does not drop its oldest", self.names.dead_stream()),
            Put::Nowhere => {
                format!("there is no stream {}: declare the queue again", self.names.dead_stream())
            }
        };
        Err(Error::new(ErrorKind::Unavailable, "dead letter", what))
    }

    /// The newest dead letters, newest first.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        let operation = "dead letters";
        let call = format!("STREAM.INFO.{}", self.names.dead_stream());
        let request = serde_json::json!({ "deleted_details": true });
        let info: StreamInfo = match self.link.api(operation, &call, &request).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        if info.state.messages == 0 {
            return Ok(Vec::new());
        }
        let deleted = info.state.deleted.unwrap_or_default();
        let present = (info.state.first_seq..=info.state.last_seq)
            .rev()
            .filter(|sequence| deleted.binary_search(sequence).is_err());
        let mut found = stream::iter(present.take(limit))
            .map(|sequence| self.dead_letter(operation, serde_json::json!({ "seq": sequence })))
            .buffered(AT_ONCE);
        let mut letters = Vec::new();
        while let Some(letter) = found.next().await {
            // One that has gone meanwhile is none.
            letters.extend(letter?.map(|found| found.letter));
        }
        Ok(letters)
    }

    async fn dead_letter(&self, operation: &'static str, which: serde_json::Value) -> Result<Option<Found>> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.names.dead_stream());
        let Some(answer) = self.link.ask(operation, &subject, None, which.to_string().into()).await? else {
            return Ok(None);
        };
        if answer.status.is_some_and(|status| status != StatusCode::OK) {
            return Ok(None);
        }
        let Some(headers) = answer.headers.as_ref() else { return Ok(None) };
        Ok(self.read_dead(headers, answer.payload.clone()))
    }

    fn read_dead(&self, headers: &HeaderMap, body: bytes::Bytes) -> Option<Found> {
        let header = |name: &str| headers.get(name).map(|value| value.as_str());
        let subject = header("Nats-Subject")?;
        let mut words = subject.strip_prefix(&self.names.prefix)?.strip_prefix(".dead.")?.split('.');
        let letter = DeadLetter {
            message: self.names.message(header(map::SUBJECT)?, Some(headers), body)?,
            queue: words.next()?.to_owned(),
            reason: header(map::REASON)?.to_owned(),
            attempts: header(map::ATTEMPTS)?.parse().ok()?,
        };
        Some(Found { letter, sequence: header("Nats-Sequence")?.parse().ok()? })
    }

    /// Puts the newest dead letter of that message back into its queue, and no other.
    pub async fn dead_letter_requeue(&self, message: Uuid) -> Result<()> {
        let operation = "requeue a dead letter";
        let missing = |what: String| Error::new(ErrorKind::NotFound, operation, what);
        let which = serde_json::json!({ "last_by_subj": self.names.dead("*", &message.to_string()) });
        let Some(Found { letter, sequence }) = self.dead_letter(operation, which).await? else {
            return Err(missing(format!("there is no dead letter {message}")));
        };
        let mut headers = map::headers(&letter.message);
        // Not the id by which the queue knows it from its first time.
        headers.insert(map::MESSAGE_ID, format!("requeued/{message}/{sequence}"));
        let (exchange, key) = (letter.message.exchange, letter.message.key.as_str());
        let subject = self.names.stored(&letter.queue, exchange, key);
        match self.store(operation, &subject, headers, letter.message.body).await? {
            Put::Stored => {}
            Put::Full => return Err(full_queue(operation, &letter.queue)),
            Put::Nowhere => return Err(missing(format!("its queue {} is gone", letter.queue))),
        }
        let call = format!("STREAM.MSG.DELETE.{}", self.names.dead_stream());
        let request = serde_json::json!({ "seq": sequence, "no_erase": true });
        match self.link.api::<serde_json::Value>(operation, &call, &request).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Throws the dead letters of a message away.
    pub async fn dead_letter_drop(&self, message: Uuid) -> Result<()> {
        let call = format!("STREAM.PURGE.{}", self.names.dead_stream());
        let request = serde_json::json!({ "filter": self.names.dead("*", &message.to_string()) });
        match self.link.api::<serde_json::Value>("drop a dead letter", &call, &request).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
