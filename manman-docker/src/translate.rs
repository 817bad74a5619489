//! From the engine's errors to ours: the one place that reads status codes and
//! messages. What they say is that of Docker 20.10, and of later ones where known.

use std::io;

use bollard::errors::Error as DockerError;
use manman_core::error::{Error, ErrorKind};

/// What `error` means for whoever asked for `operation`.
pub(crate) fn translate(operation: &'static str, error: DockerError) -> Error {
    let (kind, message) = judge(&error, |_| None);
    Error::new(kind, operation, message).because(error)
}

/// The same for a pull, of which a registry has its say too.
pub(crate) fn translate_pull(operation: &'static str, error: DockerError) -> Error {
    let (kind, message) = judge(&error, registry);
    Error::new(kind, operation, message).because(error)
}

/// Whether the engine says that there is no such thing.
pub(crate) fn is_absent(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code: 404, .. })
}

/// Whether the engine says that it is so already (304), which bollard takes for
/// success, or that it is not running (409 of a kill).
pub(crate) fn is_not_running(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code: 409 | 304, message }
        if message.is_empty() || message.contains("is not running"))
}

/// Whether a name is held by another container.
pub(crate) fn is_name_taken(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code: 409, message }
        if message.contains("already in use by container") || message.contains("name") && message.contains("in use"))
}

const OVERLAPS: &str = "its addresses overlap with those of another network";
const NETWORK_TAKEN: &str = "there is a network of that name";

/// Whether the addresses of a network overlap with those of another one.
pub(crate) fn is_overlap(error: &Error) -> bool {
    error.message() == OVERLAPS
}

/// Whether the name of a network is taken.
pub(crate) fn is_network_taken(error: &Error) -> bool {
    error.message() == NETWORK_TAKEN
}

type Judgement = (ErrorKind, String);

fn judge(error: &DockerError, more: fn(&str) -> Option<Judgement>) -> Judgement {
    match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            refused(*status_code, message, more)
        }
        // A pull that fails half-way says so inside its stream, without a code.
        DockerError::DockerStreamError { error } => refused(500, error, more),
        DockerError::RequestTimeoutError => (ErrorKind::Timeout, "the engine did not answer in time".into()),
        DockerError::IOError { err } => unreachable_engine(err),
        DockerError::HyperResponseError { err } if err.is_parse() => {
            (ErrorKind::Unexpected, "the engine's answer is no HTTP".into())
        }
        DockerError::HyperResponseError { .. } | DockerError::HyperLegacyError { .. } => {
            (ErrorKind::Unavailable, "the connection to the engine broke".into())
        }
        DockerError::JsonDataError { .. } | DockerError::JsonSerdeError { .. } => {
            (ErrorKind::Unexpected, "the engine's answer cannot be read".into())
        }
        _ => (ErrorKind::Unexpected, "the call to the engine failed".into()),
    }
}

fn unreachable_engine(error: &io::Error) -> Judgement {
    match error.kind() {
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Denied,
            "the engine's socket may not be opened: run the manager as a user of the socket's group (docker)"
                .into(),
        ),
        io::ErrorKind::NotFound => {
            (ErrorKind::Unavailable, "there is no engine: its socket does not exist".into())
        }
        io::ErrorKind::ConnectionRefused => {
            (ErrorKind::Unavailable, "no engine listens on its socket".into())
        }
        _ => (ErrorKind::Unavailable, "the connection to the engine broke".into()),
    }
}

fn refused(status: u16, message: &str, more: fn(&str) -> Option<Judgement>) -> Judgement {
    let has = |text: &str| message.contains(text);
    // The disk, whichever call notices.
    if has("no space left on device") || has("disk quota exceeded") {
        return (ErrorKind::Busy, "the disk is full".into());
    }
    // The engine's own engine (containerd) is away, or it is going down itself.
    let going =
        ["grpc: the ", "transport is closing", "ttrpc: closed", "error while dialing", "context canceled"];
    if status == 503 || going.iter().any(|text| has(text)) {
        return (ErrorKind::Unavailable, "the engine asked to come back later".into());
    }
    if has("client version") && (has("is too old") || has("is too new")) {
        return (ErrorKind::Unsupported, "the engine does not speak Engine API 1.41".into());
    }
    if let Some(judgement) = start(message).or_else(|| network(message)).or_else(|| more(message)) {
        return judgement;
    }
    let engine_says = || format!("the engine refused ({status}): {}", brief(message));
    match status {
        400 => (ErrorKind::Invalid, engine_says()),
        401 | 403 => (ErrorKind::Denied, engine_says()),
        404 if has("No such image") || has("no such image") => {
            (ErrorKind::NotFound, "the image is not here".into())
        }
        404 => (ErrorKind::NotFound, "the engine has no such thing".into()),
        409 if has("is already in progress") => (ErrorKind::Busy, "the engine is still removing it".into()),
        409 if has("is already in use by container") => {
            (ErrorKind::Conflict, "another container holds its name".into())
        }
        409 if has("running container") || has("paused container") => {
            (ErrorKind::Conflict, "it is running".into())
        }
        409 => (ErrorKind::Conflict, engine_says()),
        _ => (ErrorKind::Unexpected, engine_says()),
    }
}

/// What a start is refused for.
fn start(message: &str) -> Option<Judgement> {
    let has = |text: &str| message.contains(text);
    if has("port is already allocated") || has("address already in use") || has("cannot expose port") {
        let what = match port(message) {
            Some(port) => format!("port {port} is held by somebody else"),
            None => "a port is held by somebody else".into(),
        };
        return Some((ErrorKind::Conflict, what));
    }
    if has("exec: \"docker-init\"") {
        let message = "the engine's init (docker-init) is missing: install tini on this machine";
        return Some((ErrorKind::Config, message.into()));
    }
    if has("starting container process caused") || has("exec: \"") {
        let command = message.split("exec: \"").nth(1).and_then(|rest| rest.split('"').next());
        let what = command.map_or_else(|| "the command".to_owned(), |command| format!("{command:?}"));
        if has("executable file not found") || has("no such file or directory") {
            return Some((ErrorKind::Invalid, format!("the image has no such command: {what}")));
        }
        if has("permission denied") {
            return Some((ErrorKind::Invalid, format!("{what} cannot be executed")));
        }
    }
    if has("did not receive an exit event") {
        return Some((ErrorKind::Timeout, "it could not be killed in time".into()));
    }
    if has("bind source path does not exist") {
        return Some((
            ErrorKind::Invalid,
            "the engine does not see a directory that is to be mounted".into(),
        ));
    }
    None
}

/// What a network is refused for.
fn network(message: &str) -> Option<Judgement> {
    let has = |text: &str| message.contains(text);
    if has("non-overlapping IPv4 address pool")
        || has("all predefined address pools have been fully subnetted")
    {
        return Some((ErrorKind::Busy, "the engine has no addresses left for a network".into()));
    }
    if has("Pool overlaps with other one") || has("conflicts with network") {
        return Some((ErrorKind::Conflict, OVERLAPS.into()));
    }
    if has("has active endpoints") {
        return Some((ErrorKind::Conflict, "something is still in the network".into()));
    }
    if has("network with name") && has("already exists") {
        return Some((ErrorKind::Conflict, NETWORK_TAKEN.into()));
    }
    None
}

/// What an image cannot be had for.
fn registry(message: &str) -> Option<Judgement> {
    let has = |text: &str| message.contains(text);
    // Docker Hub answers so for what does not exist.
    if has("repository does not exist") || has("manifest unknown") || has("name unknown") {
        return Some((ErrorKind::NotFound, "its registry has no such image".into()));
    }
    if has("manifest for ") && has(" not found") {
        return Some((ErrorKind::NotFound, "its registry has no such image".into()));
    }
    if has("no matching manifest for") {
        return Some((ErrorKind::NotFound, "the image is not made for this kind of machine".into()));
    }
    if has("toomanyrequests") || has("429 Too Many Requests") {
        return Some((
            ErrorKind::Unavailable,
            "its registry asks to come back later: too many requests".into(),
        ));
    }
    if has("unauthorized")
        || has("no basic auth credentials")
        || has("denied: ")
        || has("authentication required")
    {
        return Some((ErrorKind::Denied, "its registry wants other credentials".into()));
    }
    let cut_off = [
        "dial tcp",
        "i/o timeout",
        "TLS handshake",
        "no such host",
        "connection refused",
        "connection reset",
        "unexpected EOF",
        "x509:",
        "Client.Timeout",
        "error parsing HTTP",
        "received unexpected HTTP status: 5",
        "server gave HTTP response to HTTPS client",
        "proxyconnect",
        "context deadline exceeded",
    ];
    if has("Get \"http") || has("Head \"http") || cut_off.iter().any(|text| has(text)) {
        return Some((ErrorKind::Unavailable, "its registry does not answer".into()));
    }
    None
}

/// The last number after a colon, as in `0.0.0.0:25565` or `[::]:25565`.
fn port(message: &str) -> Option<u16> {
    let numbers = message.split(':').skip(1).map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        digits.parse::<u16>().ok().filter(|&port| port > 0)
    });
    numbers.flatten().last()
}

/// The engine's words, bounded and on one line.
fn brief(message: &str) -> String {
    message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests;
