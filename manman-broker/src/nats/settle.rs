//! What becomes of a message that was handed out.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use manman_core::{
    broker::{Message, Settle},
    error::{Error, ErrorKind, Result},
};
use tokio_util::task::AbortOnDropHandle;

use super::{backend::Shared, link::Link};

/// How long the server waits for a word about a message that it handed out.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(6);
/// How often we tell it that we still have it.
const IN_PROGRESS: Duration = Duration::from_secs(2);

/// Where a message came from.
pub(super) struct Origin {
    pub shared: Arc<Shared>,
    pub queue: String,
    pub max_deliveries: u32,
    /// Tells this stay in the queue from any other one of the same message.
    pub mark: String,
    /// Where the server waits for our word.
    pub reply: String,
}

impl Origin {
    async fn tell(&self, operation: &'static str, word: String) -> Result<()> {
        match self.shared.link.ask(operation, &self.reply, None, word.into()).await? {
            Some(_) => Ok(()),
            None => {
                let message = format!("queue {} has taken the message back, or was deleted", self.queue);
                Err(Error::new(ErrorKind::Unavailable, operation, message))
            }
        }
    }

    /// Makes it a dead letter; it leaves its queue only when it is one.
    async fn bury(&self, message: &Message, attempts: u32, reason: &str) -> Result<()> {
        self.shared.bury(&self.queue, &self.mark, message, attempts, reason).await?;
        self.tell("dead letter", "+TERM".to_owned()).await
    }

    pub async fn bury_too_often(&self, message: &Message, attempts: u32) -> Result<()> {
        self.bury(message, attempts, &format!("max_deliveries: handed out {attempts} times")).await
    }

    /// Says without waiting that it may be handed out again.
    pub fn give_back(&self, delay: Duration) {
        self.shared.link.post(&self.reply, nak(delay));
    }
}

fn nak(delay: Duration) -> String {
    if delay.is_zero() {
        return "-NAK".to_owned();
    }
    format!("-NAK {{\"delay\": {}}}", delay.as_nanos())
}

/// What a consumer has handed out and is not settled. While there is any, the server is
/// told that it is being worked on.
pub(super) struct Held {
    replies: Mutex<HashSet<String>>,
    link: Arc<Link>,
    working: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Held {
    pub fn new(link: Arc<Link>) -> Arc<Self> {
        let held = Arc::new(Self { replies: Mutex::default(), link, working: Mutex::default() });
        let weak = Arc::downgrade(&held);
        let working = tokio::spawn(async move {
            loop {
                tokio::time::sleep(IN_PROGRESS).await;
                let Some(held) = weak.upgrade() else { return };
                for reply in &*held.lock() {
                    held.link.post(reply, "+WPI");
                }
            }
        });
        *held.working.lock().unwrap_or_else(PoisonError::into_inner) = Some(AbortOnDropHandle::new(working));
        held
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives all of it back at once.
    pub fn give_back(&self) {
        for reply in self.lock().drain() {
            self.link.post(&reply, "-NAK");
        }
    }
}

/// Settles one message.
pub(super) struct NatsSettle {
    origin: Origin,
    message: Message,
    attempt: u32,
    held: Arc<Held>,
}

impl NatsSettle {
    pub fn hold(origin: Origin, message: Message, attempt: u32, held: &Arc<Held>) -> Self {
        held.lock().insert(origin.reply.clone());
        Self { origin, message, attempt, held: held.clone() }
    }

    /// Lets it go, unless its consumer gave it back already.
    fn release(&self) -> Result<()> {
        if self.held.lock().remove(&self.origin.reply) {
            return Ok(());
        }
        let message = format!("queue {} has taken the message back", self.origin.queue);
        Err(Error::new(ErrorKind::Unavailable, "settle", message))
    }
}

#[async_trait]
impl Settle for NatsSettle {
    async fn ack(self: Box<Self>) -> Result<()> {
        self.release()?;
        self.origin.tell("ack", "+ACK".to_owned()).await
    }

    async fn nack(self: Box<Self>, delay: Duration) -> Result<()> {
        self.release()?;
        if self.attempt >= self.origin.max_deliveries {
            return self.origin.bury_too_often(&self.message, self.attempt).await;
        }
        self.origin.tell("nack", nak(delay)).await
    }

    async fn dead(self: Box<Self>, reason: &str) -> Result<()> {
        self.release()?;
        self.origin.bury(&self.message, self.attempt, reason).await
    }
}

impl Drop for NatsSettle {
    fn drop(&mut self) {
        if self.release().is_ok() {
            self.origin.give_back(Duration::ZERO);
        }
    }
}

impl fmt::Debug for NatsSettle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsSettle({} of {})", self.origin.mark, self.origin.queue)
    }
}
