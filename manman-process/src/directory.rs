//! The directory of an attempt, and what lies in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use manman_core::{
    console::Channel,
    id::{AttemptId, SessionId},
    runtime::Owner,
};
use rustix::fs::{FlockOperation, flock};
use serde::{Serialize, de::DeserializeOwned};

/// The directory of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir(PathBuf);

/// What an attempt's directory is called: its owner is in it, so that several can share a
/// machine.
pub fn name(owner: &Owner, run: AttemptId) -> String {
    format!("run-{}-{}-{}-{}", owner.cluster.short(), owner.server, run.session, run.attempt)
}

/// The attempt of this owner whose directory is called this.
pub fn run_of(owner: &Owner, name: &str) -> Option<AttemptId> {
    let own = format!("run-{}-{}-", owner.cluster.short(), owner.server);
    let (session, attempt) = name.strip_prefix(&own)?.split_once('-')?;
    let run = AttemptId::new(SessionId(session.parse().ok()?), attempt.parse().ok()?);
    (self::name(owner, run) == name).then_some(run)
}

/// The largest record that is read: a plan of a game config's largest size is well below.
const LARGEST_RECORD: u64 = 4 << 20;

impl RunDir {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its name, which is also how it is told to people.
    pub fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What is to run.
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// Its process, while its program is being loaded.
    pub fn starting(&self) -> PathBuf {
        self.0.join("starting.json")
    }

    /// Its process, once it was started.
    pub fn started(&self) -> PathBuf {
        self.0.join("started.json")
    }

    /// How it ended.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// There once it has given up its deployment.
    pub fn retired(&self) -> PathBuf {
        self.0.join("retired")
    }

    /// Held by the supervisor for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The game's input.
    pub fn stdin(&self) -> PathBuf {
        self.0.join("stdin")
    }

    /// The game's output.
    pub fn output(&self, channel: Channel) -> PathBuf {
        self.0.join(channel.to_string())
    }

    /// How far the output was punched out.
    pub fn trimmed(&self, channel: Channel) -> PathBuf {
        self.0.join(format!("{channel}.trimmed"))
    }

    /// How far the manager has taken the output.
    pub fn taken(&self, channel: Channel) -> PathBuf {
        self.0.join(format!("{channel}.taken"))
    }

    /// What the supervisor has to say that nobody asked for.
    pub fn log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Takes the supervisor's lock, or `None` if another process holds it.
    pub fn take_lock(&self) -> io::Result<Option<File>> {
        let file = private().create(true).truncate(false).write(true).open(self.lock())?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether a supervisor lives.
    pub fn is_supervised(&self) -> io::Result<bool> {
        let file = match File::open(self.lock()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// How files are opened that are nobody else's business.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Where room is kept for a file that is not there yet.
fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    aside.into()
}

/// Writes a number that [`read_number`] reads. Where nothing new fits it overwrites what is
/// there, which then has room for it: all of them are written alike.
pub fn write_number(path: &Path, number: u64) -> io::Result<()> {
    let text = format!("{number:020}");
    match write_whole(path, text.as_bytes()) {
        Err(error) if is_full(&error) => {
            OpenOptions::new().write(true).open(path)?.write_all_at(text.as_bytes(), 0)
        }
        written => written,
    }
}

/// Whether there is no more room: on the disk, or for this user on it.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes a small file so that it is there whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Several may be at it at once, in one process or in two.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}-{number}.new", std::process::id()));
    let aside = PathBuf::from(aside);
    let written = write_aside(path, &aside, bytes);
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

fn write_aside(path: &Path, aside: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private().create(true).truncate(true).write(true).open(aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(aside, path)
}

/// Writes a record so that it is there whole or not at all.
pub fn write_record(path: &Path, record: &impl Serialize) -> io::Result<()> {
    write_whole(path, &serde_json::to_vec(record)?)
}

/// Larger than the record of any exit that a supervisor sees.
const EXIT_BYTES: usize = 512;

/// Keeps room for what [`write_kept`] is to write there, also where the disk is full by then.
pub fn keep_room(path: &Path) -> io::Result<()> {
    let mut file = private().create(true).truncate(true).write(true).open(aside(path))?;
    file.write_all(&[b' '; EXIT_BYTES])?;
    file.sync_all()
}

/// Writes a record so that it is there whole or not at all, where room was kept for it.
pub fn write_kept(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let aside = aside(path);
    let bytes = serde_json::to_vec(record)?;
    let mut file = private().create(true).truncate(false).write(true).open(&aside)?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

/// Reads a record, or `None` if there is none.
pub fn read_record<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read_small(path)? {
        Some(bytes) => {
            let read = serde_json::from_slice(&bytes).map(Some);
            read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
        None => Ok(None),
    }
}

/// The number in a small file, or 0 if there is none.
pub fn read_number(path: &Path) -> io::Result<u64> {
    let bytes = read_small(path)?.unwrap_or_else(|| b"0".to_vec());
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))
}

fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use io::Read as _;
    let file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_RECORD).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path().to_owned());
        assert!(!run.is_supervised().unwrap());
        let held = run.take_lock().unwrap().unwrap();
        assert!(run.is_supervised().unwrap());
        assert!(run.take_lock().unwrap().is_none());
        drop(held);
        assert!(!run.is_supervised().unwrap());
    }

    #[test]
    fn a_record_fits_where_room_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit.json");
        let exit =
            manman_core::runtime::Exit { code: 7, out_of_memory: true, at: None, error: String::new() };
        keep_room(&path).unwrap();
        assert_eq!(read_record::<manman_core::runtime::Exit>(&path).unwrap(), None, "not there yet");
        write_kept(&path, &exit).unwrap();
        assert_eq!(read_record(&path).unwrap(), Some(exit));
    }

    #[test]
    fn a_quota_is_as_full_as_a_disk() {
        use rustix::io::Errno;
        for (errno, full) in [(Errno::NOSPC, true), (Errno::DQUOT, true), (Errno::ROFS, false)] {
            assert_eq!(is_full(&errno.into()), full, "{errno}");
        }
    }

    #[test]
    fn records_come_back_and_nonsense_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trimmed");
        assert_eq!(read_number(&path).unwrap(), 0);
        write_number(&path, 65536).unwrap();
        assert_eq!(read_number(&path).unwrap(), 65536);
        write_whole(&path, b"many").unwrap();
        assert!(read_number(&path).is_err());
        assert!(read_record::<crate::record::Started>(&path).is_err());
        assert_eq!(read_record::<crate::record::Started>(&dir.path().join("none")).unwrap(), None);
    }
}
