//! One queue: what waits, what is handed out, and to whom.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::{sync::Notify, time::Instant};

use crate::broker::{Class, Message, Queue};

/// A message in a queue. Its sequence keeps its place when it comes back.
#[derive(Debug)]
pub(super) struct Waiting {
    pub sequence: u64,
    pub message: Message,
    /// How often it was handed out.
    pub attempt: u32,
    since: Instant,
    not_before: Option<Instant>,
}

/// What there is for a consumer now.
pub(super) enum Turn {
    /// This; it counts as handed out.
    Take { sequence: u64, message: Message, attempt: u32 },
    /// Nothing before a change, or before that moment.
    Wait(Option<Instant>),
}

/// Whether one message more fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    InsteadOfOldest,
    /// No, and its publisher is told; of an event it misses this one.
    Busy,
    /// No, and nobody is told.
    None,
}

/// What became of a message that was given back.
pub(super) enum GivenBack {
    Waits,
    TooOften(Waiting),
}

#[derive(Debug)]
pub(super) struct Waits {
    pub spec: Queue,
    /// Tells this queue from another one of the same name.
    pub incarnation: u64,
    /// In the order of their turn: the first one is the active one of a single consumer.
    pub consumers: VecDeque<u64>,
    pub changed: Arc<Notify>,
    ready: BTreeMap<u64, Waiting>,
    /// Given back with a delay, where others may overtake.
    later: BTreeMap<(Instant, u64), Waiting>,
    handed_out: BTreeMap<u64, (u64, Waiting)>,
}

impl Waits {
    pub fn new(spec: Queue, incarnation: u64) -> Self {
        Self {
            spec,
            incarnation,
            consumers: VecDeque::new(),
            changed: Arc::default(),
            ready: BTreeMap::new(),
            later: BTreeMap::new(),
            handed_out: BTreeMap::new(),
        }
    }

    pub fn depth(&self) -> usize {
        self.ready.len() + self.later.len() + self.handed_out.len()
    }

    pub fn takes(&self, message: &Message) -> bool {
        let bound = &self.spec.bindings;
        bound.iter().any(|(exchange, pattern)| *exchange == message.exchange && pattern.matches(&message.key))
    }

    /// Telemetry gets half of a durable queue only: it must not make it full for the rest.
    pub fn room(&self, class: Class) -> Room {
        let depth = self.depth();
        match (self.spec.durable, class) {
            (true, Class::Telemetry) if depth < self.spec.max_messages.div_ceil(2) => Room::Free,
            (true, Class::Telemetry) => Room::None,
            (_, _) if depth < self.spec.max_messages => Room::Free,
            (true, _) => Room::Busy,
            (false, _) if self.ready.is_empty() => Room::None,
            (false, _) => Room::InsteadOfOldest,
        }
    }

    /// Lets go what has waited for too long.
    pub fn expire(&mut self, now: Instant) {
        let Some(max_age) = self.spec.max_age.filter(|_| self.spec.durable) else { return };
        let too_old = |waiting: &Waiting| now.duration_since(waiting.since) >= max_age;
        // In the order in which they came.
        while let Some(first) = self.ready.first_entry().filter(|first| too_old(first.get())) {
            first.remove();
        }
        self.later.retain(|_, waiting| !too_old(waiting));
    }

    pub fn push(&mut self, sequence: u64, message: Message) {
        let waiting = Waiting { sequence, message, attempt: 0, since: Instant::now(), not_before: None };
        self.ready.insert(sequence, waiting);
        self.changed.notify_waiters();
    }

    pub fn drop_oldest(&mut self) {
        self.ready.pop_first();
    }

    /// The next message for `consumer`, if it is its turn.
    pub fn turn(&mut self, consumer: u64, now: Instant) -> Turn {
        if self.spec.single_consumer
            && (self.consumers.front() != Some(&consumer) || !self.handed_out.is_empty())
        {
            return Turn::Wait(None);
        }
        self.expire(now);
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let waiting = entry.remove();
            self.ready.insert(waiting.sequence, waiting);
        }
        let Some(entry) = self.ready.first_entry() else {
            return Turn::Wait(self.later.first_key_value().map(|((due, _), _)| *due));
        };
        // In a queue with a single consumer nobody overtakes: the first one is waited for.
        if let Some(due) = entry.get().not_before
            && due > now
        {
            return Turn::Wait(Some(due));
        }
        let mut waiting = entry.remove();
        waiting.attempt = waiting.attempt.saturating_add(1);
        waiting.not_before = None;
        let turn = Turn::Take {
            sequence: waiting.sequence,
            message: waiting.message.clone(),
            attempt: waiting.attempt,
        };
        self.handed_out.insert(waiting.sequence, (consumer, waiting));
        turn
    }

    /// Ends the handing out of a message; `None` if it was taken back meanwhile.
    pub fn settle(&mut self, sequence: u64, consumer: u64) -> Option<Waiting> {
        if self.handed_out.get(&sequence).is_none_or(|(holder, _)| *holder != consumer) {
            return None;
        }
        let (_, waiting) = self.handed_out.remove(&sequence)?;
        self.changed.notify_waiters();
        Some(waiting)
    }

    pub fn give_back(&mut self, mut waiting: Waiting, due: Instant) -> GivenBack {
        self.changed.notify_waiters();
        if waiting.attempt >= self.spec.max_deliveries {
            return GivenBack::TooOften(waiting);
        }
        let sequence = waiting.sequence;
        if self.spec.single_consumer {
            waiting.not_before = Some(due);
            self.ready.insert(sequence, waiting);
        } else {
            self.later.insert((due, sequence), waiting);
        }
        GivenBack::Waits
    }

    /// A consumer is gone: what it left unsettled is returned, to be given back.
    pub fn leave(&mut self, consumer: u64) -> Vec<Waiting> {
        self.consumers.retain(|other| *other != consumer);
        self.changed.notify_waiters();
        self.handed_out
            .extract_if(.., |_, (holder, _)| *holder == consumer)
            .map(|(_, (_, waiting))| waiting)
            .collect()
    }
}
