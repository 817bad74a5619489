//! The spool on a disk.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    History, Holding, Keeper, Spool, SpoolConfig,
    history::FileHistory,
    keeper::FileKeeper,
    record::Record,
    segment::{Reader, Segment, Step},
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

    fn correct_end(&self, session: SessionId, at: Timestamp) -> Result<()> {
        let mark = self.of(session).join("ended");
        // One that is torn by a death says when it was changed, which is right then too.
        let done = match OpenOptions::new().write(true).truncate(true).open(mark) {
            Ok(mut file) => file.write_all(at.to_string().as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        done.map_err(|error| failed("correct the session's end in the spool", error))
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
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
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
