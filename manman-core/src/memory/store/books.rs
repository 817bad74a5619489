//! What a store in memory holds, and what all of its deeds share.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{outbox::Outbox, tokens::HeldToken};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{ClusterId, ConfigId, Epoch, GameId, ServerId, SessionId, SgcId},
    model::{
        Deployment, Game, GameConfig, Port, Protocol, Session,
        session::{Attempt, TimelineEntry},
    },
    store::{
        Actor, AuditEntry, CommandRecord, DeedError, RefusedReports, Source, Write,
        decide::{Change, Post, Presence},
    },
    wire::{Command, ExternalEvent},
};

/// How long the ids of messages are remembered.
const INBOX_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A session with its history.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub session: Session,
    pub timeline: Vec<TimelineEntry>,
    pub attempts: BTreeMap<u32, Attempt>,
    /// The latest report that was applied to it.
    pub last: Option<(Epoch, i64)>,
}

/// A used idempotency key.
#[derive(Clone, Debug)]
struct Used {
    request: [u8; 32],
    answer: Value,
}

type KeyOf = (Actor, &'static str, String);

#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub server: i64,
    pub game: i64,
    pub config: i64,
    pub sgc: i64,
    pub session: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Books {
    pub cluster: ClusterId,
    pub secret: Vec<u8>,
    pub last: Counters,
    pub servers: BTreeMap<ServerId, Presence>,
    pub games: BTreeMap<GameId, Game>,
    pub configs: BTreeMap<ConfigId, GameConfig>,
    pub deployments: BTreeMap<SgcId, Deployment>,
    pub ports: BTreeMap<(ServerId, Port, Protocol), (SgcId, Timestamp)>,
    pub sessions: BTreeMap<SessionId, Held>,
    /// The one slot of each deployment.
    pub live: BTreeMap<SgcId, SessionId>,
    pub latest: BTreeMap<SgcId, SessionId>,
    pub commands: BTreeMap<Uuid, CommandRecord>,
    pub outbox: Outbox,
    pub tokens: Vec<HeldToken>,
    pub audit: Vec<AuditEntry>,
    pub refused: RefusedReports,
    keys: HashMap<KeyOf, Used>,
    keys_by_age: VecDeque<(Timestamp, KeyOf)>,
    seen_messages: HashSet<Uuid>,
    seen_sequences: HashSet<(ServerId, Epoch, i64)>,
    seen_by_age: VecDeque<(Timestamp, Source)>,
    random: fastrand::Rng,
}

impl Held {
    /// Adds what was learnt of an attempt; `false` if it was known.
    pub fn learn(&mut self, attempt: Attempt) -> bool {
        let number = attempt.number;
        let before = self.attempts.get(&number).cloned();
        let after = before.clone().unwrap_or_else(|| Attempt::new(number)).or(attempt);
        let is_news = before.as_ref() != Some(&after);
        self.attempts.insert(number, after);
        is_news
    }
}

impl Books {
    pub fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let cluster = uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
        let secret = std::iter::repeat_with(|| random.u8(..)).take(32).collect();
        Self {
            cluster: ClusterId(cluster),
            secret,
            last: Counters::default(),
            servers: BTreeMap::new(),
            games: BTreeMap::new(),
            configs: BTreeMap::new(),
            deployments: BTreeMap::new(),
            ports: BTreeMap::new(),
            sessions: BTreeMap::new(),
            live: BTreeMap::new(),
            latest: BTreeMap::new(),
            commands: BTreeMap::new(),
            outbox: Outbox::default(),
            tokens: Vec::new(),
            audit: Vec::new(),
            refused: RefusedReports::default(),
            keys: HashMap::new(),
            keys_by_age: VecDeque::new(),
            seen_messages: HashSet::new(),
            seen_sequences: HashSet::new(),
            seen_by_age: VecDeque::new(),
            random,
        }
    }

    /// A fresh id for a message or command (UUID v7).
    pub fn uuid(&mut self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
        let mut tail = [0; 10];
        self.random.fill(&mut tail);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// What was noted of the first deed under this key, if there was one.
    pub fn recall<T: DeserializeOwned>(
        &mut self,
        write: &Write,
        now: Timestamp,
    ) -> Result<Option<T>, DeedError> {
        while let Some((at, _)) = self.keys_by_age.front()
            && now.since(*at) >= Write::KEY_KEPT
        {
            if let Some((_, key)) = self.keys_by_age.pop_front() {
                self.keys.remove(&key);
            }
        }
        let Some(given) = &write.idempotency else { return Ok(None) };
        given.validate()?;
        match self.keys.get(&(write.actor.clone(), given.rpc, given.key.clone())) {
            None => Ok(None),
            Some(used) if used.request == given.request => {
                let answer = serde_json::from_value(used.answer.clone()).map_err(|error| {
                    Error::new(ErrorKind::Corrupt, "recall", "an answer does not read back").because(error)
                })?;
                Ok(Some(answer))
            }
            Some(_) => Err(DeedError::IdempotencyMismatch { key: given.key.clone(), rpc: given.rpc }),
        }
    }

    /// Notes a deed in the audit, and its answer under its key.
    pub fn sign(&mut self, write: &Write, deed: &str, object: String, answer: Value, now: Timestamp) {
        let id = self.audit.len() as i64 + 1;
        self.audit.push(AuditEntry {
            id,
            at: now,
            actor: write.actor.clone(),
            deed: deed.to_owned(),
            object,
        });
        if let Some(given) = &write.idempotency {
            let key = (write.actor.clone(), given.rpc, given.key.clone());
            self.keys_by_age.push_back((now, key.clone()));
            self.keys.insert(key, Used { request: given.request, answer });
        }
    }

    /// Notes a message; `false` if it was noted before.
    pub fn is_first(&mut self, source: Source, now: Timestamp) -> bool {
        while let Some((at, _)) = self.seen_by_age.front()
            && now.since(*at) >= INBOX_KEPT
        {
            if let Some((_, old)) = self.seen_by_age.pop_front() {
                self.seen_messages.remove(&old.message);
                self.seen_sequences.remove(&(old.server, old.epoch, old.sequence));
            }
        }
        let sequence = (source.server, source.epoch, source.sequence);
        if self.seen_messages.contains(&source.message) || self.seen_sequences.contains(&sequence) {
            return false;
        }
        self.seen_messages.insert(source.message);
        self.seen_sequences.insert(sequence);
        self.seen_by_age.push_back((now, source));
        true
    }

    /// Whether `source` speaks for its server.
    pub fn is_current(&self, source: Source) -> bool {
        self.servers.get(&source.server).is_some_and(|it| it.server.epoch == source.epoch)
    }

    /// Writes what `change` made of a session, tells other systems, and hints to its host.
    pub fn keep(&mut self, change: Change, hint: Option<Command>, now: Timestamp) -> Result<Session> {
        let Change { session, entries, events, attempt: _ } = change;
        let mut leaving = Vec::new();
        if let Some(hint) = hint {
            let id = self.uuid(now);
            leaving.push((self.post(session.server, now).hint(id, &session, hint)?, Some(session.id)));
        }
        for event in &events {
            let id = self.uuid(now);
            leaving.push((self.post(session.server, now).event(id, event)?, None));
        }
        for (message, of) in leaving {
            self.outbox.push(message, of, now);
        }
        if session.state.is_end() {
            self.live.retain(|sgc, holder| *sgc != session.sgc || *holder != session.id);
        } else {
            self.live.insert(session.sgc, session.id);
        }
        let held = self.sessions.entry(session.id).or_insert_with(|| Held {
            session: session.clone(),
            timeline: Vec::new(),
            attempts: BTreeMap::new(),
            last: None,
        });
        held.session = session.clone();
        held.timeline.extend(entries);
        Ok(session)
    }

    /// Writes a server and tells other systems.
    pub fn keep_server(
        &mut self,
        presence: Presence,
        event: Option<ExternalEvent>,
        now: Timestamp,
    ) -> Result<()> {
        let id = presence.server.id;
        if let Some(event) = event {
            let post = Post { server: id, epoch: presence.server.epoch, now };
            let message = post.event(self.uuid(now), &event)?;
            self.outbox.push(message, None, now);
        }
        self.servers.insert(id, presence);
        Ok(())
    }

    pub fn post(&self, server: ServerId, now: Timestamp) -> Post {
        let epoch = self.servers.get(&server).map_or(Epoch(0), |presence| presence.server.epoch);
        Post { server, epoch, now }
    }
}

/// There is no such thing.
pub(super) fn missing(noun: &'static str, id: impl ToString) -> DeedError {
    DeedError::NotFound { noun, id: id.to_string() }
}
