//! The spool on a disk.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use super::{
    Entry, History, Holding, Keeper, Span, Spool, SpoolConfig,
    history::FileHistory,
    record::{self, Record},
    segment::{self, Reader, Segment, Step},
    tail::Tail,
};
use crate::{
    clock::Timestamp,
    console::{Position, Resume},
    error::{Error, ErrorKind, Result},
    id::SessionId,
};

/// Keeps sessions in segment files beneath a directory. The module's page has the format.
#[derive(Clone, Debug)]
pub struct FileSpool {
    dir: PathBuf,
    config: SpoolConfig,
}

impl FileSpool {
    /// Keeps sessions beneath `dir`, which is made if it is not there.
    pub fn new(dir: impl Into<PathBuf>, config: SpoolConfig) -> Result<Self> {
        let dir = dir.into();
        make_dir(&dir).map_err(|error| failed("make the spool's directory", error))?;
        Ok(Self { dir, config })
    }

    fn of(&self, session: SessionId) -> PathBuf {
        self.dir.join(session.to_string())
    }
}

impl Spool for FileSpool {
    fn blocks(&self) -> bool {
        true
    }

    fn open(&self, session: SessionId) -> Result<Box<dyn Keeper>> {
        let keeper = FileKeeper::open(self.of(session), session, &self.config);
        Ok(Box::new(keeper.map_err(|error| failed("open the console's spool", error))?))
    }

    fn read(&self, session: SessionId) -> Result<Option<Box<dyn History>>> {
        let dir = self.of(session);
        Ok(dir.is_dir().then(|| Box::new(FileHistory::new(dir, session)) as Box<dyn History>))
    }

    fn resume(&self, session: SessionId, attempt: u32, until: u64) -> Result<Option<Resume>> {
        resume(&self.of(session), session, attempt, until)
            .map_err(|error| failed("find the console's place in the spool", error))
    }

    fn end(&self, session: SessionId, at: Timestamp) -> Result<()> {
        let mark = OpenOptions::new().write(true).create_new(true).open(self.of(session).join("ended"));
        let done = match mark {
            Ok(mut file) => file.write_all(at.to_string().as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Nothing was kept of it, so there is nothing to note.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        done.map_err(|error| failed("note the session's end in the spool", error))
    }

    fn ended(&self, session: SessionId) -> Result<Option<Timestamp>> {
        ended(&self.of(session)).map_err(|error| failed("look for the session's end in the spool", error))
    }

    fn list(&self) -> Result<Vec<Holding>> {
        let all = || -> io::Result<Vec<Holding>> {
            let mut holdings = Vec::new();
            for entry in fs::read_dir(&self.dir)? {
                let entry = entry?;
                if let Some(session) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                    holdings.push(holding(&entry.path(), session)?);
                }
            }
            holdings.sort_by_key(|holding| holding.session);
            Ok(holdings)
        };
        all().map_err(|error| failed("list the spool", error))
    }

    fn remove(&self, session: SessionId) -> Result<()> {
        match fs::remove_dir_all(self.of(session)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove a session from the spool", error))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct FileKeeper {
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
    fn open(dir: PathBuf, session: SessionId, config: &SpoolConfig) -> io::Result<Self> {
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
                if file.set_len(*bytes).is_err() {
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

fn resume(dir: &Path, session: SessionId, attempt: u32, until: u64) -> io::Result<Option<Resume>> {
    let segments = match Segment::list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        segments => segments?,
    };
    let mut limit = until;
    for segment in segments.iter().rev() {
        if segment.first >= until {
            continue;
        }
        let Some(mut reader) = Reader::open(segment, session)? else { continue };
        let before = reader.checkpoint().clone();
        let mut found = before.attempt == attempt;
        let mut tail = if found { before.clone() } else { Tail::new(attempt, Position::START) };
        while reader.next() < limit {
            match reader.step(0)? {
                Step::Record(Record::Entry(entry)) if entry.attempt == attempt && entry.next() <= limit => {
                    tail.take(&entry);
                    found = true;
                }
                Step::Record(_) | Step::Passed => {}
                Step::End => break,
            }
        }
        if found {
            return Ok(Some(tail.into_resume()));
        }
        if before.attempt < attempt {
            // Checkpoints are of the highest attempt: there is none of this one before.
            return Ok(None);
        }
        limit = limit.min(segment.first);
    }
    Ok(None)
}

fn ended(dir: &Path) -> io::Result<Option<Timestamp>> {
    let path = dir.join("ended");
    match fs::read_to_string(&path) {
        Ok(text) => match Timestamp::parse(&text) {
            Some(at) => Ok(Some(at)),
            // Torn by a death: that it ended is known, when is known well enough.
            None => Ok(Some(changed(&fs::metadata(&path)?))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn holding(dir: &Path, session: SessionId) -> io::Result<Holding> {
    let (mut bytes, mut changed_at) = (0, changed(&fs::metadata(dir)?));
    for entry in fs::read_dir(dir)? {
        let metadata = entry?.metadata()?;
        bytes += metadata.len();
        changed_at = changed_at.max(changed(&metadata));
    }
    Ok(Holding { session, bytes, ended_at: ended(dir)?, changed_at })
}

fn changed(metadata: &fs::Metadata) -> Timestamp {
    let since = metadata.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    Timestamp::default().plus(since.unwrap_or_default())
}

/// Makes a directory that only its owner may read: consoles may tell passwords.
fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

pub(super) fn failed(operation: &'static str, error: io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let (kind, message) = match error.kind() {
        StorageFull | QuotaExceeded => (ErrorKind::Busy, "the disk is full"),
        PermissionDenied | ReadOnlyFilesystem => (ErrorKind::Denied, "we may not write there"),
        _ => (ErrorKind::Unavailable, "the disk refuses"),
    };
    Error::new(kind, operation, message).because(error)
}
