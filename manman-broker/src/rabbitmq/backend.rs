//! The broker seam over RabbitMQ.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use lapin::options::{BasicQosOptions, QueueDeleteOptions};
use manman_core::{
    broker::{Broker, Class, Consumer, DeadLetter, MAX_BODY, Message, Queue},
    error::{Error, ErrorKind, Result},
    id::ServerId,
};
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use uuid::Uuid;

use super::{
    config::RabbitConfig,
    consume::RabbitConsumer,
    dead,
    keeper::Keeper,
    map,
    publish::{Letter, Publisher},
    tls, topology,
};

/// How many queues are made at a time. RabbitMQ makes them one after the other anyway: more at
/// once would only each take longer, until their calls run out of time all together.
const MAKING: usize = 4;

/// A broker over RabbitMQ: two connections, one to publish and one for all else, each made
/// again for ever. They end with the last clone and the last consumer.
#[derive(Clone)]
pub struct RabbitBroker(Arc<Inner>);

pub(super) struct Inner {
    pub config: Arc<RabbitConfig>,
    pub publisher: Publisher,
    pub work: Keeper,
    /// Whoever reads dead letters.
    pub reading: Arc<tokio::sync::Mutex<()>>,
    declared: Mutex<BTreeMap<String, (Kind, u32)>>,
    making: Semaphore,
    runtime: Handle,
}

/// What a consumer has to know of its queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Durable, for one consumer at a time.
    Single,
    /// Durable, for several.
    Shared,
    /// It lives with its consumer.
    Passing { single: bool, max_messages: usize },
}

impl Kind {
    fn of(queue: &Queue) -> Self {
        let &Queue { durable, single_consumer: single, max_messages, .. } = queue;
        match (durable, single) {
            (true, true) => Self::Single,
            (true, false) => Self::Shared,
            (false, single) => Self::Passing { single, max_messages },
        }
    }

    pub fn one_at_a_time(self) -> bool {
        matches!(self, Self::Single | Self::Passing { single: true, .. })
    }
}

impl RabbitBroker {
    /// A broker that connects in the background: calls wait for that, and fail with why there
    /// is no connection.
    ///
    /// # Errors
    /// `Config` if a file that `config` names cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(config: RabbitConfig) -> Result<Self> {
        let tls = config.tls.as_ref().map(|tls| tls::client(tls, config.server_name())).transpose()?;
        let config = Arc::new(config);
        Ok(Self(Arc::new(Inner {
            publisher: Publisher::new(config.clone(), tls.clone()),
            work: Keeper::new(config.clone(), tls, "consume"),
            config,
            reading: Arc::default(),
            declared: Mutex::default(),
            making: Semaphore::new(MAKING),
            runtime: Handle::current(),
        })))
    }

    /// A broker that has answered.
    ///
    /// # Errors
    /// As [`RabbitBroker::new`]; `Denied` if it refuses us, `Unavailable` or `Timeout` if it
    /// cannot be reached.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(config: RabbitConfig) -> Result<Self> {
        let broker = Self::new(config)?;
        broker.probe().await?;
        Ok(broker)
    }

    /// How much telemetry was dropped on this side for lack of room or of a connection.
    pub fn dropped(&self) -> u64 {
        self.0.publisher.dropped()
    }

    /// How many events were `Ok` here and missed by a queue that was full.
    pub fn missed(&self) -> u64 {
        self.0.publisher.missed()
    }
}

impl Inner {
    /// What is known of a queue; of another's, what is safe: order, and nothing ahead.
    pub fn kind(&self, queue: &str) -> Kind {
        self.declared().get(queue).map_or(Kind::Single, |(kind, _)| *kind)
    }

    /// After how many times a message is given up; of another's queue, as of a host's.
    pub fn max_deliveries(&self, queue: &str) -> u32 {
        let of_host = || Queue::of_host(ServerId(0)).max_deliveries;
        self.declared().get(queue).map_or_else(of_host, |(_, max)| *max)
    }

    /// Runs where the connections run, also when called from elsewhere.
    pub fn spawn(&self, work: BoxFuture<'static, ()>) {
        self.runtime.spawn(work);
    }

    fn declared(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Kind, u32)>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn declare(&self, queue: &Queue) -> Result<()> {
        const OPERATION: &str = "declare queue";
        let within = self.0.config.call_timeout();
        let busy = || Error::new(ErrorKind::Busy, OPERATION, "too many queues are made at this moment");
        let turn = timeout(within, self.0.making.acquire()).await;
        let _turn = turn.ok().and_then(std::result::Result::ok).ok_or_else(busy)?;
        let link = self.0.work.link(OPERATION, within).await?;
        topology::declare(&link, queue, within).await?;
        self.0.declared().insert(queue.name.clone(), (Kind::of(queue), queue.max_deliveries));
        Ok(())
    }

    async fn delete(&self, queue: &str) -> Result<()> {
        const OPERATION: &str = "delete queue";
        let within = self.0.config.call_timeout();
        let link = self.0.work.link(OPERATION, within).await?;
        let channel = link.channel(OPERATION, within).await?;
        let name = |name: &str| map::short(name).unwrap_or_default();
        // RabbitMQ has nothing against one that is not there.
        let delete = channel.queue_delete(name(queue), QueueDeleteOptions::default());
        link.call(OPERATION, within, delete).await?;
        self.0.declared().remove(queue);
        let beside = channel.queue_delete(name(&map::telemetry_of(queue)), QueueDeleteOptions::default());
        match link.call(OPERATION, within, beside).await {
            // A host may not delete it, and has none.
            Err(error) if error.kind() == ErrorKind::Denied => Ok(()),
            Err(error) => Err(error),
            Ok(_) => link.call(OPERATION, within, channel.close(200, "OK".into())).await,
        }
    }

    async fn publish(&self, message: Message) -> Result<()> {
        if message.body.len() > MAX_BODY {
            let text = format!("a body of {} bytes is larger than {MAX_BODY}", message.body.len());
            return Err(Error::new(ErrorKind::Invalid, "publish", text));
        }
        let letter = Letter {
            exchange: map::exchange(message.exchange, message.class),
            key: message.key.to_string(),
            properties: map::properties(&message),
            mandatory: matches!(message.class, Class::Command | Class::Report),
            message,
        };
        if letter.message.class == Class::Telemetry {
            self.0.publisher.offer(letter);
            return Ok(());
        }
        self.0.publisher.send("publish", letter).await
    }

    async fn consume(&self, queue: &str) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(RabbitConsumer::begin(self.0.clone(), queue).await?))
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        dead::list(&self.0, limit).await
    }

    async fn dead_letter_requeue(&self, message: Uuid) -> Result<()> {
        dead::requeue(&self.0, message).await
    }

    async fn dead_letter_drop(&self, message: Uuid) -> Result<()> {
        dead::forget(&self.0, message).await
    }

    async fn probe(&self) -> Result<()> {
        const OPERATION: &str = "probe";
        let within = self.0.config.call_timeout();
        for link in
            [self.0.publisher.link(OPERATION, within).await?, self.0.work.link(OPERATION, within).await?]
        {
            if let Some(why) = link.blocked() {
                let message = format!("RabbitMQ takes nothing now: {why}");
                return Err(Error::new(ErrorKind::Busy, OPERATION, message));
            }
            let channel = link.channel(OPERATION, within).await?;
            link.call(OPERATION, within, channel.basic_qos(1, BasicQosOptions::default())).await?;
            link.call(OPERATION, within, channel.close(200, "OK".into())).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for RabbitBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitBroker").field("at", &self.0.config.place()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("at", &self.config.place()).finish_non_exhaustive()
    }
}
