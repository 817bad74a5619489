//! Errors of the system as ours: the one place that reads error numbers.

use std::{io, path::Path};

use manman_core::error::{Error, ErrorKind};
use rustix::io::Errno;

/// Something about a file or directory of ours went wrong.
pub fn of_file(operation: &'static str, what: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{
        InvalidData, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let path = path.display();
    let (kind, message) = match error.kind() {
        NotFound => (ErrorKind::NotFound, format!("{path} is not there")),
        StorageFull | QuotaExceeded => (ErrorKind::Busy, format!("the disk of {path} is full")),
        PermissionDenied => (ErrorKind::Denied, format!("the manager may not {what} {path}")),
        ReadOnlyFilesystem => (ErrorKind::Denied, format!("{path} is on a read-only file system")),
        InvalidData => (ErrorKind::Corrupt, format!("{path} is damaged")),
        _ => (ErrorKind::Unexpected, format!("cannot {what} {path}")),
    };
    Error::new(kind, operation, message).because(error)
}

/// A program could not be loaded: `errno` of the call, and what was tried.
pub fn of_load(operation: &'static str, errno: i32, what: &str) -> Error {
    let error = Errno::from_raw_os_error(errno);
    let kind = match error {
        // Another process is writing to it, there is no room for another process: it passes.
        Errno::TXTBSY | Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE => ErrorKind::Busy,
        _ => ErrorKind::Invalid,
    };
    let hint = match error {
        _ if !what.starts_with("run ") => "",
        Errno::NOENT => ": no such program, or what it is run by is missing",
        Errno::ACCESS => ": it may not be run by the game's user, or a directory above it may not be passed",
        Errno::NOEXEC => ": it is no program of this machine",
        _ => "",
    };
    Error::new(kind, operation, format!("cannot {what}{hint}")).because(io::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_kind() {
        for (errno, kind, temporary) in [
            (Errno::NOENT, ErrorKind::NotFound, false),
            (Errno::NOSPC, ErrorKind::Busy, true),
            (Errno::DQUOT, ErrorKind::Busy, true),
            (Errno::ACCESS, ErrorKind::Denied, false),
            (Errno::ROFS, ErrorKind::Denied, false),
            (Errno::IO, ErrorKind::Unexpected, false),
        ] {
            let error = of_file("test", "read", Path::new("/x"), errno.into());
            assert_eq!((error.kind(), error.is_temporary()), (kind, temporary), "{errno:?}");
            assert!(error.message().contains("/x"));
        }
        for (errno, kind) in [
            (Errno::NOENT, ErrorKind::Invalid),
            (Errno::ACCESS, ErrorKind::Invalid),
            (Errno::NOEXEC, ErrorKind::Invalid),
            (Errno::TXTBSY, ErrorKind::Busy),
            (Errno::AGAIN, ErrorKind::Busy),
        ] {
            assert_eq!(of_load("test", errno.raw_os_error(), "run /game").kind(), kind, "{errno:?}");
        }
    }
}
