//! What the server says, as our errors. Here alone are its codes and words read.

use manman_core::error::{Error, ErrorKind};
use serde::Deserialize;

/// An error as JetStream's API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ApiError {
    pub code: u16,
    #[serde(default)]
    pub err_code: u32,
    #[serde(default)]
    pub description: String,
}

/// What JetStream refuses, as an error of ours.
pub(super) fn api(operation: &'static str, about: &str, error: &ApiError) -> Error {
    let kind = match (error.err_code, error.code) {
        // No such consumer, message, stream.
        (10014 | 10037 | 10043 | 10059, _) => ErrorKind::NotFound,
        // A consumer or a stream of that name that is otherwise, subjects that overlap.
        (10012 | 10013 | 10058 | 10065 | 10105 | 10148, _) => ErrorKind::Conflict,
        // Bounds of a stream: messages, bytes, messages of one subject.
        (10054 | 10077 | 10087, _) => ErrorKind::Busy,
        // Bounds of the server and of the account.
        (10002 | 10023 | 10028 | 10047, _) => ErrorKind::Busy,
        // JetStream is off, for the server or for our account.
        (10039 | 10076, _) => ErrorKind::Config,
        (_, 404) => ErrorKind::NotFound,
        (_, 408 | 503) => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    };
    let said = format!("{} (error {})", error.description, error.err_code);
    let message = if about.is_empty() { said } else { format!("{about}: {said}") };
    Error::new(kind, operation, message)
}

/// Whether a stream refuses a message for being full, and for nothing else: by the same code a
/// server says that its disk is.
pub(super) fn is_full(error: &ApiError) -> bool {
    error.err_code == 10077 && error.description.starts_with("maximum messages")
}

/// Why there is no connection.
pub(super) fn away(operation: &'static str, trouble: Option<&str>) -> Error {
    let Some(trouble) = trouble else {
        return Error::new(ErrorKind::Unavailable, operation, "there is no connection to NATS yet");
    };
    match understood(trouble) {
        // Whoever revoked them may give them back: nothing is thrown away over it.
        Some((kind, sentence)) => Error::new(kind, operation, sentence).temporary(true),
        None => Error::new(ErrorKind::Unavailable, operation, explained(trouble)),
    }
}

/// Whether the next try failed as the one before did: numbers in what was said count for
/// nothing where it is understood.
pub(super) fn is_the_same(before: &str, after: &str) -> bool {
    before == after || understood(before).is_some_and(|it| understood(after) == Some(it))
}

/// What a sentence of ours says better.
fn understood(trouble: &str) -> Option<(ErrorKind, &'static str)> {
    let lower = trouble.to_lowercase();
    let says = |words: &str| lower.contains(words);
    Some(if says("authorization violation") || says("authentication") {
        let sentence = "NATS refuses our credentials: check the user, password, token, key or file";
        (ErrorKind::Denied, sentence)
    } else if says("certificate expired") {
        let sentence = "the certificate of NATS has expired: have it renewed, or set this machine's clock if that is wrong";
        (ErrorKind::Unavailable, sentence)
    } else if says("certificate not valid yet") {
        let sentence = "the certificate of NATS is not valid yet: set this machine's clock if that is wrong";
        (ErrorKind::Unavailable, sentence)
    } else if says("unknownissuer") {
        let sentence = "the certificate of NATS is of an authority that is not trusted here: name it with the parameter ca";
        (ErrorKind::Unavailable, sentence)
    } else {
        return None;
    })
}

/// What was said, and what it is about.
fn explained(trouble: &str) -> String {
    let lower = trouble.to_lowercase();
    // Alerts are the other side's words, about our certificate.
    let advice = if lower.contains("fatal alert") {
        "NATS does not accept our certificate, check cert and key"
    } else if lower.contains("not valid for name") {
        "the certificate of NATS is for another name, check the host or say the parameter server_name"
    } else if lower.contains("certificate") {
        "the certificate of the NATS server is not accepted, check ca and server_name"
    } else {
        "there is no connection to NATS"
    };
    format!("{advice}: {trouble}")
}

/// The server takes smaller messages than ours may be.
pub(super) fn too_large(operation: &'static str, longest: usize) -> Error {
    let message = format!("NATS takes messages of {longest} bytes at most: raise its max_payload to 1MB");
    Error::new(ErrorKind::Config, operation, message)
}

/// The server does not let us use a subject.
pub(super) fn denied(operation: &'static str, subject: &str) -> Error {
    let message = format!("NATS does not let this user use the subject {subject}: check its permissions");
    Error::new(ErrorKind::Denied, operation, message)
}

/// The subject that a complaint about permissions names.
pub(super) fn violated(text: &str) -> Option<String> {
    let rest = text.split_once("ermissions Violation for ")?.1;
    let subject = rest.split('"').nth(1)?;
    Some(subject.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_kinds() {
        for (err_code, code, kind) in [
            (10059, 404, ErrorKind::NotFound),
            (10014, 404, ErrorKind::NotFound),
            // A sequence that has gone meanwhile.
            (10043, 400, ErrorKind::NotFound),
            (10058, 400, ErrorKind::Conflict),
            (10065, 400, ErrorKind::Conflict),
            (10077, 503, ErrorKind::Busy),
            (10023, 503, ErrorKind::Busy),
            (10039, 503, ErrorKind::Config),
            (0, 503, ErrorKind::Unavailable),
            (10025, 400, ErrorKind::Unexpected),
        ] {
            let error = ApiError { code, err_code, description: "words".to_owned() };
            assert_eq!(api("test", "it", &error).kind(), kind, "{err_code}");
        }
    }

    #[test]
    fn a_stream_is_full_and_a_server_is_something_else() {
        let full = |err_code, description: &str| {
            is_full(&ApiError { code: 503, err_code, description: description.to_owned() })
        };
        assert!(full(10077, "maximum messages exceeded"));
        assert!(!full(10077, "write /data/1.blk: no space left on device"));
        assert!(!full(10023, "insufficient resources"));
    }

    #[test]
    fn complaints_name_their_subject() {
        let publish = "Permissions Violation for Publish to \"manman.q.a.i.status.host.8\"";
        assert_eq!(violated(publish).as_deref(), Some("manman.q.a.i.status.host.8"));
        let listen = "Permissions Violation for Subscription to \"a.>\" using queue \"q\"";
        assert_eq!(violated(listen).as_deref(), Some("a.>"));
        assert_eq!(violated("Stale Connection"), None);
    }

    #[test]
    fn the_seconds_since_are_no_news() {
        let expired =
            |seconds| format!("invalid peer certificate: certificate expired: {seconds} seconds ago");
        assert!(is_the_same(&expired(1), &expired(2)));
        assert!(!is_the_same(&expired(1), "connection refused"));
        assert!(is_the_same("refused", "refused") && !is_the_same("refused", "timed out"));
    }

    #[test]
    fn no_connection_says_why() {
        assert_eq!(away("test", Some("authorization violation: x")).kind(), ErrorKind::Denied);
        assert!(away("test", Some("authorization violation: x")).is_temporary());
        assert_eq!(away("test", None).kind(), ErrorKind::Unavailable);
        for (why, said) in [
            ("UnknownIssuer", "name it with the parameter ca"),
            ("certificate expired: verification time 2 (UNIX)", "has expired"),
            ("certificate not valid yet: verification time 2 (UNIX)", "not valid yet"),
            ("certificate not valid for name \"a\"; certificate is only valid for b", "server_name"),
            ("BadSignature", "not accepted"),
        ] {
            let error = away("test", Some(&format!("IO error: invalid peer certificate: {why}")));
            assert!(error.message().contains(said), "{error}");
        }
    }
}
