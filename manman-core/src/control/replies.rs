//! Receipts that hosts send to whoever waits for them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;
use uuid::Uuid;

use super::ControlConfig;
use crate::{
    broker::{Broker, Delivery, Queue},
    error::{Chain, Result},
    id::ServerId,
    watched::Watched,
    wire::{Envelope, Outcome, Report, SessionReport},
};

/// What became of a command, as its host told it.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub server: ServerId,
    pub command: Uuid,
    pub outcome: Outcome,
}

/// The longest that a caller waits for the listening to begin; without it the store is
/// still looked into.
const BEGIN: Duration = Duration::from_secs(1);

/// Listens for replies from the first call on, until dropped.
pub(super) struct Replies {
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    sender: broadcast::Sender<Reply>,
    listening: Watched<bool>,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Replies {
    pub fn new(broker: Arc<dyn Broker>, config: ControlConfig) -> Self {
        let (sender, _) = broadcast::channel(1_024);
        let listening = Watched::new(false);
        Self { broker, config, sender, listening, task: Mutex::default() }
    }

    /// All replies from now on.
    pub async fn listen(&self) -> broadcast::Receiver<Reply> {
        let replies = self.sender.subscribe();
        self.begin();
        let mut listening = self.listening.watch();
        // Late or not at all: the store tells too, only slower.
        let _ = tokio::time::timeout(BEGIN, listening.until(|listening| *listening)).await;
        replies
    }

    fn begin(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (broker, sender, listening) = (self.broker.clone(), self.sender.clone(), self.listening.clone());
        let mut backoff = self.config.backoff();
        *task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                if let Err(error) = take(&*broker, &sender, &listening).await {
                    debug!(error = %Chain(&error), "listening for replies ended, will begin again");
                }
                if listening.replace(false) {
                    backoff.reset();
                }
                tokio::time::sleep(backoff.delay()).await;
            }
        })));
    }
}

async fn take(
    broker: &dyn Broker,
    sender: &broadcast::Sender<Reply>,
    listening: &Watched<bool>,
) -> Result<()> {
    let queue = Queue::of_replies(Uuid::new_v4());
    broker.declare(&queue).await?;
    let mut consumer = broker.consume(&queue.name).await?;
    listening.replace(true);
    loop {
        let delivery = consumer.next().await?;
        if let Some(reply) = read(&delivery) {
            // Nobody waiting is no failure.
            let _ = sender.send(reply);
        }
        delivery.handle.ack().await?;
    }
}

/// The host is who the key says; what cannot be read is left to the store.
fn read(delivery: &Delivery) -> Option<Reply> {
    let server = delivery.message.key.server()?;
    let envelope = Envelope::<Report>::decode(&delivery.message.body).ok()?;
    match envelope.body {
        Report::Session(SessionReport::Outcome { command, outcome, .. }) => {
            Some(Reply { server, command, outcome })
        }
        _ => None,
    }
}
