//! Messages that are to leave, carried from the store's outbox to the broker.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::stream::{self, StreamExt};
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
#[derive(Default)]
struct Line {
    sent: Vec<Uuid>,
    /// When the first that could not leave is tried again; those behind it wait.
    failed: Option<Duration>,
}

impl Relay {
    /// Carries from `store` to `broker`.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig, stats: Stats) -> Self {
        Self { store, broker, config, stats }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut backoff = self.config.backoff();
        while !shutdown.is_cancelled() {
            match self.round().await {
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
    async fn round(&self) -> Result<Round> {
        let (longest, batch) = (self.config.store_timeout(), self.config.relay_batch as usize);
        let due = within("outbox_due", longest, self.store.outbox_due(batch)).await?;
        if due.is_empty() {
            return Ok(Round::Idle(LOOK_EVERY));
        }
        let away = AtomicBool::new(false);
        let lines = stream::iter(by_key(due)).map(|line| self.send(line, &away));
        let lines: Vec<Line> = lines.buffer_unordered(AT_ONCE).collect().await;
        let next = lines.iter().filter_map(|line| line.failed).min();
        let sent: Vec<Uuid> = lines.into_iter().flat_map(|line| line.sent).collect();
        within("outbox_sent", longest, self.store.outbox_sent(&sent)).await?;
        self.stats.sent(sent.len());
        if away.into_inner() {
            return Ok(Round::Away);
        }
        Ok(if sent.is_empty() { Round::Idle(next.unwrap_or(LOOK_EVERY)) } else { Round::More })
    }

    async fn send(&self, rows: Vec<OutboxMessage>, away: &AtomicBool) -> Line {
        let mut line = Line::default();
        for row in rows {
            if away.load(Ordering::Relaxed) {
                break;
            }
            let (id, key) = (row.message.id, row.message.key.clone());
            let Err(error) = self.publish(row.message).await else {
                line.sent.push(id);
                continue;
            };
            // A broker that is away would take its time for each of the others as well.
            if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) {
                away.store(true, Ordering::Relaxed);
            }
            let delay = self.config.delay_after(row.tries);
            warn!(error = %Chain(&error), message.key = %key, "a message cannot leave, will retry in {delay:?}");
            self.stats.send_failed(1);
            line.failed = Some(self.failed(id, &error, delay).await);
            break;
        }
        line
    }

    /// Notes it in the store; the delay that it was given.
    async fn failed(&self, id: Uuid, error: &Error, delay: Duration) -> Duration {
        let why = Chain(error).to_string();
        let noted = self.store.outbox_failed(id, &why, delay);
        if let Err(error) = within("outbox_failed", self.config.store_timeout(), noted).await {
            warn!(error = %Chain(&error), "the outbox cannot note a failure, it is tried again all the same");
        }
        delay
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
fn by_key(due: Vec<OutboxMessage>) -> Vec<Vec<OutboxMessage>> {
    let mut lines: Vec<Vec<OutboxMessage>> = Vec::new();
    let mut places: HashMap<RoutingKey, usize> = HashMap::new();
    for row in due {
        let place = *places.entry(row.message.key.clone()).or_insert(lines.len());
        match lines.get_mut(place) {
            Some(line) => line.push(row),
            None => lines.push(vec![row]),
        }
    }
    lines
}
