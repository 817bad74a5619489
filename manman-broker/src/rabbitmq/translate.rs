//! From RabbitMQ's and lapin's errors to ours: the one place that reads their codes and texts.

use std::io;

use lapin::{
    ErrorKind as LapinKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};
use manman_core::error::{Error, ErrorKind, cause as find_cause};

/// What became of a call on a connection that was there.
pub(super) fn translate(operation: &'static str, error: lapin::Error) -> Error {
    let (kind, message) = match error.kind() {
        LapinKind::ProtocolError(answer) => (judge(answer.kind()), answer.get_message().to_string()),
        _ => (ErrorKind::Unavailable, "the connection to RabbitMQ was lost".to_owned()),
    };
    Error::new(kind, operation, message).because(error)
}

/// Why there is no connection, and whether the other side `asked` for a certificate and we have
/// none. Whoever is refused is tried again for ever: an administrator may help while we wait.
pub(super) fn translate_open(place: &str, user: &str, asked: bool, error: lapin::Error) -> Error {
    use AMQPHardError::NOTALLOWED;
    const OPERATION: &str = "connect";
    let (kind, message) = match error.kind() {
        LapinKind::ProtocolError(answer) => match answer.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => (ErrorKind::Denied, refused(place, user)),
            AMQPErrorKind::Hard(NOTALLOWED) => {
                (ErrorKind::Denied, format!("{place} does not let {user:?} in: {}", answer.get_message()))
            }
            _ => (ErrorKind::Unavailable, format!("{place} does not take us now: {}", answer.get_message())),
        },
        LapinKind::IOError(cause) => match find_cause(&**cause) {
            Some(tls) => {
                (ErrorKind::Denied, format!("{place} and we do not agree on TLS: {}", tls_remedy(tls)))
            }
            None if asked && cause.kind() != io::ErrorKind::TimedOut => (
                ErrorKind::Unavailable,
                format!(
                    "{place} asked for a certificate and ended the connection: say the parameters cert and key, \
                     of an authority that it trusts"
                ),
            ),
            None => (ErrorKind::Unavailable, format!("{place} cannot be reached")),
        },
        _ => (ErrorKind::Unavailable, format!("{place} cannot be reached")),
    };
    Error::new(kind, OPERATION, message).temporary(true).because(error)
}

fn refused(place: &str, user: &str) -> String {
    format!("{place} refuses user {user:?}: check the name and the password")
}

fn tls_remedy(error: &rustls::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error};
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is of an authority that is not trusted here: name it with the parameter ca"
                .to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "its certificate is for another name: check the host, or say the parameter server_name".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired: have it renewed, or set this machine's clock if that is wrong"
                .to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "its certificate is not valid yet: set this machine's clock if that is wrong".to_owned(),
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA,
        ) => "it does not take our certificate, or wants one: say the parameters cert and key".to_owned(),
        Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        other => other.to_string(),
    }
}

/// What RabbitMQ means by closing a channel or a connection.
fn judge(answer: &AMQPErrorKind) -> ErrorKind {
    match answer {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => ErrorKind::NotFound,
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => ErrorKind::Conflict,
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => ErrorKind::Denied,
        AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED) => ErrorKind::Busy,
        _ => ErrorKind::Unavailable,
    }
}

/// Whether a channel's end answers this very publish: RabbitMQ closes it for one message, and
/// what else was on its way ends with it, unknown.
pub(super) fn is_about(error: &lapin::Error, exchange: &str, key: &str) -> bool {
    let LapinKind::ProtocolError(answer) = error.kind() else { return false };
    let text = answer.get_message().as_str();
    let quoted = |word: &str| text.contains(&format!("'{word}'"));
    if text.contains("topic '") { quoted(key) && quoted(exchange) } else { quoted(exchange) }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    fn answer(kind: impl Into<AMQPErrorKind>, text: &str) -> lapin::Error {
        LapinKind::ProtocolError(AMQPError::new(kind.into(), text.into())).into()
    }

    #[test]
    fn codes_have_kinds() {
        for (code, kind) in [
            (AMQPSoftError::NOTFOUND, ErrorKind::NotFound),
            (AMQPSoftError::PRECONDITIONFAILED, ErrorKind::Conflict),
            (AMQPSoftError::ACCESSREFUSED, ErrorKind::Denied),
            (AMQPSoftError::RESOURCELOCKED, ErrorKind::Busy),
        ] {
            assert_eq!(translate("declare", answer(code, "no")).kind(), kind);
        }
        let forced = answer(AMQPHardError::CONNECTIONFORCED, "closed by an administrator");
        assert_eq!(translate("publish", forced).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_closed_channel_answers_one_publish() {
        let text = "ACCESS_REFUSED - access to topic 'status.host.8' in exchange 'manman' in vhost 'v' refused for user 'h'";
        let error = answer(AMQPSoftError::ACCESSREFUSED, text);
        assert!(is_about(&error, "manman", "status.host.8"));
        assert!(!is_about(&error, "manman", "status.host.7"));
        let error = answer(AMQPSoftError::NOTFOUND, "NOT_FOUND - no exchange 'external' in vhost 'v'");
        assert!(is_about(&error, "external", "any"));
        assert!(!is_about(&error, "manman", "any"));
    }
}
