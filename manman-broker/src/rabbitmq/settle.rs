//! What becomes of a message that was handed out.

use std::{
    fmt,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicNackOptions},
};
use manman_core::{
    broker::{Message, Settle},
    error::{Chain, Result},
};
use tracing::debug;

use super::{
    backend::Inner,
    consume::Shared,
    link::{Link, lost},
    map,
    publish::Letter,
};
use crate::bury::kept;

/// How long a message rests that could not be put among the dead letters.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The longest reason that is kept.
const REASON: usize = 1_000;

/// A message that is out.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub tag: u64,
    pub queue: String,
    pub message: Message,
    pub attempt: u32,
    /// Whether it came from a durable queue.
    pub stored: bool,
    /// Whether it may be handed out once more.
    pub again: bool,
    /// Whether others flow while it waits.
    pub makes_room: bool,
}

pub(super) struct RabbitSettle {
    at: Option<At>,
}

#[derive(Clone, Debug)]
pub(super) struct At {
    broker: Arc<Inner>,
    link: Arc<Link>,
    channel: Channel,
    shared: Arc<Shared>,
    held: Held,
}

impl RabbitSettle {
    pub fn new(
        broker: Arc<Inner>,
        link: Arc<Link>,
        channel: Channel,
        shared: Arc<Shared>,
        held: Held,
    ) -> Self {
        Self { at: Some(At { broker, link, channel, shared, held }) }
    }
}

impl At {
    async fn ack(&self, operation: &'static str) -> Result<()> {
        let within = self.broker.config.call_timeout();
        if !self.channel.status().connected() {
            return Err(lost(operation));
        }
        let ack = self.channel.basic_ack(self.held.tag, BasicAckOptions::default());
        self.link.call(operation, within, ack).await
    }

    /// Gives it back now, or gives it up.
    pub async fn give_back(&self) -> Result<()> {
        if self.held.stored && !self.held.again {
            let reason = format!("max_deliveries: handed out {} times", self.held.attempt);
            return self.bury(&reason).await;
        }
        self.requeue(self.held.again).await
    }

    /// Gives it back, or drops it. A quorum queue counts that and keeps its place.
    async fn requeue(&self, requeue: bool) -> Result<()> {
        let within = self.broker.config.call_timeout();
        if !self.channel.status().connected() {
            return Err(lost("nack"));
        }
        let options = BasicNackOptions { requeue, multiple: false };
        self.link.call("nack", within, self.channel.basic_nack(self.held.tag, options)).await
    }

    /// Puts it among the dead letters; if that fails it is handed out again, or it would be out
    /// for as long as its consumer lives, and none could come after it.
    async fn bury(&self, reason: &str) -> Result<()> {
        let done = self.put_among_the_dead(reason).await;
        if done.is_err() {
            // It is told what went wrong first.
            let _ = self.requeue_after(AGAIN_AFTER).await;
        }
        done
    }

    async fn put_among_the_dead(&self, reason: &str) -> Result<()> {
        let Held { queue, message, attempt, .. } = &self.held;
        let (body, reason) = kept(message, reason);
        let letter = Letter {
            exchange: map::DEAD,
            key: queue.clone(),
            properties: map::properties_dead(message, &reason, *attempt),
            message: Message { body, ..message.clone() },
            mandatory: true,
        };
        // Stored there before it is gone here: who dies in between leaves it in both.
        self.broker.publisher.send("bury", letter).await?;
        self.ack("bury").await
    }

    async fn give_back_after(&self, delay: Duration) -> Result<()> {
        if delay.is_zero() || !self.held.again {
            return self.give_back().await;
        }
        self.requeue_after(delay).await
    }

    async fn requeue_after(&self, delay: Duration) -> Result<()> {
        if !self.channel.status().connected() {
            return Err(lost("nack"));
        }
        if self.held.makes_room {
            *self.shared.held.lock().await = Some(self.held.tag);
        }
        let at = self.clone();
        self.broker.spawn(
            async move {
                tokio::select! {
                    biased;
                    () = at.link.ended() => return,
                    () = tokio::time::sleep(delay) => {}
                }
                let mut held = at.shared.held.lock().await;
                if *held == Some(at.held.tag) {
                    *held = None;
                }
                if let Err(error) = at.requeue(true).await {
                    // It comes again with the end of its channel.
                    debug!("a message is not given back by hand: {}", Chain(&error));
                }
            }
            .boxed(),
        );
        Ok(())
    }

    /// The next one may come.
    pub fn settled(&self) {
        self.shared.busy.store(false, Ordering::Release);
        self.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl Settle for RabbitSettle {
    async fn ack(mut self: Box<Self>) -> Result<()> {
        let Some(at) = self.at.take() else { return Ok(()) };
        let done = at.ack("ack").await;
        at.settled();
        done
    }

    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<()> {
        let Some(at) = self.at.take() else { return Ok(()) };
        let done = at.give_back_after(delay).await;
        at.settled();
        done
    }

    async fn dead(mut self: Box<Self>, reason: &str) -> Result<()> {
        let Some(at) = self.at.take() else { return Ok(()) };
        let reason: String = reason.chars().take(REASON).collect();
        let done = at.bury(&reason).await;
        at.settled();
        done
    }
}

impl Drop for RabbitSettle {
    fn drop(&mut self) {
        if let Some(at) = self.at.take() {
            // By its consumer, if that goes on: one that ends gives back what it has, and
            // RabbitMQ counts each time.
            let shared = at.shared.clone();
            shared.returned.lock().unwrap_or_else(PoisonError::into_inner).push(at);
            shared.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for RabbitSettle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.at.as_ref().map(|at| &at.held);
        f.debug_struct("RabbitSettle")
            .field("queue", &held.map(|held| &held.queue))
            .field("tag", &held.map(|held| held.tag))
            .finish()
    }
}
