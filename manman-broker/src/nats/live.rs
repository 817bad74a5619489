//! Queues that are not durable: they live in the client that declared them.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use manman_core::{
    broker::{Consumer, Delivery, Queue, Settle},
    error::{Error, ErrorKind, Result},
};
use tokio::sync::watch;

use super::{backend::Shared, ring::Ring};

/// A queue that lives as long as its consumers.
pub(super) struct Live {
    pub spec: Queue,
    ring: Ring,
    /// The number of the connection on which it began to listen.
    number: u64,
    /// In the order of their turn.
    consumers: Mutex<VecDeque<u64>>,
    turns: watch::Sender<u64>,
    gone: watch::Sender<bool>,
}

impl Live {
    pub async fn declare(shared: &Shared, queue: &Queue) -> Result<Arc<Self>> {
        let number = shared.link.up("declare queue").await?.borrow().number;
        let bindings = queue.bindings.iter().cloned();
        let ring = Ring::listen(&shared.link, &shared.names, &queue.name, bindings, true, queue.max_messages)
            .await?;
        shared.link.flush("declare queue").await?;
        Ok(Arc::new(Self {
            spec: queue.clone(),
            ring,
            number,
            consumers: Mutex::default(),
            turns: watch::Sender::new(0),
            gone: watch::Sender::new(false),
        }))
    }

    /// Ends its consumers.
    pub fn delete(&self) {
        self.gone.send_replace(true);
    }

    pub fn dropped(&self) -> u64 {
        self.ring.dropped()
    }

    pub fn consume(self: &Arc<Self>, shared: &Arc<Shared>) -> LiveConsumer {
        let me = shared.number();
        self.consumers().push_back(me);
        LiveConsumer { queue: self.clone(), shared: shared.clone(), me }
    }

    fn consumers(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_turn(&self, consumer: u64) -> bool {
        !self.spec.single_consumer || self.consumers().front() == Some(&consumer)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({}, {:?})", self.spec.name, self.ring)
    }
}

pub(super) struct LiveConsumer {
    queue: Arc<Live>,
    shared: Arc<Shared>,
    me: u64,
}

#[async_trait]
impl Consumer for LiveConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        let mut link = self.shared.link.watch();
        let (mut gone, mut turns) = (self.queue.gone.subscribe(), self.queue.turns.subscribe());
        let number = self.queue.number;
        let taken = async {
            // It may be told in the meantime.
            let _ = turns.wait_for(|_| self.queue.is_turn(self.me)).await;
            self.queue.ring.next().await
        };
        let ended = |what: &str| Error::new(ErrorKind::Unavailable, "consume", what.to_owned());
        tokio::select! {
            biased;
            _ = link.wait_for(|state| state.number != number) => Err(ended("the connection to NATS was lost")),
            _ = gone.wait_for(|gone| *gone) => {
                Err(ended(&format!("queue {} was deleted", self.queue.spec.name)))
            }
            message = taken => Ok(Delivery { message: message?, attempt: 1, handle: Box::new(Settled) }),
        }
    }
}

impl fmt::Debug for LiveConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveConsumer({})", self.queue.spec.name)
    }
}

impl Drop for LiveConsumer {
    fn drop(&mut self) {
        let mut consumers = self.queue.consumers();
        consumers.retain(|other| *other != self.me);
        let last = consumers.is_empty();
        drop(consumers);
        self.queue.turns.send_modify(|turn| *turn += 1);
        if last {
            self.shared.forget(&self.queue);
        }
    }
}

/// Telemetry is handed out once, whatever becomes of it.
#[derive(Debug)]
pub(super) struct Settled;

#[async_trait]
impl Settle for Settled {
    async fn ack(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    async fn nack(self: Box<Self>, _delay: Duration) -> Result<()> {
        Ok(())
    }

    async fn dead(self: Box<Self>, _reason: &str) -> Result<()> {
        Ok(())
    }
}
