//! The spool: what sessions printed, numbered, on the disk of their machine.
//!
//! It is the truth about numbering, the history for viewers, and where a reader that
//! died goes on. What is appended is written plainly, not synced: it survives our
//! death, not the machine's, and the engine's log then fills in what is missing.
//!
//! # Format, version 1
//!
//! `{dir}/{session}/{first, 20 digits}.seg`: segments, each named by its first sequence
//! number; `{dir}/{session}/ended`: when the session ended, in RFC 3339, once it has.
//! All numbers are little endian.
//!
//! | what | bytes |
//! |---|---|
//! | head of a segment | magic `MMSPOOL1`, session `i64`, first number `u64`, CRC-32 of these `u32` |
//! | record | length of the body `u32`, CRC-32 of the body `u32`, body |
//! | body | kind `u8`, first number `u64`, numbers it has `u64`, attempt `u32`, read at `i64` (µs), length of the position `u8`, position; then by kind |
//! | 1: output | pieces `u32`, runs `u32`, ends `u32` each, runs (end `u32`, channel `u8`) each, text |
//! | 2: gap | the gap as JSON |
//! | 3: checkpoint | pieces `u32`; of each: channel `u8`, length `u32`, bytes |
//!
//! The first record of a segment is a checkpoint: the last position before it and the
//! last pieces of that attempt, so that going on needs one segment only. It has no
//! numbers. Records follow each other without holes in their numbers; what a segment
//! holds beyond the first number of the next one does not count (a write that failed
//! half-way, and was made again there). A record that is torn or damaged ends its segment.

mod config;
mod file;
mod history;
mod keeper;
mod memory;
mod record;
mod segment;
mod tail;

use std::{fmt, sync::Arc};

pub use config::SpoolConfig;
pub use file::FileSpool;
pub use memory::MemorySpool;
pub(crate) use tail::Tail;

use crate::{
    clock::Timestamp,
    console::{Batch, Gap, Position, Resume},
    error::{Error, ErrorKind, Result},
    id::SessionId,
};

/// What is kept under consecutive numbers: a batch of pieces, or one gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its first number.
    pub first: u64,
    /// How many numbers it has, at least one.
    pub numbers: u64,
    /// The attempt that it is of.
    pub attempt: u32,
    /// What it is.
    pub what: Kept,
}

/// What an [`Entry`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Output: one number for each piece.
    Output(Arc<Batch>),
    /// Output that is missing, the position after it, and when that was noticed. More
    /// than one number if it stands for pieces that had been numbered and could not be
    /// kept.
    Gap(Gap, Position, Timestamp),
}

impl Entry {
    /// The number after its last one.
    pub fn next(&self) -> u64 {
        self.first + self.numbers
    }

    /// Where the console stands after it.
    pub fn position(&self) -> Position {
        match &self.what {
            Kept::Output(batch) => batch.position,
            Kept::Gap(_, position, _) => *position,
        }
    }

    /// About how much memory it takes.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 160;
        match &self.what {
            Kept::Output(batch) => FIXED + batch.text().len() + 4 * batch.len(),
            Kept::Gap(gap, ..) => FIXED + gap.reason.len(),
        }
    }
}

/// The numbers that are kept of a session: from `first`, up to but not with `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first number that is kept.
    pub first: u64,
    /// The number that comes next.
    pub next: u64,
}

/// What is kept of one session, as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The session.
    pub session: SessionId,
    /// The bytes it takes.
    pub bytes: u64,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// When something was last kept of it.
    pub changed_at: Timestamp,
}

/// Keeps what sessions printed. Calls block where [`Spool::blocks`] says so.
///
/// One process at a time, and within it one keeper of a session at a time.
pub trait Spool: fmt::Debug + Send + Sync + 'static {
    /// Whether calls may wait for a disk, and so belong on a thread that may.
    fn blocks(&self) -> bool;

    /// Opens a session to append to it, and makes it if there is none. What was torn by
    /// a death in the middle of a write is cut off.
    fn open(&self, session: SessionId) -> Result<Box<dyn Keeper>>;

    /// Opens a session to read it; `None` if nothing is kept of it.
    fn read(&self, session: SessionId) -> Result<Option<Box<dyn History>>>;

    /// Where to go on reading an attempt by what is kept below the number `until`;
    /// `None` if nothing is kept of it.
    fn resume(&self, session: SessionId, attempt: u32, until: u64) -> Result<Option<Resume>>;

    /// Notes that a session has ended. The first time counts.
    fn end(&self, session: SessionId, at: Timestamp) -> Result<()>;

    /// Puts another time to the end of a session, if one was noted: the clock was wrong then.
    /// Without a way to do that the time that was noted stays, and counts for those who begin
    /// anew.
    fn correct_end(&self, session: SessionId, at: Timestamp) -> Result<()> {
        let _ = (session, at);
        Ok(())
    }

    /// When a session ended, as far as was noted.
    fn ended(&self, session: SessionId) -> Result<Option<Timestamp>>;

    /// All sessions of which something is kept.
    fn list(&self) -> Result<Vec<Holding>>;

    /// Removes all that is kept of a session.
    fn remove(&self, session: SessionId) -> Result<()>;
}

/// Appends to one session.
pub trait Keeper: fmt::Debug + Send {
    /// What is kept.
    fn span(&self) -> Span;

    /// Appends entries, which follow what is kept and each other without a hole.
    ///
    /// # Errors
    /// `Busy` if the disk is full, `Unavailable` if it fails otherwise: none of them is
    /// kept, and the same call may be made again. `Unexpected` if they do not follow.
    fn append(&mut self, entries: &[Entry]) -> Result<()>;
}

/// Reads one session, while it may be appended to.
pub trait History: fmt::Debug + Send {
    /// What is kept, as far as it can be told without reading it: `next` is exact only
    /// while nobody appends.
    fn span(&mut self) -> Result<Span>;

    /// The entries from the one that holds `from` (or the first one kept after it) on,
    /// all below `until`, until their weight reaches `enough`. Empty if there is none.
    fn read(&mut self, from: u64, until: u64, enough: usize) -> Result<Vec<Entry>>;
}

/// The number after `entries`, which have to follow `next` and each other.
fn follow(mut next: u64, entries: &[Entry]) -> Result<u64> {
    for entry in entries {
        if entry.first != next || entry.numbers == 0 {
            let message = format!("number {} was to come and not {}", next, entry.first);
            return Err(Error::new(ErrorKind::Unexpected, "append to the console's spool", message));
        }
        next = entry.next();
    }
    Ok(next)
}
