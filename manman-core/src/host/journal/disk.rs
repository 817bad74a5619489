//! Where a journal lies.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::error::{Error, ErrorKind, Result};

/// Where a journal lies. Calls block where [`Disk::blocks`] says so. One writer at a time.
pub trait Disk: fmt::Debug + Send + 'static {
    /// Whether calls may wait for a disk, and so belong on a thread that may.
    fn blocks(&self) -> bool;

    /// All that is there; empty if nothing ever was.
    fn load(&mut self) -> Result<Vec<u8>>;

    /// Adds to the end. After `Ok` it survives the machine; after an error nothing of it
    /// is there, or a part that [`Disk::replace`] is to do away with.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Puts these bytes in place of all that is there, in one deed.
    fn replace(&mut self, bytes: &[u8]) -> Result<()>;

    /// Keeps what is there under another name, which it returns, and begins anew.
    fn set_aside(&mut self) -> Result<String>;
}

/// A journal in a file.
#[derive(Debug)]
pub struct FileDisk {
    path: PathBuf,
    file: Option<File>,
    /// Held so that no other process writes here.
    lock: File,
}

impl Drop for FileDisk {
    /// Lets go of it by name: a child that was forked just now has the file open too, until
    /// it becomes another program.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl FileDisk {
    /// The journal `path`; its directory is made if it is not there.
    ///
    /// # Errors
    /// `Conflict` if another process uses it; `Denied`, `Busy` or `Unavailable` as the disk says.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let operation = "open the journal";
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error| failed(operation, directory, error))?;
        }
        let lock_path = path.with_extension("lock");
        let lock = private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(&lock_path)
            .map_err(|error| failed(operation, &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, file: None, lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::Conflict,
                operation,
                format!("{} is in use by another host manager", path.display()),
            )),
            Err(std::fs::TryLockError::Error(error)) => Err(failed(operation, &lock_path, error)),
        }
    }

    fn sync_directory(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    fn write_anew(&mut self, bytes: &[u8]) -> io::Result<()> {
        let next = self.path.with_extension("next");
        let mut file = private(OpenOptions::new().create(true).truncate(true).write(true)).open(&next)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&next, &self.path)?;
        self.sync_directory()?;
        self.file = Some(file);
        Ok(())
    }

    fn write_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(private(OpenOptions::new().append(true)).open(&self.path)?),
        };
        file.write_all(bytes)?;
        file.sync_data()
    }
}

impl Disk for FileDisk {
    fn blocks(&self) -> bool {
        true
    }

    fn load(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match File::open(&self.path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(bytes),
            Err(error) => Err(failed("read the journal", &self.path, error)),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_more(bytes).map_err(|error| failed("write the journal", &self.path, error))
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_anew(bytes).map_err(|error| failed("rewrite the journal", &self.path, error))
    }

    fn set_aside(&mut self) -> Result<String> {
        let operation = "set the journal aside";
        self.file = None;
        for number in 1..1_000 {
            let aside = self.path.with_extension(format!("damaged-{number}"));
            if aside.exists() {
                continue;
            }
            std::fs::rename(&self.path, &aside)
                .and_then(|()| self.sync_directory())
                .map_err(|error| failed(operation, &aside, error))?;
            return Ok(aside.display().to_string());
        }
        let message = format!("there are too many damaged ones beside {}", self.path.display());
        Err(Error::new(ErrorKind::Conflict, operation, message))
    }
}

/// Specifications hold passwords: nobody else may read them.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn failed(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Busy,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, operation, path.display().to_string()).because(error)
}

/// A journal in memory. Clones are the same one, so that it can outlive whoever writes it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    aside: Vec<Vec<u8>>,
    refuses: Option<ErrorKind>,
}

impl MemoryDisk {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is in it.
    pub fn bytes(&self) -> Vec<u8> {
        self.kept().bytes.clone()
    }

    /// Puts these bytes in, whatever they are.
    pub fn set(&self, bytes: Vec<u8>) {
        self.kept().bytes = bytes;
    }

    /// Refuses to take more, or takes it again.
    pub fn set_full(&self, full: bool) {
        self.refuse(full.then_some(ErrorKind::Busy));
    }

    /// Refuses to take more in this way, or takes it again: `Denied` is a disk that is mounted to
    /// be read only, `Unavailable` one that is broken.
    pub fn refuse(&self, how: Option<ErrorKind>) {
        self.kept().refuses = how;
    }

    /// What was set aside.
    pub fn aside(&self) -> Vec<Vec<u8>> {
        self.kept().aside.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> Result<MutexGuard<'_, Kept>> {
        let kept = self.kept();
        match kept.refuses {
            None => Ok(kept),
            Some(kind) => {
                let why = if kind == ErrorKind::Busy { "there is no room" } else { "the disk refuses" };
                Err(Error::new(kind, "write the journal", why))
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn blocks(&self) -> bool {
        false
    }

    fn load(&mut self) -> Result<Vec<u8>> {
        Ok(self.bytes())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.room()?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        self.room()?.bytes = bytes.to_vec();
        Ok(())
    }

    fn set_aside(&mut self) -> Result<String> {
        let mut kept = self.kept();
        let bytes = std::mem::take(&mut kept.bytes);
        kept.aside.push(bytes);
        Ok(format!("damaged-{}", kept.aside.len()))
    }
}
