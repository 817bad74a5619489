//! One process per data directory.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// The right to serve a data directory, held until it is dropped or the process dies.
#[derive(Debug)]
pub struct DataLock {
    file: File,
}

/// Why a data directory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is served by another process{}", dir.display(), pid.map(|pid| format!(", pid {pid}")).unwrap_or_default())]
    Held {
        /// The data directory.
        dir: std::path::PathBuf,
        /// The process, if it has written that down.
        pid: Option<u32>,
    },
    /// The lock's file cannot be used.
    #[error("the lock of {} cannot be taken", dir.display())]
    Io {
        /// The data directory.
        dir: std::path::PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

impl DataLock {
    /// Takes the lock `file` of a data directory, or tells who has it.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process has it.
    pub fn take(file: &Path) -> Result<Self, LockError> {
        let dir = || file.parent().unwrap_or(file).to_owned();
        let failed = |error| LockError::Io { dir: dir(), error };
        let mut held = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(file)
            .map_err(failed)?;
        if let Err(errno) = flock(&held, FlockOperation::NonBlockingLockExclusive) {
            if errno != rustix::io::Errno::WOULDBLOCK {
                return Err(failed(errno.into()));
            }
            let mut text = String::new();
            // Bounded: what is in there is a number, or not ours.
            let _ = (&held).take(32).read_to_string(&mut text);
            return Err(LockError::Held { dir: dir(), pid: text.trim().parse().ok() });
        }
        held.set_len(0).and_then(|()| held.rewind()).map_err(failed)?;
        writeln!(held, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { file: held })
    }
}

impl Drop for DataLock {
    /// Lets go of it by name: a child that was forked just now has the file open too, until
    /// it becomes another program.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lock");
        let first = DataLock::take(&file).unwrap();
        // A lock is of an open file, so a second one conflicts within one process too.
        match DataLock::take(&file).unwrap_err() {
            LockError::Held { pid, .. } => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other}"),
        }
        // What a child has that was forked before.
        let inherited = first.file.try_clone().unwrap();
        drop(first);
        DataLock::take(&file).unwrap();
        drop(inherited);
    }
}
