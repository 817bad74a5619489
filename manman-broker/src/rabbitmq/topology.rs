//! Exchanges, queues, and what is bound to what.

use std::time::Duration;

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use manman_core::{
    broker::{Class, Exchange, Queue},
    error::{Error, ErrorKind, Result},
};

use super::{link::Link, map};

const OPERATION: &str = "declare queue";

/// Makes a queue exist with its bindings, and with all that it stands on.
pub(super) async fn declare(link: &Link, queue: &Queue, within: Duration) -> Result<()> {
    let mut declaring = Declaring { link, within, channel: link.channel(OPERATION, within).await? };
    if queue.durable && !link.has_exchanges() {
        declaring.exchanges().await?;
    }
    match declaring.queue_of(queue).await {
        // An exchange is not there: nothing durable was ever declared, or somebody has deleted
        // one since. A host may not make them, and waits.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            declaring.channel = link.channel(OPERATION, within).await?;
            declaring.exchanges().await?;
            declaring.queue_of(queue).await?;
        }
        done => done?,
    }
    declaring.call(declaring.channel.close(200, "OK".into())).await
}

struct Declaring<'a> {
    link: &'a Link,
    within: Duration,
    channel: Channel,
}

impl Declaring<'_> {
    async fn call<T>(&self, call: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        self.link.call(OPERATION, self.within, call).await
    }

    async fn queue_of(&self, queue: &Queue) -> Result<()> {
        if queue.durable { self.durable(queue).await } else { self.passing(queue).await }
    }

    /// The exchanges, and the dead letters.
    async fn exchanges(&self) -> Result<()> {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        for exchange in [map::INTERNAL, map::TELEMETRY, map::EXTERNAL, map::DEAD] {
            let topic = ExchangeKind::Topic;
            let declare =
                self.channel.exchange_declare(exchange.into(), topic, options, FieldTable::default());
            self.call(declare).await?;
        }
        self.queue(map::DEAD, DURABLE, map::arguments_dead()).await?;
        self.bind(map::DEAD, map::DEAD, "#").await?;
        self.link.note_exchanges();
        Ok(())
    }

    /// What is stored goes into the queue; telemetry, where it is for several consumers, into
    /// one beside it, so that it takes neither room nor time of the other.
    async fn durable(&self, queue: &Queue) -> Result<()> {
        if let Some(max_age) = queue.max_age.filter(|it| map::ttl_ms(*it) > map::LONGEST_TTL_MS) {
            let message = format!("RabbitMQ keeps no message for {max_age:?}: 49 days at most, or for ever");
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        }
        self.queue(&queue.name, DURABLE, map::arguments(queue)).await?;
        let beside = (!queue.single_consumer).then(|| map::telemetry_of(&queue.name));
        if let Some(beside) = &beside {
            self.queue(beside, DURABLE, map::arguments_telemetry(queue)).await?;
        }
        for (exchange, pattern) in &queue.bindings {
            self.bind(&queue.name, map::exchange(*exchange, Class::Report), pattern.as_str()).await?;
            if let Some(beside) = beside.as_ref().filter(|_| *exchange == Exchange::Internal) {
                self.bind(beside, map::TELEMETRY, pattern.as_str()).await?;
            }
        }
        Ok(())
    }

    /// It goes with its last consumer.
    async fn passing(&self, queue: &Queue) -> Result<()> {
        let options = QueueDeclareOptions { auto_delete: true, ..Default::default() };
        self.queue(&queue.name, options, map::arguments(queue)).await?;
        for (exchange, pattern) in &queue.bindings {
            self.bind(&queue.name, map::exchange(*exchange, Class::Report), pattern.as_str()).await?;
            if *exchange == Exchange::Internal {
                self.bind(&queue.name, map::TELEMETRY, pattern.as_str()).await?;
            }
        }
        Ok(())
    }

    async fn queue(&self, name: &str, options: QueueDeclareOptions, arguments: FieldTable) -> Result<()> {
        self.call(self.channel.queue_declare(short(name)?, options, arguments)).await.map(drop)
    }

    async fn bind(&self, queue: &str, exchange: &str, pattern: &str) -> Result<()> {
        let (queue, pattern) = (short(queue)?, short(pattern)?);
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        self.call(self.channel.queue_bind(queue, exchange.into(), pattern, options, arguments)).await
    }
}

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

fn short(name: &str) -> Result<ShortString> {
    map::short(name).ok_or_else(|| {
        let message = format!("a name of {} bytes is too long for RabbitMQ", name.len());
        Error::new(ErrorKind::Invalid, OPERATION, message)
    })
}
