//! The broker over NATS with JetStream.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use manman_core::{
    broker::{Broker, Class, Consumer, DeadLetter, MAX_BODY, Message, Queue},
    error::{Error, ErrorKind, Result},
};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    api::{ConsumerConfig, StreamConfig},
    config::NatsConfig,
    consumer::NatsConsumer,
    link::Link,
    live::Live,
    map::{self, Names, Spec, TAKE},
    settle::ACK_WAIT,
};
use crate::missed::Missed;

/// How long a server knows a message again by its id, in nanoseconds.
pub(super) const WINDOW: i64 = 120_000_000_000;

/// A broker over NATS with JetStream. Clones share one connection.
#[derive(Clone)]
pub struct NatsBroker(Arc<Shared>);

pub(super) struct Shared {
    pub link: Arc<Link>,
    pub names: Names,
    pub replicas: usize,
    pub runtime: Handle,
    /// Queues that live in this client.
    live: Mutex<HashMap<String, Arc<Live>>>,
    counter: AtomicU64,
    dropped: AtomicU64,
    pub missed: Missed,
}

impl NatsBroker {
    /// A broker on a connection of its own, which is made in the background and made again
    /// whenever it is lost: while it is not there, calls fail with `Unavailable`.
    ///
    /// # Errors
    /// `Config` if a file that the configuration names cannot be used.
    pub async fn open(config: &NatsConfig) -> Result<Self> {
        let link = Link::open(config).await?;
        Ok(Self(Arc::new(Shared {
            link,
            names: Names { prefix: config.prefix.clone() },
            replicas: config.replicas,
            runtime: Handle::current(),
            live: Mutex::default(),
            counter: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            missed: Missed::default(),
        })))
    }

    /// How much telemetry was dropped here for lack of room, or of a connection.
    pub fn dropped(&self) -> u64 {
        let waiting: u64 = self.0.live().values().map(|queue| queue.dropped()).sum();
        self.0.dropped.load(Ordering::Relaxed) + waiting + self.0.link.unsent()
    }

    /// How many events were `Ok` here and missed by queues that were full, each counted by itself.
    pub fn missed(&self) -> u64 {
        self.0.missed.count()
    }
}

impl fmt::Debug for NatsBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBroker")
            .field("prefix", &self.0.names.prefix)
            .field("link", &self.0.link)
            .finish()
    }
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        // Nothing in here panics between two changes that belong together.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Its last consumer is gone, and so is the queue.
    pub fn forget(&self, queue: &Arc<Live>) {
        let mut live = self.live();
        if live.get(&queue.spec.name).is_some_and(|present| Arc::ptr_eq(present, queue)) {
            live.remove(&queue.spec.name);
            self.dropped.fetch_add(queue.dropped(), Ordering::Relaxed);
        }
    }

    async fn declare(&self, queue: &Queue) -> Result<()> {
        let operation = "declare queue";
        map::check_name(operation, &queue.name)?;
        let spec = serde_json::to_string(&Spec::of(queue))
            .map_err(|error| Error::new(ErrorKind::Unexpected, operation, "not written").because(error))?;
        self.declare_dead().await?;
        let subject = |exchange, key: &str| self.names.stored(&queue.name, exchange, key);
        let mut subjects: Vec<String> = Vec::new();
        for (exchange, pattern) in &queue.bindings {
            for subject in map::subjects(pattern, |key| subject(*exchange, key)) {
                if !subjects.contains(&subject) {
                    subjects.push(subject);
                }
            }
        }
        let max_age = queue.max_age.map_or(0, |it| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX).max(1));
        let max_msgs = i64::try_from(queue.max_messages).unwrap_or(i64::MAX);
        let stream = StreamConfig {
            name: self.names.stream(&queue.name),
            description: spec.clone(),
            subjects,
            retention: "workqueue".to_owned(),
            storage: "file".to_owned(),
            discard: "new".to_owned(),
            max_msgs,
            max_msgs_per_subject: -1,
            max_bytes: -1,
            max_age,
            num_replicas: self.replicas,
            // A server knows no message for longer than it keeps it.
            duplicate_window: if max_age == 0 { WINDOW } else { WINDOW.min(max_age) },
            allow_direct: false,
        };
        self.link.stream_create(operation, &stream).await?;
        let consumer = ConsumerConfig {
            durable_name: TAKE.to_owned(),
            description: spec,
            deliver_policy: "all".to_owned(),
            ack_policy: "explicit".to_owned(),
            ack_wait: i64::try_from(ACK_WAIT.as_nanos()).unwrap_or(i64::MAX),
            // Beyond a bound of the server's a message would lie in its stream unseen, for
            // ever: consumers count, and make a dead letter of it.
            max_deliver: -1,
            max_ack_pending: if queue.single_consumer { 1 } else { max_msgs },
            max_waiting: 512,
            filter_subject: self.names.all_stored(&queue.name),
            replay_policy: "instant".to_owned(),
        };
        self.link.consumer_create(operation, &stream.name, &consumer).await
    }

    async fn declare_live(&self, queue: &Queue) -> Result<()> {
        let operation = "declare queue";
        map::check_name(operation, &queue.name)?;
        let same = |present: &Live| {
            if present.spec == *queue {
                return Ok(());
            }
            let message = format!("queue {} exists with other properties", queue.name);
            Err(Error::new(ErrorKind::Conflict, operation, message))
        };
        if let Some(present) = self.live().get(&queue.name) {
            return same(present);
        }
        let made = Live::declare(self, queue).await?;
        let mut live = self.live();
        match live.get(&queue.name) {
            Some(present) => same(present),
            None => {
                live.insert(queue.name.clone(), made);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Broker for NatsBroker {
    async fn declare(&self, queue: &Queue) -> Result<()> {
        if queue.durable { self.0.declare(queue).await } else { self.0.declare_live(queue).await }
    }

    async fn delete(&self, queue: &str) -> Result<()> {
        let operation = "delete queue";
        map::check_name(operation, queue)?;
        if let Some(live) = self.0.live().remove(queue) {
            live.delete();
            return Ok(());
        }
        let call = format!("STREAM.DELETE.{}", self.0.names.stream(queue));
        match self.0.link.api::<serde_json::Value>(operation, &call, &serde_json::json!({})).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn publish(&self, message: Message) -> Result<()> {
        if message.body.len() > MAX_BODY {
            let text = format!("a body of {} bytes is larger than {MAX_BODY}", message.body.len());
            return Err(Error::new(ErrorKind::Invalid, "publish", text));
        }
        if message.class == Class::Telemetry {
            let subject = self.0.names.telemetry(message.exchange, message.key.as_str());
            self.0.link.send_now(subject, map::headers(&message), message.body);
            return Ok(());
        }
        self.0.publish(message).await
    }

    async fn consume(&self, queue: &str) -> Result<Box<dyn Consumer>> {
        map::check_name("consume", queue)?;
        if let Some(live) = self.0.live().get(queue) {
            return Ok(Box::new(live.consume(&self.0)));
        }
        Ok(Box::new(NatsConsumer::begin(self.0.clone(), queue).await?))
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.0.dead_letters(limit).await
    }

    async fn dead_letter_requeue(&self, message: Uuid) -> Result<()> {
        self.0.dead_letter_requeue(message).await
    }

    async fn dead_letter_drop(&self, message: Uuid) -> Result<()> {
        self.0.dead_letter_drop(message).await
    }

    async fn probe(&self) -> Result<()> {
        self.0.link.api::<serde_json::Value>("probe", "INFO", &serde_json::json!({})).await.map(drop)
    }
}
