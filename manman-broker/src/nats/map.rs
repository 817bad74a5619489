//! Our words as theirs and back: names of streams, subjects, headers.

use async_nats::HeaderMap;
use bytes::Bytes;
use manman_core::{
    broker::{Class, Exchange, Message, Pattern, Queue, RoutingKey},
    error::{Error, ErrorKind, Result},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The consumer of a queue's stream.
pub(super) const TAKE: &str = "take";
/// By which the server knows a repeated message, within two minutes.
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";
pub(super) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
pub(super) const ID: &str = "Manman-Id";
const CLASS: &str = "Manman-Class";
/// Under what a dead letter was stored in its queue.
pub(super) const SUBJECT: &str = "Manman-Subject";
pub(super) const REASON: &str = "Manman-Reason";
pub(super) const ATTEMPTS: &str = "Manman-Attempts";
/// The longest reason that is kept with a dead letter, in characters.
const LONGEST_REASON: usize = 1_000;

/// The names of one installation.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub prefix: String,
}

impl Names {
    pub fn stream(&self, queue: &str) -> String {
        format!("{}_q_{queue}", self.prefix)
    }

    pub fn dead_stream(&self) -> String {
        format!("{}_dead", self.prefix)
    }

    /// What is stored in a queue under a key.
    pub fn stored(&self, queue: &str, exchange: Exchange, key: &str) -> String {
        format!("{}.q.{queue}.{}.{key}", self.prefix, letter(exchange))
    }

    /// All that is stored in a queue.
    pub fn all_stored(&self, queue: &str) -> String {
        format!("{}.q.{queue}.>", self.prefix)
    }

    /// Telemetry.
    pub fn telemetry(&self, exchange: Exchange, key: &str) -> String {
        format!("{}.t.{}.{key}", self.prefix, letter(exchange))
    }

    /// What else is published, for queues that are not durable.
    pub fn live(&self, exchange: Exchange, key: &str) -> String {
        format!("{}.l.{}.{key}", self.prefix, letter(exchange))
    }

    pub fn dead(&self, queue: &str, id: &str) -> String {
        format!("{}.dead.{queue}.{id}", self.prefix)
    }

    /// Where consumers of a queue settle whose turn it is.
    pub fn turn(&self, queue: &str) -> String {
        format!("{}.turn.{queue}", self.prefix)
    }

    /// The queue whose stream it is.
    pub fn queue<'a>(&self, stream: &'a str) -> Option<&'a str> {
        stream.strip_prefix(&self.prefix)?.strip_prefix("_q_")
    }

    /// The message that a subject and its headers are.
    pub fn message(&self, subject: &str, headers: Option<&HeaderMap>, body: Bytes) -> Option<Message> {
        let mut words = subject.strip_prefix(&self.prefix)?.strip_prefix('.')?.splitn(4, '.');
        let exchange_and_key = match words.next()? {
            "q" => (words.nth(1)?, words.next()?),
            "t" | "l" => {
                let rest = subject.get(self.prefix.len() + 3..)?;
                rest.split_once('.')?
            }
            _ => return None,
        };
        let (exchange, key) = exchange_and_key;
        let header = |name| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
        Some(Message {
            // What others wrote is theirs to be judged by whoever takes it.
            id: header(ID).and_then(|id| id.parse().ok()).unwrap_or_else(Uuid::now_v7),
            exchange: exchange_of(exchange)?,
            key: key.parse::<RoutingKey>().ok()?,
            class: header(CLASS).and_then(class_of).unwrap_or(Class::Telemetry),
            body,
        })
    }
}

/// Names become parts of subjects and of streams, so not everything can be one.
pub(super) fn check_name(operation: &'static str, queue: &str) -> Result<()> {
    let is_name = !queue.is_empty()
        && queue.len() <= 128
        && queue.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if is_name {
        return Ok(());
    }
    let message = format!("queue {queue:?} is not named by at most 128 letters, digits, '_' and '-'");
    Err(Error::new(ErrorKind::Invalid, operation, message))
}

/// A message's headers.
pub(super) fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ID, message.id.to_string());
    headers.insert(CLASS, class(message.class));
    headers
}

/// The subjects of a pattern, made by `subject` of a key: `#` takes no word as well.
pub(super) fn subjects(pattern: &Pattern, subject: impl Fn(&str) -> String) -> Vec<String> {
    match pattern.as_str().strip_suffix('#') {
        Some("") => vec![subject(">")],
        Some(stem) => vec![subject(stem.trim_end_matches('.')), subject(&format!("{stem}>"))],
        None => vec![subject(pattern.as_str())],
    }
}

/// A reason as a header can hold it.
pub(super) fn reason(text: &str) -> String {
    text.chars().take(LONGEST_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What is written beside a stream about its queue: a server keeps it word by word, and one
/// that is other than ours makes the stream another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub bindings: Vec<(char, String)>,
    pub single_consumer: bool,
    pub max_messages: usize,
    pub max_deliveries: u32,
}

impl Spec {
    pub fn of(queue: &Queue) -> Self {
        let binding =
            |(exchange, pattern): &(Exchange, Pattern)| (letter(*exchange), pattern.as_str().to_owned());
        Self {
            bindings: queue.bindings.iter().map(binding).collect(),
            single_consumer: queue.single_consumer,
            max_messages: queue.max_messages,
            max_deliveries: queue.max_deliveries,
        }
    }

    pub fn bindings(&self) -> impl Iterator<Item = (Exchange, Pattern)> + '_ {
        self.bindings.iter().filter_map(|(exchange, pattern)| {
            Some((exchange_of(exchange.encode_utf8(&mut [0; 4]))?, Pattern::new(pattern)))
        })
    }
}

fn letter(exchange: Exchange) -> char {
    match exchange {
        Exchange::Internal => 'i',
        Exchange::External => 'e',
    }
}

fn exchange_of(word: &str) -> Option<Exchange> {
    match word {
        "i" => Some(Exchange::Internal),
        "e" => Some(Exchange::External),
        _ => None,
    }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Command => "command",
        Class::Report => "report",
        Class::Event => "event",
        Class::Telemetry => "telemetry",
    }
}

fn class_of(word: &str) -> Option<Class> {
    [Class::Command, Class::Report, Class::Event, Class::Telemetry]
        .into_iter()
        .find(|candidate| class(*candidate) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { prefix: "eu".to_owned() }
    }

    #[test]
    fn a_message_goes_there_and_back() {
        let message = Message {
            id: Uuid::now_v7(),
            exchange: Exchange::External,
            key: "manman.host.online".parse().unwrap(),
            class: Class::Event,
            body: Bytes::from_static(b"{}"),
        };
        let headers = headers(&message);
        let key = message.key.as_str();
        for subject in [
            names().stored("q-7", message.exchange, key),
            names().telemetry(message.exchange, key),
            names().live(message.exchange, key),
        ] {
            let back = names().message(&subject, Some(&headers), message.body.clone());
            assert_eq!(back.as_ref(), Some(&message), "{subject}");
        }
        assert_eq!(names().message("other.t.i.a", None, Bytes::new()), None);
    }

    #[test]
    fn a_hash_takes_no_word_as_well() {
        let as_is = |text: &str| subjects(&Pattern::new(text), str::to_owned);
        assert_eq!(as_is("command.7.#"), ["command.7", "command.7.>"]);
        assert_eq!(as_is("#"), [">"]);
        assert_eq!(as_is("logs.*.x"), ["logs.*.x"]);
    }

    #[test]
    fn a_stream_names_its_queue() {
        assert_eq!(names().queue(&names().stream("host-7")), Some("host-7"));
        assert_eq!(names().queue("eu_dead"), None);
        assert_eq!(names().queue("manman_q_host-7"), None);
    }
}
