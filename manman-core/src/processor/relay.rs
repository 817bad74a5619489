//! Messages that are to leave, carried from the store's outbox to the broker.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Stats, consume::pause, within::within};
use crate::{
    broker::{Broker, Class, Message, Queue, RoutingKey},
    control::ControlConfig,
    error::{Chain, Error, ErrorKind, Result},
    store::{OutboxMessage, Store},
};

/// Carries messages from the outbox to the broker, each key's in its order. It may be
/// killed anywhere: what is published and not yet marked is published again.
#[derive(Debug)]
pub struct Relay {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    stats: Stats,
}

/// How many messages are on their way to the broker at once, each of another key: the
/// next one of a key waits until the one before it has left.
const AT_ONCE: usize = 16;

/// The longest time between two looks into the outbox: a wake-up may be missed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a round waits for all of its keys. One whose queue does not answer goes on beside
/// the next rounds, and holds up nobody else.
const ROUND: Duration = Duration::from_millis(200);

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// There may be more at once.
    More,
    /// Nothing is due before that.
    Idle(Duration),
    /// The broker does not answer.
    Away,
}

/// What became of the messages of one key.
struct Line {
    key: RoutingKey,
    sent: Vec<Uuid>,
    /// What the first that could not leave met, and when it is tried again; those behind it
    /// wait.
    failed: Option<(ErrorKind, Duration)>,
}

/// The lines that are on their way.
#[derive(Default)]
struct Going<'a> {
    lines: FuturesUnordered<BoxFuture<'a, Line>>,
    keys: HashSet<RoutingKey>,
}

impl Going<'_> {
    async fn next(&mut self) -> Option<Line> {
        let line = self.lines.next().await?;
        self.keys.remove(&line.key);
        Some(line)
    }
}

impl Relay {
    /// Carries from `store` to `broker`.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig, stats: Stats) -> Self {
        Self { store, broker, config, stats }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut backoff = self.config.backoff();
        let mut going = Going::default();
        while !shutdown.is_cancelled() {
            match self.round(&mut going).await {
                Ok(Round::More) => backoff.reset(),
                Ok(Round::Idle(wait)) => {
                    backoff.reset();
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => {}
                        () = self.store.outbox_wait() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
                Ok(Round::Away) => pause(backoff.delay(), &shutdown).await,
                Err(error) => {
                    let wait = backoff.delay();
                    warn!(error = %Chain(&error), "the outbox cannot be used for now, will retry in {wait:?}");
                    pause(wait, &shutdown).await;
                }
            }
        }
    }

    /// Carries what is due: the keys beside each other, the messages of each in their order.
    async fn round<'a>(&'a self, going: &mut Going<'a>) -> Result<Round> {
        let (longest, batch) = (self.config.store_timeout(), self.config.relay_batch as usize);
        let due = within("outbox_due", longest, self.store.outbox_due(batch)).await?;
        let mut waiting = by_key(due);
        waiting.retain(|rows| !going.keys.contains(&rows.0));
        let mut waiting = waiting.into_iter();
        let until = Instant::now() + ROUND;
        let (mut sent, mut next, mut away) = (Vec::new(), LOOK_EVERY, false);
        let mut unanswered = false;
        loop {
            // A broker that is away would take its time for each of the others as well.
            while !away && (!unanswered || !sent.is_empty()) && going.lines.len() < AT_ONCE {
                let Some((key, rows)) = waiting.next() else { break };
                going.keys.insert(key.clone());
                going.lines.push(Box::pin(self.send(key, rows)));
            }
            let Ok(Some(line)) = timeout_at(until, going.next()).await else { break };
            sent.extend(line.sent);
            if let Some((kind, delay)) = line.failed {
                away |= kind == ErrorKind::Unavailable;
                unanswered |= kind == ErrorKind::Timeout;
                next = next.min(delay);
            }
        }
        if !sent.is_empty() {
            within("outbox_sent", longest, self.store.outbox_sent(&sent)).await?;
            self.stats.sent(sent.len());
        }
        if away || (unanswered && sent.is_empty()) {
            return Ok(Round::Away);
        }
        let waits = sent.is_empty() && going.lines.is_empty();
        Ok(if waits { Round::Idle(next) } else { Round::More })
    }

    async fn send(&self, key: RoutingKey, rows: Vec<OutboxMessage>) -> Line {
        let mut line = Line { key, sent: Vec::new(), failed: None };
        for row in rows {
            let id = row.message.id;
            let Err(error) = self.publish(row.message).await else {
                line.sent.push(id);
                continue;
            };
            let delay = self.config.delay_after(row.tries);
            warn!(error = %Chain(&error), message.key = %line.key, "a message cannot leave, will retry in {delay:?}");
            self.stats.send_failed(1);
            self.note(id, &error, delay).await;
            line.failed = Some((error.kind(), delay));
            break;
        }
        line
    }

    /// Notes in the store that it could not leave.
    async fn note(&self, id: Uuid, error: &Error, delay: Duration) {
        let why = Chain(error).to_string();
        let noted = self.store.outbox_failed(id, &why, delay);
        if let Err(error) = within("outbox_failed", self.config.store_timeout(), noted).await {
            warn!(error = %Chain(&error), "the outbox cannot note a failure, it is tried again all the same");
        }
    }

    async fn publish(&self, message: Message) -> Result<()> {
        let longest = self.config.publish_timeout();
        let publish = |message| within("publish", longest, self.broker.publish(message));
        match (message.class, message.key.server()) {
            (Class::Command, Some(server)) => match publish(message.clone()).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // A host that has registered has a queue: somebody deleted it.
                    info!(server.id = %server, "the queue of a host is gone and is made again");
                    within("declare", longest, self.broker.declare(&Queue::of_host(server))).await?;
                    publish(message).await
                }
                result => result,
            },
            _ => publish(message).await,
        }
    }
}

/// The messages of each key, in their order; the keys by their oldest.
fn by_key(due: Vec<OutboxMessage>) -> Vec<(RoutingKey, Vec<OutboxMessage>)> {
    let mut lines: Vec<(RoutingKey, Vec<OutboxMessage>)> = Vec::new();
    let mut places: HashMap<RoutingKey, usize> = HashMap::new();
    for row in due {
        let key = row.message.key.clone();
        let place = *places.entry(key.clone()).or_insert(lines.len());
        match lines.get_mut(place) {
            Some((_, rows)) => rows.push(row),
            None => lines.push((key, vec![row])),
        }
    }
    lines
}
