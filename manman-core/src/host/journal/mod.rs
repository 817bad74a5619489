//! The journal: what a host has to know again after it died.
//!
//! A cache: the control plane is the truth about what should be, the engine about what
//! is; lost, it is rebuilt from both. What it alone knows are the numbers of attempts
//! that were begun, ends that are not on record yet, how far stops came, and which
//! one-shot commands were seen.
//!
//! # Format, version 1
//!
//! The head `MMJRNL`, the version as a byte, a newline; then records: length `u32`, CRC-32
//! of the body `u32`, both little endian, and the body as JSON. A record says how something
//! is now, so that a later one replaces an earlier one. A torn record at the end is cut
//! off; if anything before it is damaged, all is set aside under another name and said.

mod disk;
mod frame;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use disk::{Disk, FileDisk, MemoryDisk};
pub use state::{Entry, Ground, Identity, State};
pub use writer::Written;

use frame::Tail;
use state::Record;
use uuid::Uuid;
use writer::{Job, Writer};

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    host::plan::Memory,
    id::SessionId,
    model::SessionSpec,
    uplink::Desired,
};

/// A journal is rewritten when it has grown by this many bytes, and to four times of what
/// it holds.
const REWRITE_AFTER: usize = 256 << 10;

/// How long the disk is waited for before it counts as one that hangs.
pub(in crate::host) const PATIENCE: Duration = Duration::from_secs(5);

/// How many sequence numbers are taken with one record.
const SEQUENCES: i64 = 1_000;

/// What a host has written down, and the way to write more.
pub struct Journal {
    inner: Mutex<Inner>,
    damage: Option<String>,
}

struct Inner {
    state: State,
    writer: Writer,
    /// Bytes in the journal, about.
    size: usize,
    /// Bytes it had when it was last rewritten.
    rewritten: usize,
    /// The last sequence number given.
    sequence: i64,
}

impl Journal {
    /// Reads what is there and goes on from it.
    ///
    /// # Errors
    /// What the disk says; `Unsupported` if a newer version wrote it.
    pub fn open(disk: impl Disk) -> Result<Self> {
        Self::open_boxed(Box::new(disk))
    }

    /// As [`Journal::open`].
    pub fn open_boxed(mut disk: Box<dyn Disk>) -> Result<Self> {
        let bytes = disk.load()?;
        let found = frame::read(&bytes);
        let mut state = State::default();
        let damage = match found.end {
            Tail::Version(version) => {
                let message =
                    format!("it is of version {version}, and this build knows version {}", frame::HEAD[6]);
                return Err(Error::new(ErrorKind::Unsupported, "open the journal", message));
            }
            Tail::Damaged(why) => {
                let aside = disk.set_aside()?;
                Some(format!("the journal was damaged ({why}) and is set aside as {aside}"))
            }
            Tail::Whole | Tail::Torn(_) => {
                found.records.into_iter().for_each(|record| state.apply(record));
                None
            }
        };
        let sequence = state.sequence;
        let mut inner = Inner { state, writer: Writer::new(disk)?, size: 0, rewritten: 0, sequence };
        // One that is new or torn becomes whole, and one of a long life short, before it is
        // needed; the first write that is waited for tells whether it worked.
        drop(inner.rewrite()?);
        Ok(Self { inner: Mutex::new(inner), damage })
    }

    /// What was wrong with it when it was opened, for people.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Looks at all of it.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inner().state)
    }

    /// What is written down of a session.
    pub fn session(&self, id: SessionId) -> Option<Entry> {
        self.look(|state| state.sessions.get(&id).cloned())
    }

    /// Writes down who we are.
    pub fn identify(&self, identity: Identity) -> Written {
        let mut inner = self.inner();
        if inner.state.identity == Some(identity) {
            return inner.so_far();
        }
        inner.write(vec![Record::Identity(identity)])
    }

    /// Writes down what we stand on.
    pub fn stand_on(&self, ground: Ground) -> Written {
        let mut inner = self.inner();
        if inner.state.ground == ground {
            return inner.so_far();
        }
        inner.write(vec![Record::Ground(ground)])
    }

    /// Takes a session up. One that is known, or was forgotten, stays as it is.
    pub(in crate::host) fn take_up(&self, desired: Desired) -> Written {
        let mut inner = self.inner();
        let id = desired.session;
        if inner.state.sessions.contains_key(&id) || inner.state.forgotten.contains(&id) {
            return inner.so_far();
        }
        let memory = Memory { whole: inner.state.caught_up, ..Memory::default() };
        inner.write(vec![Record::Session(Box::new(Entry { desired, memory }))])
    }

    /// Notes that all that is wanted now was taken up: whatever comes later begins here.
    pub(in crate::host) fn catch_up(&self) -> Written {
        let mut inner = self.inner();
        if inner.state.caught_up {
            return inner.so_far();
        }
        inner.write(vec![Record::CaughtUp {}])
    }

    /// Takes up a session that is nobody's any more, to clear it away; also one that was
    /// forgotten.
    pub(in crate::host) fn disown(&self, desired: Desired) -> Written {
        let memory = Memory { disowned: true, ..Memory::default() };
        self.inner().write(vec![Record::Session(Box::new(Entry { desired, memory }))])
    }

    /// Changes what is written down of a session. One that is not known is left alone.
    pub(in crate::host) fn change(&self, id: SessionId, change: impl FnOnce(&mut Entry)) -> Written {
        let mut inner = self.inner();
        let Some(entry) = inner.state.sessions.get(&id) else { return Written::nothing() };
        let mut changed = entry.clone();
        change(&mut changed);
        if changed == *entry {
            // Known here is not on the disk yet: that a note before this one failed, or is still
            // on its way, is for the disk to say.
            return inner.so_far();
        }
        let spec = changed.memory.spec.clone();
        let new_spec = spec != entry.memory.spec;
        let mut records = vec![Record::Session(Box::new(changed))];
        if new_spec && let Some(spec) = spec {
            records.push(Record::Spec(Box::new(SessionSpec::clone(&spec))));
        }
        inner.write(records)
    }

    /// Forgets a session for good: nothing of it is left.
    pub fn forget(&self, id: SessionId) -> Written {
        self.inner().write(vec![Record::Forgotten(id)])
    }

    /// Notes a one-shot command as seen until `until`; `None` if it was seen before.
    pub(in crate::host) fn see(&self, id: Uuid, until: Timestamp, now: Timestamp) -> Option<Written> {
        let mut inner = self.inner();
        inner.state.commands.retain(|_, until| *until >= now);
        if inner.state.commands.contains_key(&id) {
            return None;
        }
        Some(inner.write(vec![Record::Command { id, until }]))
    }

    /// The next sequence number: above every one given before, by whatever process.
    pub(in crate::host) fn next_sequence(&self) -> i64 {
        let mut inner = self.inner();
        inner.sequence += 1;
        if inner.sequence > inner.state.sequence {
            let reserved = inner.sequence + SEQUENCES - 1;
            drop(inner.write(vec![Record::Sequence(reserved)]));
        }
        inner.sequence
    }

    /// Resolves when all that was noted so far is on the disk.
    pub fn flush(&self) -> Written {
        self.inner().so_far()
    }

    /// For how long the disk has owed an answer to what it was given first.
    pub fn silence(&self) -> Duration {
        self.inner().writer.silence()
    }

    /// What is wrong with writing it, for people.
    pub fn trouble(&self) -> Option<String> {
        let inner = self.inner();
        let silence = inner.writer.silence();
        if silence >= PATIENCE {
            return Some(format!("the journal's disk has not answered for {} s", silence.as_secs()));
        }
        inner.writer.broken().map(|error| format!("the journal cannot be written: {error}"))
    }

    /// Whether a write failed and the disk is not at it: then [`Journal::flush`] writes all anew.
    pub(in crate::host) fn is_to_be_rewritten(&self) -> bool {
        let inner = self.inner();
        inner.writer.broken().is_some() && inner.writer.silence().is_zero()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whole between any two statements.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Notes `records` here at once, and on the disk when the returned future says so. After
    /// a failure the next write writes all.
    fn write(&mut self, records: Vec<Record>) -> Written {
        let mut bytes = Vec::new();
        for record in &records {
            if let Err(error) = frame::frame(record, &mut bytes) {
                return Written::failed(error);
            }
        }
        records.into_iter().for_each(|record| self.state.apply(record));
        self.size += bytes.len();
        let grown = self.size > (self.rewritten + REWRITE_AFTER).max(4 * self.rewritten);
        if grown || self.writer.broken().is_some() {
            return self.rewrite().unwrap_or_else(Written::failed);
        }
        self.writer.write(Job::Append(bytes))
    }

    /// Resolves when all that was noted so far is on the disk.
    fn so_far(&mut self) -> Written {
        if self.writer.broken().is_some() {
            return self.rewrite().unwrap_or_else(Written::failed);
        }
        self.writer.write(Job::Append(Vec::new()))
    }

    fn rewrite(&mut self) -> Result<Written> {
        let mut bytes = frame::HEAD.to_vec();
        for record in self.state.records() {
            frame::frame(&record, &mut bytes)?;
        }
        (self.size, self.rewritten) = (bytes.len(), bytes.len());
        Ok(self.writer.write(Job::Replace(bytes)))
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = self.look(|state| state.sessions.len());
        f.debug_struct("Journal").field("sessions", &sessions).finish_non_exhaustive()
    }
}
