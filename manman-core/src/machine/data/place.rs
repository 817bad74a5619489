//! One directory on its way: opened without following a link, made, given to the
//! game's user.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::error::{Error, ErrorKind, Result};
use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{AtFlags, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use tracing::warn;

use super::{OPERATION, User};

/// A directory on its way into being.
pub(super) struct Place {
    pub path: PathBuf,
    pub user: User,
}

impl Place {
    /// Opens the directory `name` in `parent`; makes it and gives it to the user if it is
    /// not there.
    pub(super) fn ensure(&self, parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
        match open_dir(parent, name) {
            Ok(fd) => {
                self.look_over(parent, name, &fd)?;
                Ok(fd)
            }
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed("make", &self.path, errno.into())),
                }
                let given = self.give(parent, name);
                if given.is_err() {
                    let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
                }
                given
            }
            Err(errno) => Err(not_a_directory(&self.path, errno)),
        }
    }

    /// Gives a directory that we have just made to the user.
    fn give(&self, parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, name, flags, Mode::empty())
            .map_err(|errno| not_a_directory(&self.path, errno))?;
        // The umask may have taken bits away.
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755))
            .map_err(|errno| failed("open up", &self.path, errno.into()))?;
        let (uid, gid) = self.user;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failed("look at", &self.path, errno.into()))?;
        if (stat.st_uid, stat.st_gid) != (uid, gid) {
            match rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
                Ok(()) => {}
                Err(Errno::PERM) => return Err(self.may_not_chown()),
                Err(errno) => return Err(failed("give away", &self.path, errno.into())),
            }
        }
        Ok(fd)
    }

    /// What is there stays as it is, unless it is what a crash of ours left between
    /// making and giving. What the game cannot write to is said.
    fn look_over(&self, parent: BorrowedFd<'_>, name: &str, fd: &OwnedFd) -> Result<()> {
        let stat = rustix::fs::fstat(fd).map_err(|errno| failed("look at", &self.path, errno.into()))?;
        let (uid, gid) = self.user;
        let writable = stat.st_uid == uid && stat.st_mode & 0o200 != 0
            || stat.st_gid == gid && stat.st_mode & 0o020 != 0
            || stat.st_mode & 0o002 != 0;
        if writable {
            return Ok(());
        }
        let we = rustix::process::geteuid();
        let empty = || fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none());
        if stat.st_uid == we.as_raw() && empty() {
            return self.give(parent, name).map(|_| ());
        }
        if !we.is_root() {
            return Err(self.may_not_chown());
        }
        warn!(
            "{} belongs to uid {}, the game runs as {uid} and may be unable to write",
            self.path.display(),
            stat.st_uid
        );
        Ok(())
    }

    fn may_not_chown(&self) -> Error {
        let (uid, gid) = self.user;
        let (we, our_group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let message = format!(
            "{} cannot be given to the game's user {uid}:{gid}: run the manager as root or with CAP_CHOWN, or let the \
             game run as {we}:{our_group} (`user` in its config)",
            self.path.display()
        );
        Error::new(ErrorKind::Denied, OPERATION, message)
    }
}

/// Opens a directory of this one for walking; a link is not followed.
pub(super) fn open_dir(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

pub(super) fn not_a_directory(path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::NOTDIR | Errno::LOOP => {
            let message = format!("{} is a link or a file where a directory is expected", path.display());
            Error::new(ErrorKind::Denied, OPERATION, message)
        }
        Errno::NOENT => {
            Error::new(ErrorKind::NotFound, OPERATION, format!("{} is not there", path.display()))
        }
        errno => failed("open", path, errno.into()),
    }
}

pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let path = path.display();
    let (kind, message) = match error.kind() {
        StorageFull | QuotaExceeded => (ErrorKind::Busy, format!("the disk of {path} is full")),
        PermissionDenied => (ErrorKind::Denied, format!("the manager may not {what} {path}")),
        ReadOnlyFilesystem => (ErrorKind::Denied, format!("{path} is on a read-only file system")),
        _ => (ErrorKind::Unexpected, format!("cannot {what} {path}")),
    };
    Error::new(kind, OPERATION, message).because(error)
}
