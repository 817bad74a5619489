//! A broker of one's own: another one, with counters around it. Whatever a broker of yours
//! is made of, this is all that it takes: the trait, and in `tests/broker_of_ones_own.rs` a
//! fixture and one line, which run the published suite against it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use manman_core::{
    broker::{Broker, Consumer, DeadLetter, Message, Queue},
    error::Result,
};
use uuid::Uuid;

/// A broker that counts what passes.
#[derive(Clone, Debug)]
pub struct Metered {
    inner: Arc<dyn Broker>,
    counts: Arc<Counts>,
}

/// What has passed.
#[derive(Debug, Default)]
pub struct Counts {
    published: AtomicU64,
    refused: AtomicU64,
}

impl Metered {
    /// Counts what goes through `inner`.
    pub fn new(inner: Arc<dyn Broker>) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// How many messages were published, and how many of them were refused.
    pub fn published(&self) -> (u64, u64) {
        (self.counts.published.load(Ordering::Relaxed), self.counts.refused.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Broker for Metered {
    async fn declare(&self, queue: &Queue) -> Result<()> {
        self.inner.declare(queue).await
    }

    async fn delete(&self, queue: &str) -> Result<()> {
        self.inner.delete(queue).await
    }

    async fn publish(&self, message: Message) -> Result<()> {
        self.counts.published.fetch_add(1, Ordering::Relaxed);
        let published = self.inner.publish(message).await;
        if published.is_err() {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        published
    }

    async fn consume(&self, queue: &str) -> Result<Box<dyn Consumer>> {
        self.inner.consume(queue).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.inner.dead_letters(limit).await
    }

    async fn dead_letter_requeue(&self, message: Uuid) -> Result<()> {
        self.inner.dead_letter_requeue(message).await
    }

    async fn dead_letter_drop(&self, message: Uuid) -> Result<()> {
        self.inner.dead_letter_drop(message).await
    }

    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }
}
