//! PostgreSQL's errors in our words: the one place that reads its codes.

use manman_core::error::{Error, ErrorKind, cause};

use super::again::Again;

/// What `error` of `operation` means to a caller.
pub(crate) fn translate(operation: &'static str, error: sqlx::Error) -> Error {
    let (kind, message) = of_certificate(&error).unwrap_or_else(|| of_error(&error));
    Error::new(kind, operation, message).because(error)
}

fn of_error(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    match error {
        // What a pooler says with a code that says it of everything.
        sqlx::Error::Database(database) if database.message().contains("startup parameter") => {
            (ErrorKind::Config, REFUSED_SETTING)
        }
        sqlx::Error::Database(database) => by_code(database.code().as_deref().unwrap_or_default()),
        sqlx::Error::PoolTimedOut => {
            (ErrorKind::Unavailable, "no connection to the database could be had in time")
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            (ErrorKind::Unavailable, "the database is closed")
        }
        sqlx::Error::Io(_) => (ErrorKind::Unavailable, "the database could not be reached"),
        // What is said when the connection ends in the middle of an answer.
        sqlx::Error::Protocol(_) => (ErrorKind::Unavailable, "the connection to the database broke"),
        sqlx::Error::Tls(_) => (ErrorKind::Config, "the database cannot be reached over TLS"),
        sqlx::Error::Configuration(_) => (ErrorKind::Config, "the database cannot be opened like this"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "a stored value does not read back")
        }
        sqlx::Error::Encode(_) => (ErrorKind::Invalid, "a value cannot be stored"),
        _ => (ErrorKind::Unexpected, "the database refused"),
    }
}

/// What is wrong with the certificate of the server, if that is it. What only the server can
/// put right may be right the next time.
pub(super) fn of_certificate(error: &sqlx::Error) -> Option<(ErrorKind, &'static str)> {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let rustls::Error::InvalidCertificate(why) = cause(error)? else { return None };
    Some(match why {
        Expired | ExpiredContext { .. } => (
            ErrorKind::Unavailable,
            "the certificate of the database has expired: have it renewed, or set this machine's clock if that is wrong",
        ),
        NotValidYet | NotValidYetContext { .. } => (
            ErrorKind::Unavailable,
            "the certificate of the database is not valid yet: set this machine's clock if that is wrong",
        ),
        NotValidForName | NotValidForNameContext { .. } => (
            ErrorKind::Config,
            "the certificate of the database is for another name: use a name that it is made out to in the URL",
        ),
        UnknownIssuer => (
            ErrorKind::Config,
            "the certificate of the database is of an authority that is not trusted here: name it with sslrootcert in the URL",
        ),
        _ => (ErrorKind::Config, "the certificate of the database is not accepted"),
    })
}

/// A setting that a connection begins with; our statements name none.
const REFUSED_SETTING: &str = "the database refuses a setting that the connection asks for: see the options in its URL, \
                               and give one that does not go through a pooler";

/// A call that got no answer.
pub(super) fn too_late(operation: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, operation, "the database did not answer in time")
}

/// Whether the database undid the deed for a reason that has nothing to do with it.
pub(super) fn may_run_again(error: &Error) -> Again {
    match code_of(error).as_deref() {
        Some(DEADLOCK | SERIALIZATION) => Again::AfterAMoment,
        Some(STALE_PLAN) => Again::AtOnce,
        _ => Again::No,
    }
}

/// Whether a statement was prepared for a schema that has changed since.
pub(super) fn is_stale_plan(error: &Error) -> bool {
    code_of(error).is_some_and(|code| code == STALE_PLAN)
}

/// Whether a statement waited too long for what others hold.
pub(super) fn is_held_up(error: &Error) -> bool {
    code_of(error).is_some_and(|code| code == HELD_UP)
}

fn code_of(error: &Error) -> Option<String> {
    let source = std::error::Error::source(error)?.downcast_ref::<sqlx::Error>()?;
    Some(source.as_database_error()?.code()?.into_owned())
}

const SERIALIZATION: &str = "40001";
const DEADLOCK: &str = "40P01";
const HELD_UP: &str = "55P03";
/// "cached plan must not change result type": columns came while the statement was kept.
const STALE_PLAN: &str = "0A000";

/// The codes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>; the first
/// two signs are the class.
fn by_code(code: &str) -> (ErrorKind, &'static str) {
    match code {
        "23505" => (ErrorKind::Conflict, "it already exists"),
        "23503" => (ErrorKind::Conflict, "something refers to it, or it refers to nothing"),
        // Ours, raised by a trigger.
        "MM001" => (ErrorKind::Conflict, "an end is never changed"),
        SERIALIZATION | DEADLOCK => (ErrorKind::Busy, "others changed the same at the same time"),
        STALE_PLAN => (ErrorKind::Busy, "the schema was changed a moment ago"),
        HELD_UP => (ErrorKind::Busy, "others held what it needs for too long"),
        "57014" => (ErrorKind::Timeout, "it took too long"),
        "57P01" | "57P02" | "57P03" | "57P05" => {
            (ErrorKind::Unavailable, "the database is shutting down or starting")
        }
        "53300" => (ErrorKind::Unavailable, "the database has no connection left"),
        "53100" => (ErrorKind::Unavailable, "the database's disk is full"),
        "25006" => (ErrorKind::Unavailable, "the database can only be read: is it a standby"),
        "28P01" | "28000" => (ErrorKind::Config, "the database refuses the user or the password"),
        "22023" | "42704" => (ErrorKind::Config, REFUSED_SETTING),
        "3D000" => (ErrorKind::Config, "there is no such database"),
        "42501" => (ErrorKind::Denied, "permission denied"),
        "42P01" | "42703" => (ErrorKind::Config, "the schema is not what this build needs"),
        "22021" => (ErrorKind::Invalid, "a text has a sign in it that cannot be stored"),
        _ => match code.get(..2) {
            Some("08" | "58" | "53") => (ErrorKind::Unavailable, "the database is in trouble"),
            Some("22" | "23") => (ErrorKind::Invalid, "a value violates a constraint"),
            Some("54") => (ErrorKind::Invalid, "the value is too large"),
            Some("XX") => (ErrorKind::Corrupt, "the database is damaged"),
            _ => (ErrorKind::Unexpected, "the database refused"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_what_can_be_done() {
        use ErrorKind::*;
        for (code, kind) in [
            ("23505", Conflict),
            ("23503", Conflict),
            ("MM001", Conflict),
            ("23514", Invalid), // CHECK
            ("23502", Invalid), // NOT NULL
            ("22P02", Invalid), // no JSON
            ("22021", Invalid), // NUL
            ("54000", Invalid),
            ("40001", Busy),
            ("40P01", Busy),
            ("55P03", Busy),
            ("57014", Timeout),
            ("57P01", Unavailable),
            ("57P03", Unavailable),
            ("53300", Unavailable),
            ("53100", Unavailable),
            ("08006", Unavailable),
            ("58030", Unavailable),
            ("25006", Unavailable),
            ("28P01", Config),
            ("22023", Config),
            ("42704", Config),
            ("3D000", Config),
            ("42P01", Config),
            ("42501", Denied),
            ("XX001", Corrupt),
            ("42601", Unexpected),
            ("", Unexpected),
        ] {
            assert_eq!(by_code(code).0, kind, "{code}");
        }
    }

    #[test]
    fn certificates_tell_whose_turn_it_is() {
        use rustls::CertificateError::{BadSignature, Expired, NotValidForName, NotValidYet, UnknownIssuer};
        for (why, kind) in [
            (Expired, ErrorKind::Unavailable),
            (NotValidYet, ErrorKind::Unavailable),
            (NotValidForName, ErrorKind::Config),
            (UnknownIssuer, ErrorKind::Config),
            (BadSignature, ErrorKind::Config),
        ] {
            let theirs = || rustls::Error::InvalidCertificate(why.clone());
            let io = std::io::Error::new(std::io::ErrorKind::InvalidData, theirs());
            for error in [sqlx::Error::Tls(theirs().into()), sqlx::Error::Io(io)] {
                let error = translate("x", error);
                assert!(error.kind() == kind && error.message().contains("certificate"), "{error:?}");
            }
        }
        assert_eq!(translate("x", sqlx::Error::Tls("no".into())).kind(), ErrorKind::Config);
    }

    #[test]
    fn only_what_passes_is_temporary() {
        for error in [sqlx::Error::PoolTimedOut, sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into())] {
            let error = translate("x", error);
            assert!(error.is_temporary() && error.kind() == ErrorKind::Unavailable);
            assert_eq!(may_run_again(&error), Again::No);
        }
        assert!(!translate("x", sqlx::Error::Decode("bad".into())).is_temporary());
    }
}
