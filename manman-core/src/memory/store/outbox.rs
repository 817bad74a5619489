//! What is to leave for the broker.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use super::MemoryStore;
use crate::{
    broker::{Message, RoutingKey},
    clock::Timestamp,
    error::Result,
    id::{ServerId, SessionId},
    store::{OUTBOX_PER_KEY, OutboxMessage, OutboxStore},
};

#[derive(Clone, Debug)]
struct Row {
    /// Counts all rows, in the order of commits.
    place: u64,
    message: Message,
    /// The session it is a hint for.
    hints: Option<SessionId>,
    /// Whether a relay was ever handed it.
    left: bool,
    tries: u32,
    due: Timestamp,
}

/// Messages in the order of their commit, for each key.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    lines: BTreeMap<RoutingKey, VecDeque<Row>>,
    places: u64,
    /// Whether anything was put in since this was last taken.
    pub grew: bool,
}

impl Outbox {
    pub fn push(&mut self, message: Message, hints: Option<SessionId>, now: Timestamp) {
        self.places += 1;
        self.grew = true;
        let row = Row { place: self.places, hints, left: false, tries: 0, due: now, message };
        self.lines.entry(row.message.key.clone()).or_default().push_back(row);
    }

    /// Whether hints for this session wait and none of them was ever handed to a relay.
    pub fn never_left(&self, server: ServerId, session: SessionId) -> bool {
        let line = self.lines.get(&RoutingKey::command(server));
        let mut hints = line.into_iter().flatten().filter(|row| row.hints == Some(session)).peekable();
        hints.peek().is_some() && hints.all(|row| !row.left)
    }

    /// The hints for this session count as left.
    pub fn hand_out(&mut self, server: ServerId, session: SessionId) {
        let line = self.lines.get_mut(&RoutingKey::command(server));
        for row in line.into_iter().flatten().filter(|row| row.hints == Some(session)) {
            row.left = true;
        }
    }

    /// Takes the hints for this session back.
    pub fn withdraw(&mut self, server: ServerId, session: SessionId) {
        if let Some(line) = self.lines.get_mut(&RoutingKey::command(server)) {
            line.retain(|row| row.hints != Some(session));
            self.grew = true; // What stood behind it may be due.
        }
    }

    fn take_due(&mut self, limit: usize, now: Timestamp) -> Vec<OutboxMessage> {
        let mut due: Vec<&mut Row> = Vec::new();
        for line in self.lines.values_mut() {
            let mut waits = false;
            due.extend(line.iter_mut().take(OUTBOX_PER_KEY).take_while(|row| {
                let here = !waits && row.due <= now;
                waits |= row.tries > 0;
                here
            }));
        }
        due.sort_by_key(|row| row.place);
        due.into_iter()
            .take(limit)
            .map(|row| {
                row.left = true;
                OutboxMessage { message: row.message.clone(), tries: row.tries }
            })
            .collect()
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.lines.values().filter_map(VecDeque::front).map(|row| row.due).min()
    }

    fn remove(&mut self, ids: &[Uuid]) {
        for line in self.lines.values_mut() {
            line.retain(|row| !ids.contains(&row.message.id));
        }
        self.lines.retain(|_, line| !line.is_empty());
    }

    fn find(&mut self, id: Uuid) -> Option<&mut Row> {
        self.lines.values_mut().flatten().find(|row| row.message.id == id)
    }
}

#[async_trait]
impl OutboxStore for MemoryStore {
    async fn outbox_due(&self, limit: usize) -> Result<Vec<OutboxMessage>> {
        self.deed(|books, now| Ok(books.outbox.take_due(limit, now)))
    }

    async fn outbox_sent(&self, ids: &[Uuid]) -> Result<()> {
        self.deed(|books, _| {
            books.outbox.remove(ids);
            Ok(())
        })
    }

    async fn outbox_failed(&self, id: Uuid, _error: &str, delay: Duration) -> Result<()> {
        self.deed(|books, now| {
            if let Some(row) = books.outbox.find(id) {
                row.tries += 1;
                row.due = now.plus(delay);
            }
            Ok(())
        })
    }

    async fn outbox_wait(&self) {
        // Listening before looking: what is put in between is heard.
        let posted = self.posted.notified();
        tokio::pin!(posted);
        posted.as_mut().enable();
        match self.read(|books| books.outbox.next_due()) {
            None => posted.await,
            Some(due) => {
                let wait = due.since(self.clock.now());
                tokio::select! {
                    biased;
                    () = posted => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}
