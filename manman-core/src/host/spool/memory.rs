//! The spool in memory: for simulations, and for hosts without a disk to spare.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Entry, History, Holding, Keeper, Kept, Span, Spool, SpoolConfig, tail::Tail};
use crate::{
    clock::Timestamp,
    console::{Position, Resume},
    error::{Error, ErrorKind, Result},
    id::SessionId,
};

/// Keeps sessions in memory. Clones share what is kept, so that a host manager can die
/// and its successor find it, within one process.
#[derive(Clone, Debug, Default)]
pub struct MemorySpool {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    config: SpoolConfig,
    sessions: BTreeMap<SessionId, Session>,
    full: bool,
    shut: bool,
}

#[derive(Debug)]
struct Session {
    first: u64,
    next: u64,
    bytes: usize,
    entries: VecDeque<Entry>,
    ended_at: Option<Timestamp>,
}

impl Session {
    /// When the last thing that is kept was read.
    fn changed_at(&self) -> Option<Timestamp> {
        self.entries.back().map(|entry| match &entry.what {
            Kept::Output(batch) => batch.read_at,
            Kept::Gap(.., at) => *at,
        })
    }
}

impl MemorySpool {
    /// A spool that keeps as much as `config` says.
    pub fn new(config: SpoolConfig) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { config, ..Shared::default() })) }
    }

    /// From now on every `append` fails as on a full disk, or no longer does.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// From now on every `open` fails, as where there are too many open files, or no longer does.
    pub fn set_shut(&self, shut: bool) {
        self.lock().shut = shut;
    }

    /// Forgets the last `entries` of a session, as a machine does that loses its power.
    pub fn tear(&self, session: SessionId, entries: usize) {
        if let Some(session) = self.lock().sessions.get_mut(&session) {
            for entry in (0..entries).map_while(|_| session.entries.pop_back()) {
                session.next = entry.first;
                session.bytes -= entry.weight();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // What is behind the lock is whole between any two statements.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool for MemorySpool {
    fn blocks(&self) -> bool {
        false
    }

    fn open(&self, session: SessionId) -> Result<Box<dyn Keeper>> {
        let mut shared = self.lock();
        if shared.shut {
            let message = "there are too many open files";
            return Err(Error::new(ErrorKind::Unavailable, "open the console's spool", message));
        }
        shared.sessions.entry(session).or_insert_with(|| Session {
            first: 1,
            next: 1,
            bytes: 0,
            entries: VecDeque::new(),
            ended_at: None,
        });
        Ok(Box::new(Place { spool: self.clone(), session }))
    }

    fn read(&self, session: SessionId) -> Result<Option<Box<dyn History>>> {
        let there = self.lock().sessions.contains_key(&session);
        Ok(there.then(|| Box::new(Place { spool: self.clone(), session }) as Box<dyn History>))
    }

    fn resume(&self, session: SessionId, attempt: u32, until: u64) -> Result<Option<Resume>> {
        let shared = self.lock();
        let Some(session) = shared.sessions.get(&session) else { return Ok(None) };
        let of_attempt =
            session.entries.iter().rev().filter(|entry| entry.attempt == attempt && entry.next() <= until);
        // More than a tail can hold: each entry that counts has a piece.
        let mut last: Vec<_> = of_attempt.take(16 * Resume::TAIL).collect();
        if last.is_empty() {
            return Ok(None);
        }
        last.reverse();
        let mut tail = Tail::new(attempt, Position::START);
        last.into_iter().for_each(|entry| tail.take(entry));
        Ok(Some(tail.into_resume()))
    }

    fn end(&self, session: SessionId, at: Timestamp) -> Result<()> {
        if let Some(session) = self.lock().sessions.get_mut(&session) {
            session.ended_at.get_or_insert(at);
        }
        Ok(())
    }

    fn correct_end(&self, session: SessionId, at: Timestamp) -> Result<()> {
        if let Some(session) = self.lock().sessions.get_mut(&session) {
            session.ended_at = session.ended_at.and(Some(at));
        }
        Ok(())
    }

    fn ended(&self, session: SessionId) -> Result<Option<Timestamp>> {
        Ok(self.lock().sessions.get(&session).and_then(|session| session.ended_at))
    }

    fn list(&self) -> Result<Vec<Holding>> {
        let holding = |(id, session): (&SessionId, &Session)| Holding {
            session: *id,
            bytes: session.bytes as u64,
            ended_at: session.ended_at,
            changed_at: session.ended_at.or(session.changed_at()).unwrap_or_default(),
        };
        Ok(self.lock().sessions.iter().map(holding).collect())
    }

    fn remove(&self, session: SessionId) -> Result<()> {
        self.lock().sessions.remove(&session);
        Ok(())
    }
}

/// A session of a memory spool, for writing or reading.
#[derive(Debug)]
struct Place {
    spool: MemorySpool,
    session: SessionId,
}

impl Place {
    fn now(&self) -> Span {
        let shared = self.spool.lock();
        let session = shared.sessions.get(&self.session);
        session.map_or(Span { first: 1, next: 1 }, |it| Span { first: it.first, next: it.next })
    }
}

impl Keeper for Place {
    fn span(&self) -> Span {
        self.now()
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        const OPERATION: &str = "append to the console's spool";
        let mut shared = self.spool.lock();
        let cap = usize::try_from(shared.config.session_bytes).unwrap_or(usize::MAX);
        if shared.full {
            return Err(Error::new(ErrorKind::Busy, OPERATION, "the disk is full"));
        }
        let Some(session) = shared.sessions.get_mut(&self.session) else {
            return Err(Error::new(ErrorKind::NotFound, OPERATION, "the session was removed"));
        };
        session.next = super::follow(session.next, entries)?;
        for entry in entries {
            session.bytes += entry.weight();
            session.entries.push_back(entry.clone());
        }
        while session.bytes > cap && session.entries.len() > 1 {
            if let Some(entry) = session.entries.pop_front() {
                session.bytes -= entry.weight();
                session.first = entry.next();
            }
        }
        Ok(())
    }
}

impl History for Place {
    fn span(&mut self) -> Result<Span> {
        Ok(self.now())
    }

    fn read(&mut self, from: u64, until: u64, enough: usize) -> Result<Vec<Entry>> {
        let shared = self.spool.lock();
        let Some(session) = shared.sessions.get(&self.session) else { return Ok(Vec::new()) };
        let start = session.entries.partition_point(|entry| entry.next() <= from);
        let (mut entries, mut weight) = (Vec::new(), 0);
        for entry in session.entries.range(start..) {
            if entry.first >= until || weight >= enough {
                break;
            }
            weight += entry.weight();
            entries.push(entry.clone());
        }
        Ok(entries)
    }
}
