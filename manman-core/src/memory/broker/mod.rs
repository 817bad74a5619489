//! A broker within one process: what `manman up` uses, and what stories run on.

mod consumer;
mod queue;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use self::{
    consumer::MemoryConsumer,
    queue::{GivenBack, Room, Waiting, Waits},
};
use crate::{
    broker::{Broker, Class, Consumer, DeadLetter, MAX_BODY, Message, Queue},
    error::{Error, ErrorKind, Result},
};

/// How many dead letters are kept; the oldest go first.
const DEAD_LETTERS_KEPT: usize = 1_000;

/// A broker within one process. Clones are the same broker; what is in it goes with the
/// last of them.
#[derive(Clone, Default)]
pub struct MemoryBroker(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    queues: BTreeMap<String, Waits>,
    dead: VecDeque<DeadLetter>,
    /// Gives queues, consumers and messages their numbers.
    counter: u64,
    dropped: u64,
    missed: u64,
}

impl MemoryBroker {
    /// An empty broker.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages are in a queue, those handed out and not settled included; `None`
    /// if there is no such queue.
    pub fn depth(&self, queue: &str) -> Option<usize> {
        let mut state = self.0.state();
        let queue = state.queues.get_mut(queue)?;
        queue.expire(Instant::now());
        Some(queue.depth())
    }

    /// How much telemetry was dropped for lack of room, or because it was not dealt with.
    pub fn dropped(&self) -> u64 {
        self.0.state().dropped
    }

    /// How many events full queues have missed, each counted by itself.
    pub fn missed(&self) -> u64 {
        self.0.state().missed
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        let depths = state.queues.iter().map(|(name, queue)| (name, queue.depth()));
        f.debug_map().entries(depths).finish()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The queue of that name, if it is still the one that was meant.
    fn queue(&mut self, name: &str, incarnation: u64) -> Option<&mut Waits> {
        self.queues.get_mut(name).filter(|queue| queue.incarnation == incarnation)
    }

    fn bury(&mut self, queue: &str, waiting: Waiting, reason: &str) {
        if self.dead.len() == DEAD_LETTERS_KEPT {
            self.dead.pop_front();
        }
        self.dead.push_back(DeadLetter {
            message: waiting.message,
            queue: queue.to_owned(),
            reason: reason.to_owned(),
            attempts: waiting.attempt,
        });
    }

    fn give_back(&mut self, name: &str, waiting: Waiting, delay: Duration) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        let durable = queue.spec.durable;
        match queue.give_back(waiting, Instant::now() + delay) {
            GivenBack::Waits => {}
            GivenBack::TooOften(waiting) if durable => {
                let reason = format!("max_deliveries: handed out {} times", waiting.attempt);
                self.bury(name, waiting, &reason);
            }
            GivenBack::TooOften(_) => self.dropped += 1,
        }
    }

    fn store(&mut self, message: &Message) -> Result<()> {
        let bound: Vec<String> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.takes(message))
            .map(|(name, _)| name.clone())
            .collect();
        if bound.is_empty() {
            return match message.class {
                Class::Event | Class::Telemetry => Ok(()),
                Class::Command | Class::Report => {
                    Err(Error::new(ErrorKind::NotFound, "publish", format!("no queue takes {}", message.key)))
                }
            };
        }
        let now = Instant::now();
        for name in &bound {
            self.queues.get_mut(name).into_iter().for_each(|queue| queue.expire(now));
        }
        if matches!(message.class, Class::Command | Class::Report)
            && let Some(full) = bound.iter().find(|name| self.queues[*name].room(message.class) == Room::Busy)
        {
            return Err(Error::new(ErrorKind::Busy, "publish", format!("queue {full} is full")));
        }
        for name in bound {
            let sequence = self.number();
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            match queue.room(message.class) {
                Room::Free => queue.push(sequence, message.clone()),
                Room::InsteadOfOldest => {
                    queue.drop_oldest();
                    queue.push(sequence, message.clone());
                    self.dropped += 1;
                }
                Room::Busy => self.miss(&name, message),
                Room::None => self.dropped += 1,
            }
        }
        Ok(())
    }

    fn miss(&mut self, queue: &str, message: &Message) {
        self.missed += 1;
        if self.missed.is_power_of_two() {
            let (key, missed) = (&message.key, self.missed);
            warn!(message.key = %key, "queue {queue} is full and misses an event, {missed} were missed so far");
        }
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn declare(&self, queue: &Queue) -> Result<()> {
        let mut state = self.0.state();
        if let Some(present) = state.queues.get(&queue.name) {
            return if present.spec == *queue {
                Ok(())
            } else {
                let message = format!("queue {} exists with other properties", queue.name);
                Err(Error::new(ErrorKind::Conflict, "declare queue", message))
            };
        }
        let incarnation = state.number();
        state.queues.insert(queue.name.clone(), Waits::new(queue.clone(), incarnation));
        Ok(())
    }

    async fn delete(&self, queue: &str) -> Result<()> {
        if let Some(gone) = self.0.state().queues.remove(queue) {
            gone.changed.notify_waiters();
        }
        Ok(())
    }

    async fn publish(&self, message: Message) -> Result<()> {
        if message.body.len() > MAX_BODY {
            let text = format!("a body of {} bytes is larger than {MAX_BODY}", message.body.len());
            return Err(Error::new(ErrorKind::Invalid, "publish", text));
        }
        self.0.state().store(&message)
    }

    async fn consume(&self, queue: &str) -> Result<Box<dyn Consumer>> {
        let mut state = self.0.state();
        let number = state.number();
        let Some(waits) = state.queues.get_mut(queue) else {
            return Err(Error::new(ErrorKind::NotFound, "consume", format!("there is no queue {queue}")));
        };
        waits.consumers.push_back(number);
        let consumer = MemoryConsumer {
            broker: self.0.clone(),
            queue: queue.to_owned(),
            incarnation: waits.incarnation,
            number,
            changed: waits.changed.clone(),
        };
        Ok(Box::new(consumer))
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        Ok(self.0.state().dead.iter().rev().take(limit).cloned().collect())
    }

    async fn dead_letter_requeue(&self, message: Uuid) -> Result<()> {
        let mut state = self.0.state();
        let missing = |what: String| Err(Error::new(ErrorKind::NotFound, "requeue a dead letter", what));
        let Some(place) = state.dead.iter().position(|dead| dead.message.id == message) else {
            return missing(format!("there is no dead letter {message}"));
        };
        let (letter, sequence) = (state.dead[place].clone(), state.number());
        let Some(queue) = state.queues.get_mut(&letter.queue) else {
            return missing(format!("its queue {} is gone", letter.queue));
        };
        queue.expire(Instant::now());
        if queue.room(letter.message.class) != Room::Free {
            let full = format!("queue {} is full", letter.queue);
            return Err(Error::new(ErrorKind::Busy, "requeue a dead letter", full));
        }
        queue.push(sequence, letter.message);
        state.dead.remove(place);
        Ok(())
    }

    async fn dead_letter_drop(&self, message: Uuid) -> Result<()> {
        self.0.state().dead.retain(|dead| dead.message.id != message);
        Ok(())
    }

    async fn probe(&self) -> Result<()> {
        Ok(())
    }
}
