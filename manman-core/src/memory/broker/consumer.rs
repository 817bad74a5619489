//! Taking messages out, and settling them.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::Notify, time::Instant};

use super::{
    Shared,
    queue::{Turn, Waiting},
};
use crate::{
    broker::{Consumer, Delivery, Settle},
    error::{Error, ErrorKind, Result},
};

pub(super) struct MemoryConsumer {
    pub broker: Arc<Shared>,
    pub queue: String,
    pub incarnation: u64,
    pub number: u64,
    pub changed: Arc<Notify>,
}

impl MemoryConsumer {
    fn turn(&self) -> Result<Turn> {
        match self.broker.state().queue(&self.queue, self.incarnation) {
            Some(queue) => Ok(queue.turn(self.number, Instant::now())),
            None => {
                let message = format!("queue {} was deleted", self.queue);
                Err(Error::new(ErrorKind::Unavailable, "consume", message))
            }
        }
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change falls in between.
            changed.as_mut().enable();
            match self.turn()? {
                Turn::Take { sequence, message, attempt } => {
                    let handle = MemorySettle {
                        broker: self.broker.clone(),
                        queue: self.queue.clone(),
                        incarnation: self.incarnation,
                        consumer: self.number,
                        sequence,
                        settled: false,
                    };
                    return Ok(Delivery { message, attempt, handle: Box::new(handle) });
                }
                Turn::Wait(None) => changed.await,
                Turn::Wait(Some(due)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
            }
        }
    }
}

impl fmt::Debug for MemoryConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryConsumer({})", self.queue)
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let mut state = self.broker.state();
        let Some(queue) = state.queue(&self.queue, self.incarnation) else { return };
        let left = queue.leave(self.number);
        if !queue.spec.durable && queue.consumers.is_empty() {
            state.queues.remove(&self.queue);
            return;
        }
        for waiting in left {
            state.give_back(&self.queue, waiting, Duration::ZERO);
        }
    }
}

struct MemorySettle {
    broker: Arc<Shared>,
    queue: String,
    incarnation: u64,
    consumer: u64,
    sequence: u64,
    settled: bool,
}

impl MemorySettle {
    fn take(&mut self, state: &mut super::State) -> Option<Waiting> {
        self.settled = true;
        state.queue(&self.queue, self.incarnation)?.settle(self.sequence, self.consumer)
    }

    fn gone(&self) -> Error {
        let message = format!("queue {} has taken the message back", self.queue);
        Error::new(ErrorKind::Unavailable, "settle", message)
    }
}

#[async_trait]
impl Settle for MemorySettle {
    async fn ack(mut self: Box<Self>) -> Result<()> {
        let broker = self.broker.clone();
        self.take(&mut broker.state()).map(drop).ok_or_else(|| self.gone())
    }

    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<()> {
        let broker = self.broker.clone();
        let mut state = broker.state();
        let waiting = self.take(&mut state).ok_or_else(|| self.gone())?;
        state.give_back(&self.queue, waiting, delay);
        Ok(())
    }

    async fn dead(mut self: Box<Self>, reason: &str) -> Result<()> {
        let broker = self.broker.clone();
        let mut state = broker.state();
        let waiting = self.take(&mut state).ok_or_else(|| self.gone())?;
        state.bury(&self.queue, waiting, reason);
        Ok(())
    }
}

impl fmt::Debug for MemorySettle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySettle({} of {})", self.sequence, self.queue)
    }
}

impl Drop for MemorySettle {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let broker = self.broker.clone();
        let mut state = broker.state();
        if let Some(waiting) = self.take(&mut state) {
            state.give_back(&self.queue, waiting, Duration::ZERO);
        }
    }
}
