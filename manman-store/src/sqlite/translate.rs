//! SQLite's errors in our words: the one place that reads its codes.

use manman_core::error::{Error, ErrorKind};

use super::again::Again;

/// What `error` of `operation` means to a caller.
pub(crate) fn translate(operation: &'static str, error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
            by_code(code)
        }
        sqlx::Error::PoolTimedOut => (ErrorKind::Busy, "no connection became free in time"),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            (ErrorKind::Unavailable, "the database is closed")
        }
        sqlx::Error::Io(_) => (ErrorKind::Unavailable, "the database could not be reached"),
        sqlx::Error::Configuration(_) => (ErrorKind::Config, "the database cannot be opened like this"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "a stored value does not read back")
        }
        _ => (ErrorKind::Unexpected, "the database refused"),
    };
    Error::new(kind, operation, message).because(error)
}

/// Whether the same deed may simply be done again: never, as one runs after the other.
pub(super) fn may_run_again(_error: &Error) -> Again {
    Again::No
}

/// The result codes of <https://sqlite.org/rescode.html>; the low byte is the primary one.
fn by_code(code: i32) -> (ErrorKind, &'static str) {
    match (code & 0xff, code) {
        (_, 2067 | 1555) => (ErrorKind::Conflict, "it already exists"),
        (_, 787) => (ErrorKind::Conflict, "something refers to it, or it refers to nothing"),
        (_, 1811) => (ErrorKind::Conflict, "an end is never changed"),
        (19, _) => (ErrorKind::Invalid, "a value violates a constraint"),
        (5 | 6, _) => (ErrorKind::Busy, "another process writes"),
        (13, _) => (ErrorKind::Unavailable, "the disk is full"),
        (10, _) => (ErrorKind::Unavailable, "the disk failed"),
        (9, _) => (ErrorKind::Unavailable, "it was interrupted"),
        (8, _) => (ErrorKind::Denied, "the database can only be read"),
        (3 | 23, _) => (ErrorKind::Denied, "permission denied"),
        (14, _) => (ErrorKind::Config, "the database cannot be opened"),
        (11, _) => (ErrorKind::Corrupt, "the database is damaged"),
        (26, _) => (ErrorKind::Config, "the file is not a database"),
        (18, _) => (ErrorKind::Invalid, "the value is too large"),
        _ => (ErrorKind::Unexpected, "the database refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_what_can_be_done() {
        use ErrorKind::*;
        for (code, kind) in [
            (2067, Conflict), // UNIQUE
            (1555, Conflict), // PRIMARY KEY
            (787, Conflict),  // FOREIGN KEY
            (1811, Conflict), // TRIGGER
            (275, Invalid),   // CHECK
            (1299, Invalid),  // NOT NULL
            (3091, Invalid),  // datatype in a STRICT table
            (5, Busy),
            (261, Busy), // BUSY_RECOVERY
            (517, Busy), // BUSY_SNAPSHOT
            (13, Unavailable),
            (778, Unavailable), // IOERR_WRITE
            (8, Denied),
            (14, Config),
            (11, Corrupt),
            (26, Config),
            (1, Unexpected),
        ] {
            assert_eq!(by_code(code).0, kind, "{code}");
        }
    }

    #[test]
    fn only_what_passes_is_temporary() {
        let timed_out = translate("x", sqlx::Error::PoolTimedOut);
        assert!(timed_out.is_temporary() && timed_out.kind() == ErrorKind::Busy);
        let decode = translate("x", sqlx::Error::Decode("bad".into()));
        assert!(!decode.is_temporary() && decode.kind() == ErrorKind::Corrupt);
    }
}
