//! Telemetry that waits to be taken: bounded, the oldest is dropped.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_nats::Subscriber;
use futures::{StreamExt as _, stream};
use manman_core::{
    broker::{Exchange, Message, Pattern},
    error::Result,
};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{
    link::Link,
    map::{self, Names},
    translate,
};

/// What was heard on some subjects and is not yet taken. Stops listening when dropped.
pub(super) struct Ring {
    waiting: Arc<Waiting>,
    _listening: AbortOnDropHandle<()>,
}

struct Waiting {
    messages: Mutex<Heard>,
    changed: Notify,
    capacity: usize,
}

#[derive(Default)]
struct Heard {
    messages: VecDeque<Message>,
    dropped: u64,
    /// The subject that the server does not let us listen on.
    refused: Option<String>,
}

impl Ring {
    /// Listens to telemetry, with `all` to all else that is published too; what comes goes
    /// to one of those that listen in the name of `queue`.
    pub async fn listen(
        link: &Link,
        names: &Names,
        queue: &str,
        bindings: impl Iterator<Item = (Exchange, Pattern)>,
        all: bool,
        capacity: usize,
    ) -> Result<Self> {
        let mut violations = link.violations();
        let (mut subscribers, mut listened): (Vec<Subscriber>, Vec<String>) = Default::default();
        for (exchange, pattern) in bindings {
            let mut subjects = map::subjects(&pattern, |key| names.telemetry(exchange, key));
            if all {
                subjects.extend(map::subjects(&pattern, |key| names.live(exchange, key)));
            }
            for subject in subjects {
                subscribers.push(link.listen("listen for telemetry", &subject, Some(queue)).await?);
                listened.push(subject);
            }
        }
        let capacity = capacity.max(1);
        let waiting = Arc::new(Waiting { messages: Mutex::default(), changed: Notify::new(), capacity });
        let (heard, names, client) = (waiting.clone(), names.clone(), link.client.clone());
        let listening = tokio::spawn(async move {
            let mut all = stream::select_all(subscribers);
            loop {
                let message = tokio::select! {
                    biased;
                    Ok(violation) = violations.recv() => {
                        if listened.contains(&violation.subject) {
                            heard.refuse(violation.subject);
                        }
                        continue;
                    }
                    Some(message) = all.next() => message,
                    else => return,
                };
                if let Some(reply) = message.reply {
                    // Its publisher wants to know whether anybody is bound.
                    let _ = client.publish(reply, bytes::Bytes::new()).await;
                }
                let read = names.message(&message.subject, message.headers.as_ref(), message.payload);
                if let Some(message) = read {
                    heard.push(message);
                }
            }
        });
        Ok(Self { waiting, _listening: AbortOnDropHandle::new(listening) })
    }

    /// The oldest that waits; waits for one. Given up, it takes nothing.
    pub async fn next(&self) -> Result<Message> {
        loop {
            let changed = self.waiting.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that nothing falls in between.
            changed.as_mut().enable();
            if let Some(taken) = self.waiting.take() {
                return taken;
            }
            changed.await;
        }
    }

    /// How much was dropped for lack of room.
    pub fn dropped(&self) -> u64 {
        self.waiting.lock().dropped
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Nothing in here panics between two changes that belong together.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Result<Message>> {
        let mut heard = self.lock();
        match &heard.refused {
            Some(subject) => Some(Err(translate::denied("consume", subject))),
            None => heard.messages.pop_front().map(Ok),
        }
    }

    fn refuse(&self, subject: String) {
        self.lock().refused = Some(subject);
        self.changed.notify_waiters();
    }

    fn push(&self, message: Message) {
        let mut heard = self.lock();
        if heard.messages.len() == self.capacity {
            heard.messages.pop_front();
            heard.dropped += 1;
        }
        heard.messages.push_back(message);
        drop(heard);
        self.changed.notify_waiters();
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = self.waiting.lock();
        f.debug_struct("Ring")
            .field("waiting", &heard.messages.len())
            .field("dropped", &heard.dropped)
            .finish()
    }
}
