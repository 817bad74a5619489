//! Appends to the segment files of one session.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Entry, Keeper, Span, SpoolConfig,
    file::{failed, make_dir},
    record::{self, Record},
    segment::{self, Reader, Segment, Step},
    tail::Tail,
};
use crate::{console::Position, error::Result, id::SessionId};

#[derive(Debug)]
pub(super) struct FileKeeper {
    dir: PathBuf,
    session: SessionId,
    segment_bytes: u64,
    session_bytes: u64,
    next: u64,
    /// Segments with their sizes, oldest first; the last one is written to.
    segments: VecDeque<(Segment, u64)>,
    /// The last segment, while it can be appended to.
    file: Option<File>,
    buffer: Vec<u8>,
    /// The session's directory, locked: a writer that is being given up within this
    /// process may still be at it.
    _lock: File,
}

/// How long to wait for another keeper of the same session to let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Locks a directory for as long as the file is open.
fn lock(dir: &Path) -> io::Result<File> {
    let file = File::open(dir)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "somebody else writes it"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

impl FileKeeper {
    pub(super) fn open(dir: PathBuf, session: SessionId, config: &SpoolConfig) -> io::Result<Self> {
        make_dir(&dir)?;
        let mut keeper = Self {
            _lock: lock(&dir)?,
            segment_bytes: config.segment_bytes(),
            session_bytes: config.session_bytes,
            next: 1,
            segments: VecDeque::new(),
            file: None,
            buffer: Vec::new(),
            session,
            dir,
        };
        for segment in Segment::list(&keeper.dir)? {
            let bytes = fs::metadata(&segment.path)?.len();
            keeper.segments.push_back((segment, bytes));
        }
        while let Some((segment, _)) = keeper.segments.back().cloned() {
            keeper.next = segment.first;
            if let Some(mut reader) = Reader::open(&segment, session)? {
                while !matches!(reader.step(0)?, Step::End) {}
                let file = OpenOptions::new().append(true).open(&segment.path)?;
                file.set_len(reader.offset())?;
                keeper.next = reader.next();
                keeper.file = Some(file);
                if let Some((_, bytes)) = keeper.segments.back_mut() {
                    *bytes = reader.offset();
                }
                break;
            }
            // It was being made when we died: nothing had been kept in it.
            fs::remove_file(&segment.path)?;
            keeper.segments.pop_back();
        }
        Ok(keeper)
    }

    /// Begins the next segment, and lets go of the oldest beyond the cap.
    fn roll(&mut self) -> io::Result<()> {
        self.file = None;
        let mut tail = Tail::new(0, Position::START);
        if let Some((segment, _)) = self.segments.back()
            && let Some(mut reader) = Reader::open(segment, self.session)?
        {
            tail = reader.checkpoint().clone();
            while reader.next() < self.next {
                match reader.step(0)? {
                    Step::Record(Record::Entry(entry)) => tail.take(&entry),
                    Step::Record(Record::Checkpoint(_)) | Step::Passed => {}
                    Step::End => break,
                }
            }
        }
        let segment = Segment::new(&self.dir, self.next);
        let bytes = segment::beginning(self.session, self.next, &tail);
        // One of this name that is there already holds no number below the next.
        let mut file = File::create(&segment.path)?;
        if let Err(error) = file.write_all(&bytes) {
            drop(file);
            let _ = fs::remove_file(&segment.path);
            return Err(error);
        }
        if self.segments.back().is_some_and(|(last, _)| *last == segment) {
            self.segments.pop_back();
        }
        self.segments.push_back((segment, bytes.len() as u64));
        self.file = Some(file);
        let mut total: u64 = self.segments.iter().map(|(_, bytes)| bytes).sum();
        // Two are kept at least: what a new one begins with is not on the disk yet if the
        // machine dies.
        while total + self.segment_bytes > self.session_bytes && self.segments.len() > 2 {
            if let Some((oldest, bytes)) = self.segments.pop_front() {
                total -= bytes;
                fs::remove_file(&oldest.path)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        let full = self.segments.back().is_none_or(|(_, bytes)| *bytes >= self.segment_bytes);
        if full || self.file.is_none() {
            self.roll()?;
        }
        self.buffer.clear();
        for entry in entries {
            record::put_entry(&mut self.buffer, entry);
        }
        if let (Some(file), Some((_, bytes))) = (&mut self.file, self.segments.back_mut()) {
            if let Err(error) = file.write_all(&self.buffer) {
                // A part of it may be there. If it cannot be cut off, the next segment
                // begins with these numbers and this part does not count.
                if cut(file, *bytes).is_err() {
                    self.file = None;
                }
                return Err(error);
            }
            *bytes += self.buffer.len() as u64;
        }
        self.buffer.shrink_to(64 << 10);
        Ok(())
    }
}

/// Cuts a file off, and goes on writing there: beyond it there would be a hole, and readers
/// end at one.
fn cut(file: &mut File, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes)).map(|_| ())
}

impl Keeper for FileKeeper {
    fn span(&self) -> Span {
        let first = self.segments.front().map_or(self.next, |(segment, _)| segment.first);
        Span { first, next: self.next }
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let next = super::follow(self.next, entries)?;
        self.write(entries).map_err(|error| failed("append to the console's spool", error))?;
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::Timestamp,
        console::{Batch, Channel},
        host::spool::{FileSpool, Kept, Spool as _},
    };

    fn entry(first: u64) -> Entry {
        let position = Position::from_bytes(b"here").unwrap();
        let batch = Batch::of([(Channel::Stdout, &b"line\n"[..])], position, Timestamp::default()).unwrap();
        Entry { first, numbers: 1, attempt: 1, what: Kept::Output(Arc::new(batch)) }
    }

    #[test]
    fn what_a_full_disk_took_in_part_leaves_no_hole() {
        let root = tempfile::tempdir().unwrap();
        let (config, session) = (SpoolConfig::default(), SessionId(7));
        let mut keeper = FileKeeper::open(root.path().join("7"), session, &config).unwrap();
        keeper.append(&[entry(1)]).unwrap();
        let bytes = keeper.segments.back().unwrap().1;
        let file = keeper.file.as_mut().unwrap();
        file.write_all(b"a part of a record").unwrap();
        cut(file, bytes).unwrap();
        keeper.append(&[entry(2)]).unwrap();
        let spool = FileSpool::new(root.path(), config).unwrap();
        let read = spool.read(session).unwrap().unwrap().read(1, 3, usize::MAX).unwrap();
        assert_eq!(read, [entry(1), entry(2)]);
    }
}
