//! Hears what hosts answer, and hands it to whoever asked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;
use uuid::Uuid;

use crate::{
    broker::{Broker, Message, Queue},
    control::ControlConfig,
    error::{Chain, Result},
    id::{Epoch, ServerId},
    viewing::Shown,
    watched::{Watched, Watcher},
    wire::{Answer, Envelope, Page, Told, Unreadable},
};

/// What a host answered.
#[derive(Debug)]
pub(super) struct Heard {
    /// The registration under which it did.
    pub epoch: Epoch,
    pub answer: Heed,
}

/// An answer, read.
#[derive(Debug)]
pub(super) enum Heed {
    Shown(Opened),
    NotFound,
    Busy,
    Failed(String),
}

/// A [`Page`], opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub from: u64,
    pub until: u64,
    /// Each with the number after it.
    pub items: Vec<(Shown, u64)>,
    pub next: u64,
    pub ended: bool,
}

/// Listens for answers from the first viewer on, until dropped.
pub(super) struct Ears {
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    shared: Arc<Shared>,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

struct Shared {
    /// Under which name answers are heard, while they are.
    replica: Watched<Option<Uuid>>,
    /// The open questions, one of each viewer.
    open: Mutex<HashMap<Uuid, Open>>,
    unreadable: AtomicU64,
}

struct Open {
    server: ServerId,
    question: u64,
    to: oneshot::Sender<Heard>,
}

/// A question that is open while this lives.
pub(super) struct Question {
    shared: Arc<Shared>,
    view: Uuid,
    heard: oneshot::Receiver<Heard>,
    replica: Watcher<Option<Uuid>>,
}

impl Ears {
    pub fn new(broker: Arc<dyn Broker>, config: ControlConfig) -> Self {
        let (replica, open) = (Watched::new(None), Mutex::default());
        let shared = Arc::new(Shared { replica, open, unreadable: AtomicU64::new(0) });
        Self { broker, config, shared, task: Mutex::default() }
    }

    pub fn unreadable(&self) -> u64 {
        self.shared.unreadable.load(Relaxed)
    }

    /// Opens a question of a viewer, and says where to its answer is to go; `None` if answers
    /// cannot be heard within `within`.
    pub async fn open(
        &self,
        view: Uuid,
        question: u64,
        server: ServerId,
        within: Duration,
    ) -> Option<(Uuid, Question)> {
        self.begin();
        let mut replica = self.shared.replica.watch();
        let here = (*timeout(within, replica.until(Option::is_some)).await.ok()?.ok()?)?;
        let (to, heard) = oneshot::channel();
        self.shared.open().insert(view, Open { server, question, to });
        Some((here, Question { shared: self.shared.clone(), view, heard, replica }))
    }

    fn begin(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (broker, shared) = (self.broker.clone(), self.shared.clone());
        let mut backoff = self.config.backoff();
        *task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                if let Err(error) = shared.listen(&*broker).await {
                    debug!(error = %Chain(&error), "listening to consoles ended, will begin again");
                }
                if shared.replica.replace(None).is_some() {
                    backoff.reset();
                }
                tokio::time::sleep(backoff.delay()).await;
            }
        })));
    }
}

impl Shared {
    /// Under a new name each time: what was meant for the one before is asked for again.
    async fn listen(&self, broker: &dyn Broker) -> Result<()> {
        let replica = Uuid::new_v4();
        let queue = Queue::of_logs(replica);
        broker.declare(&queue).await?;
        let mut consumer = broker.consume(&queue.name).await?;
        self.replica.replace(Some(replica));
        loop {
            let delivery = consumer.next().await?;
            if let Err(unreadable) = self.take(&delivery.message) {
                self.unreadable.fetch_add(1, Relaxed);
                debug!(message.id = %delivery.message.id, "an answer about a console is none: {unreadable}");
            }
            delivery.handle.ack().await?;
        }
    }

    /// Hands an answer to whoever asked, if anybody still waits for it.
    fn take(&self, message: &Message) -> Result<(), Unreadable> {
        let Envelope { server, epoch, body: Told { view, question, answer }, .. } =
            Envelope::decode(&message.body)?;
        if message.key.server() != Some(server) {
            return Err(Unreadable::Malformed(format!(
                "from {} in the name of server {server}",
                message.key
            )));
        }
        let awaited = |open: &Open| (open.server, open.question) == (server, question);
        if !self.open().get(&view).is_some_and(awaited) {
            return Ok(());
        }
        let answer = match answer {
            Answer::Shown(page) => Heed::Shown(opened(page)?),
            Answer::NotFound => Heed::NotFound,
            Answer::Busy => Heed::Busy,
            Answer::Failed(why) => Heed::Failed(why),
        };
        if let Some(open) = self.open().remove(&view) {
            // One who has gone meanwhile misses nothing.
            let _ = open.to.send(Heard { epoch, answer });
        }
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Uuid, Open>> {
        // Whole between any two statements.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn opened(page: Page) -> Result<Opened, Unreadable> {
    let Page { from, until, next, ended, .. } = page;
    Ok(Opened { from, until, items: page.open()?, next, ended })
}

impl Question {
    /// The answer; `None` if it does not come within `within`, or cannot come any more.
    pub async fn answer(mut self, within: Duration) -> Option<Heard> {
        tokio::select! {
            biased;
            heard = &mut self.heard => heard.ok(),
            _ = self.replica.changed() => None,
            () = tokio::time::sleep(within) => None,
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.shared.open().remove(&self.view);
    }
}
