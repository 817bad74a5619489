//! The dead letters: read, put back, thrown away. One at a time, as reading takes them out
//! for a moment.

use std::sync::Arc;

use futures::StreamExt as _;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions},
    types::FieldTable,
};
use manman_core::{
    broker::DeadLetter,
    error::{Error, ErrorKind, Result},
};
use tokio::time::{Duration, Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    backend::Inner,
    link::{Link, lost},
    map,
    publish::Letter,
};

/// Exclusive to a connection: whoever has it reads.
const LOCK: &str = "manman.dead.lock";

/// How long it is waited until what was read is back.
const PUT_BACK: Duration = Duration::from_secs(2);

/// All of them, taken out, oldest first.
struct Reading<'a> {
    broker: &'a Inner,
    link: Arc<Link>,
    channel: Channel,
    letters: Vec<(u64, DeadLetter)>,
    operation: &'static str,
    deadline: Instant,
}

/// The newest, newest first.
pub(super) async fn list(broker: &Inner, limit: usize) -> Result<Vec<DeadLetter>> {
    let _one = broker.reading.lock().await;
    let Some(reading) = Reading::begin(broker, "dead letters").await? else { return Ok(Vec::new()) };
    let newest = reading.letters.iter().rev().take(limit).map(|(_, letter)| letter.clone()).collect();
    reading.end(0).await?;
    Ok(newest)
}

/// Back into its own queue, and only then gone here.
pub(super) async fn requeue(broker: &Inner, id: Uuid) -> Result<()> {
    const OPERATION: &str = "requeue a dead letter";
    let missing = || Error::new(ErrorKind::NotFound, OPERATION, format!("there is no dead letter {id}"));
    let _one = broker.reading.lock().await;
    let Some(reading) = Reading::begin(broker, OPERATION).await? else { return Err(missing()) };
    let found = reading.letters.iter().rev().find(|(_, letter)| letter.message.id == id).cloned();
    let put_back = match &found {
        None => Err(missing()),
        Some((_, DeadLetter { queue, message, .. })) => {
            let letter = Letter {
                exchange: "",
                key: queue.clone(),
                properties: map::properties_direct(message),
                message: message.clone(),
                mandatory: true,
            };
            broker.publisher.send(OPERATION, letter).await.map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    Error::new(ErrorKind::NotFound, OPERATION, format!("its queue {queue} is gone"))
                }
                ErrorKind::Busy => Error::new(ErrorKind::Busy, OPERATION, format!("queue {queue} is full")),
                _ => error,
            })
        }
    };
    let gone = match (&put_back, found) {
        (Ok(()), Some((tag, _))) => reading.forget(&[tag]).await?,
        _ => 0,
    };
    reading.end(gone).await?;
    put_back
}

/// Gone, wherever it is.
pub(super) async fn forget(broker: &Inner, id: Uuid) -> Result<()> {
    let _one = broker.reading.lock().await;
    let Some(reading) = Reading::begin(broker, "drop a dead letter").await? else { return Ok(()) };
    let these = reading.letters.iter().filter(|(_, letter)| letter.message.id == id);
    let tags: Vec<u64> = these.map(|(tag, _)| *tag).collect();
    let gone = reading.forget(&tags).await?;
    reading.end(gone).await
}

impl<'a> Reading<'a> {
    /// Takes all of them out; `None` where nothing was ever declared.
    async fn begin(broker: &'a Inner, operation: &'static str) -> Result<Option<Self>> {
        let within = broker.config.call_timeout();
        let deadline = Instant::now() + within;
        let link = broker.work.link(operation, within).await?;
        let channel = loop {
            let channel = link.channel(operation, within).await?;
            let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let lock = channel.queue_declare(LOCK.into(), options, FieldTable::default());
            match link.call(operation, within, lock).await {
                Ok(_) => break channel,
                Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < deadline => {
                    sleep(Duration::from_millis(30)).await;
                }
                Err(error) => return Err(error),
            }
        };
        let mut reading = Self { broker, link, channel, letters: Vec::new(), operation, deadline };
        let count = match reading.count().await {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                reading.unlock().await;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        reading.take(count).await?;
        Ok(Some(reading))
    }

    async fn call<T>(&self, call: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        self.link.call(self.operation, self.broker.config.call_timeout(), call).await
    }

    async fn count(&self) -> Result<usize> {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declare = self.channel.queue_declare(map::DEAD.into(), options, FieldTable::default());
        Ok(usize::try_from(self.call(declare).await?.message_count()).unwrap_or(usize::MAX))
    }

    async fn take(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.call(self.channel.basic_qos(u16::MAX, BasicQosOptions::default())).await?;
        let consume = self.channel.basic_consume(
            map::DEAD.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut all = self.call(consume).await?;
        while self.letters.len() < count {
            let next = tokio::select! {
                biased;
                next = all.next() => next,
                () = self.link.ended() => return Err(lost(self.operation)),
                () = tokio::time::sleep_until(self.deadline) => {
                    // Those over the bound went meanwhile.
                    break;
                }
            };
            let delivery = next.ok_or_else(|| lost(self.operation))?;
            let delivery = delivery.map_err(|error| lost(self.operation).because(error))?;
            self.letters.push((delivery.delivery_tag, map::dead_letter(&delivery)));
        }
        let cancel = self.channel.basic_cancel(all.tag(), Default::default());
        self.call(cancel).await
    }

    async fn forget(&self, tags: &[u64]) -> Result<usize> {
        for tag in tags {
            self.call(self.channel.basic_ack(*tag, BasicAckOptions::default())).await?;
        }
        Ok(tags.len())
    }

    /// Puts back what is not `gone`, and waits until it is there for the next reader.
    async fn end(self, gone: usize) -> Result<()> {
        let left = self.letters.len() - gone;
        if left > 0 {
            let all = BasicNackOptions { multiple: true, requeue: true };
            self.call(self.channel.basic_nack(0, all)).await?;
        }
        let there = async {
            while self.count().await? < left {
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        // Fewer where the oldest had to go meanwhile.
        timeout(PUT_BACK, there).await.unwrap_or(Ok(()))?;
        self.unlock().await;
        Ok(())
    }

    async fn unlock(&self) {
        // The lock goes with its connection otherwise.
        let _ = self.call(self.channel.queue_delete(LOCK.into(), Default::default())).await;
        let _ = self.call(self.channel.close(200, "OK".into())).await;
    }
}
