//! The seam to whatever carries messages between control plane and hosts.

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::{
    error::Result,
    id::{ServerId, SessionId},
    model::Invalid,
};

/// The largest message body in bytes: larger ones are refused before they leave.
/// Larger things go through the uplink or the blob store.
pub const MAX_BODY: usize = 256 * 1024;

/// How long a command waits for its host in a queue, far longer than any command counts for
/// (a start for a minute): commands are hints, the snapshot that a host asks for is the truth,
/// and the control plane expires them by its own clock. So what a host that never comes back
/// was told is not kept for ever.
const COMMANDS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a publisher is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// To a host: stored and routed before `Ok`; unrouted is an error.
    Command,
    /// From a host: stored and routed before `Ok`; unrouted is an error.
    Report,
    /// To other systems: stored by whoever is bound, nobody bound is fine.
    Event,
    /// Fire and forget, bounded, may be dropped.
    Telemetry,
}

/// Where messages are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// Between control plane and hosts (`manman`).
    Internal,
    /// For other systems (`external`).
    External,
}

/// What a message is about: words joined by dots, at most 200 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutingKey(String);

impl RoutingKey {
    /// Commands for a host.
    pub fn command(server: ServerId) -> Self {
        Self(format!("command.{server}"))
    }

    /// Reports of a host about itself.
    pub fn host_status(server: ServerId) -> Self {
        Self(format!("status.host.{server}"))
    }

    /// Reports of a host about one of its sessions.
    pub fn session_status(server: ServerId, session: SessionId) -> Self {
        Self(format!("status.session.{server}.{session}"))
    }

    /// Heartbeats of a host.
    pub fn health(server: ServerId) -> Self {
        Self(format!("health.{server}"))
    }

    /// Questions to a host about what its consoles show.
    pub fn ask(server: ServerId) -> Self {
        Self(format!("ask.{server}"))
    }

    /// What a host's consoles show, for the replica that asked.
    pub fn logs(server: ServerId, replica: Uuid) -> Self {
        Self(format!("logs.{server}.{}", replica.simple()))
    }

    /// The receipt of a one-shot command, for a waiting API replica.
    pub fn reply(server: ServerId, command: Uuid) -> Self {
        Self(format!("reply.{server}.{}", command.simple()))
    }

    /// The probe by which a replica of the control plane learns whether what hosts report
    /// arrives.
    pub fn probe(replica: Uuid) -> Self {
        Self(format!("probe.{}", replica.simple()))
    }

    /// What becomes of that replica's probe.
    pub fn echo(replica: Uuid) -> Self {
        Self(format!("echo.{}", replica.simple()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host that may write under this key, or that it is for; `None` for keys that
    /// name no host. A consumer trusts this, not the body.
    pub fn server(&self) -> Option<ServerId> {
        let mut words = self.0.split('.');
        let server = match words.next()? {
            "ask" | "command" | "health" | "logs" | "reply" => words.next()?,
            "status" => words.nth(1)?,
            _ => return None,
        };
        server.parse().ok()
    }
}

impl FromStr for RoutingKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        if text.len() <= 200 && text.split('.').all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("routing_key", "is not words of letters, digits, '_' and '-' joined by dots"))
        }
    }
}

impl fmt::Display for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a queue is bound to: a routing key whose words may be `*` (one word), and whose
/// last one may be `#` (any number of words, none included).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern as brokers write it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` is among what it asks for.
    pub fn matches(&self, key: &RoutingKey) -> bool {
        let mut words = key.as_str().split('.');
        for want in self.0.split('.') {
            match (want, words.next()) {
                ("#", _) => return true,
                ("*", Some(_)) => {}
                (want, Some(word)) if want == word => {}
                _ => return false,
            }
        }
        words.next().is_none()
    }
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same for every try to publish the same thing.
    pub id: Uuid,
    /// Where it goes.
    pub exchange: Exchange,
    /// What it is about.
    pub key: RoutingKey,
    /// What its publisher is promised.
    pub class: Class,
    /// At most [`MAX_BODY`] bytes.
    pub body: Bytes,
}

/// A queue, and what goes into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// What it takes, and from where.
    pub bindings: Vec<(Exchange, Pattern)>,
    /// Whether messages wait in it while nobody consumes, through a restart of the
    /// broker too. What does not is for telemetry: it lives as long as its consumer.
    pub durable: bool,
    /// Whether one consumer at a time gets messages, in order; others stand by.
    pub single_consumer: bool,
    /// The most messages that wait. A durable queue then refuses: `Busy` to the publisher of
    /// a command or a report, while an event goes to all other queues that take it and this
    /// one misses it. A queue that is not durable drops its oldest.
    pub max_messages: usize,
    /// How often a message may be handed out before it goes to the dead letters.
    pub max_deliveries: u32,
    /// How long a message waits in a durable queue before the broker gives it up without
    /// telling its publisher: it is gone, or, where the broker can do no other, a dead letter
    /// whose reason begins with `expired`. It clears up; what counts for how long is said in
    /// messages. `None`: for ever, as what has to be seen does.
    pub max_age: Option<Duration>,
}

impl Queue {
    /// The commands of a host: durable, one consumer, in order.
    pub fn of_host(server: ServerId) -> Self {
        Self {
            name: format!("host-{server}"),
            bindings: vec![(Exchange::Internal, Pattern::new(format!("command.{server}.#")))],
            durable: true,
            single_consumer: true,
            max_messages: 10_000,
            max_deliveries: 20,
            max_age: Some(COMMANDS_KEPT),
        }
    }

    /// Questions to a host; lives as long as the host listens.
    pub fn of_asks(server: ServerId) -> Self {
        Self {
            name: format!("asks-{server}"),
            bindings: vec![(Exchange::Internal, Pattern::new(RoutingKey::ask(server).as_str()))],
            durable: false,
            single_consumer: true,
            max_messages: 1_000,
            max_deliveries: 1,
            max_age: None,
        }
    }

    /// All reports and heartbeats, for the event processors; and their own probes, which
    /// tell them that nothing older is still waiting.
    pub fn of_processor() -> Self {
        Self {
            name: "processor".to_owned(),
            bindings: ["status.#", "health.#", "probe.#"]
                .map(|text| (Exchange::Internal, Pattern::new(text)))
                .into(),
            durable: true,
            single_consumer: false,
            max_messages: 100_000,
            max_deliveries: 20,
            max_age: None,
        }
    }

    /// Echoes of one replica's probes; lives as long as it.
    pub fn of_echoes(replica: Uuid) -> Self {
        Self {
            name: format!("echoes-{}", replica.simple()),
            bindings: vec![(Exchange::Internal, Pattern::new(RoutingKey::echo(replica).as_str()))],
            durable: false,
            single_consumer: true,
            max_messages: 100,
            max_deliveries: 1,
            max_age: None,
        }
    }

    /// What hosts' consoles show, for one API replica; lives as long as it.
    pub fn of_logs(replica: Uuid) -> Self {
        let pattern = format!("logs.*.{}", replica.simple());
        Self {
            name: format!("logs-{}", replica.simple()),
            bindings: vec![(Exchange::Internal, Pattern::new(pattern))],
            durable: false,
            single_consumer: true,
            max_messages: 1_000,
            max_deliveries: 1,
            max_age: None,
        }
    }

    /// Receipts for one API replica; lives as long as it.
    pub fn of_replies(replica: Uuid) -> Self {
        Self {
            name: format!("replies-{}", replica.simple()),
            bindings: vec![(Exchange::Internal, Pattern::new("reply.#"))],
            durable: false,
            single_consumer: true,
            max_messages: 10_000,
            max_deliveries: 1,
            max_age: None,
        }
    }
}

/// A message handed to a consumer. Dropping it without a word gives it back.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// How often it was handed out, this time included; 1 where the broker cannot tell.
    pub attempt: u32,
    /// What becomes of it.
    pub handle: Box<dyn Settle>,
}

/// Settles one delivery.
#[async_trait]
pub trait Settle: fmt::Debug + Send {
    /// It was dealt with for good. On `Err` it may be handed out again.
    async fn ack(self: Box<Self>) -> Result<()>;

    /// It could not be dealt with now: hand it out again after `delay` at the earliest.
    async fn nack(self: Box<Self>, delay: Duration) -> Result<()>;

    /// It can never be dealt with: put it among the dead letters, with why.
    async fn dead(self: Box<Self>, reason: &str) -> Result<()>;
}

/// A message that nobody could deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message, with its id.
    pub message: Message,
    /// The queue in which it was.
    pub queue: String,
    /// Why it is here.
    pub reason: String,
    /// How often it was handed out.
    pub attempts: u32,
}

/// Takes messages from one queue.
///
/// A queue with a single consumer hands out the next message when the last one is
/// settled. What a consumer leaves unsettled when it is dropped goes back to its queue.
#[async_trait]
pub trait Consumer: fmt::Debug + Send {
    /// The next message; waits for one.
    ///
    /// # Errors
    /// Any error means that this consumer is finished: ask the broker for a new one.
    async fn next(&mut self) -> Result<Delivery>;
}

/// Carries messages between control plane and hosts.
///
/// # Contract
/// - **C1** `publish` of a `Command` or `Report` returns `Ok` only when the message is
///   stored and routed to at least one queue; unrouted is `NotFound`. An `Event` that
///   nobody is bound to is `Ok`. `Telemetry` returns at once and may be dropped.
/// - **C2** A timeout or a lost connection means *unknown*: the caller repeats with the
///   same message id.
/// - **C3** Delivery is at least once; duplicates come at any distance in time, also
///   after an ack.
/// - **C4** Messages of one key come in order, one at a time per queue with a single
///   consumer, while nothing is redelivered.
/// - **C5** `nack` hands out again after its delay; after `max_deliveries` a message goes
///   to the dead letters with reason, attempts and its id, and the next one flows.
/// - **C6** The broker expires nothing by itself that a consumer should have seen: what has
///   waited for the `max_age` of its queue, and nothing else.
/// - **C7** Commands wait for a consumer that is away, for that long.
/// - **C8** A full durable queue is `Busy` to the publisher of a `Command` or `Report`, never
///   a silent drop. An `Event` goes to all other queues that take it and is `Ok`: one
///   subscriber that is away for too long holds up no other. What the full one misses the
///   backend counts, and warns of at the first, the second, the fourth, the eighth … of them.
///   A broker that takes nothing at all is an error for each class.
/// - **C9** A consumer that is cut off ends with an error within seconds.
/// - **C10** Topology may be declared again; one that differs is a `Conflict`.
/// - **C11** A body over [`MAX_BODY`] is refused with `Invalid`, here.
/// - **C12** Telemetry never delays the other classes.
///
/// The control plane declares queues, hosts declare nothing durable.
/// `testkit::broker` checks each of these against every implementation.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Makes the queue exist with its bindings.
    async fn declare(&self, queue: &Queue) -> Result<()>;

    /// Removes a queue and what is in it; one that is not there is no error.
    async fn delete(&self, queue: &str) -> Result<()>;

    /// Sends a message, as its class promises.
    async fn publish(&self, message: Message) -> Result<()>;

    /// Begins to take messages from a queue that exists.
    async fn consume(&self, queue: &str) -> Result<Box<dyn Consumer>>;

    /// The newest dead letters, newest first: `limit` of them, or as many as there are. How
    /// many are kept, and for how long, is the backend's to say.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>>;

    /// Puts a dead letter back into the queue that it was in, to be handed out as if for the
    /// first time. Only what is back in its queue is a dead letter no more: who dies on the
    /// way leaves it in both.
    ///
    /// # Errors
    /// `NotFound` if there is no dead letter of that message, or its queue is gone; `Busy`
    /// if its queue is full.
    async fn dead_letter_requeue(&self, message: Uuid) -> Result<()>;

    /// Throws a dead letter away; one that is not there is no error.
    async fn dead_letter_drop(&self, message: Uuid) -> Result<()>;

    /// Whether the broker answers.
    async fn probe(&self) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_topic_exchanges_do() {
        let key = |text: &str| text.parse::<RoutingKey>().unwrap();
        let matches = |pattern: &str, text: &str| Pattern::new(pattern).matches(&key(text));
        assert!(matches("status.#", "status.session.1.2"));
        assert!(matches("command.7.#", "command.7"));
        assert!(!matches("command.7.#", "command.77"));
        assert!(matches("a.*.c", "a.b.c"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(!matches("a.b.c", "a.b"));
    }

    #[test]
    fn a_key_names_its_host() {
        assert_eq!(RoutingKey::session_status(ServerId(3), SessionId(9)).server(), Some(ServerId(3)));
        assert_eq!(RoutingKey::health(ServerId(3)).server(), Some(ServerId(3)));
        assert_eq!("manman.host.online".parse::<RoutingKey>().unwrap().server(), None);
        for bad in ["", "a..b", "a b", ".a"] {
            assert!(bad.parse::<RoutingKey>().is_err(), "{bad:?}");
        }
    }
}
