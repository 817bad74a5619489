//! From the engine's errors to ours: the one place that reads status codes and
//! messages. What they say is that of Docker 20.10, and of later ones where known.

use std::{io, net::IpAddr};

use bollard::errors::Error as DockerError;
use manman_core::{
    error::{Error, ErrorKind},
    model::ImageRef,
};
use serde::Deserialize;

/// What `error` means for whoever asked for `operation`.
pub(crate) fn translate(operation: &'static str, error: DockerError) -> Error {
    judge(&error, |_| None).error(operation, error)
}

/// What `error` means for the pull of `image`, of which a registry has its say too.
pub(crate) fn translate_pull(operation: &'static str, image: &ImageRef, error: DockerError) -> Error {
    let mut judgement = judge(&error, registry);
    let what = match judgement.kind {
        ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Unavailable => "is not available",
        _ => "could not be pulled",
    };
    judgement.message = format!("the image {image} {what}: {}", judgement.message);
    judgement.error(operation, error)
}

/// Reads how an engine says no.
pub(crate) fn refusal(status_code: u16, body: &[u8]) -> DockerError {
    #[derive(Default, Deserialize)]
    struct Refusal {
        #[serde(default)]
        message: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    DockerError::DockerResponseServerError { status_code, message: refusal.message }
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

/// Whether the addresses of a network overlap with those of another one.
pub(crate) fn is_overlap(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { message, .. } if says_overlap(message))
}

/// Whether the name of a network is taken.
pub(crate) fn is_network_taken(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerResponseServerError { message, .. } if says_network_taken(message))
}

/// Whether a wait says no more than that a game ended with a code other than 0, which
/// bollard takes for a failure.
pub(crate) fn is_exit(error: &DockerError) -> bool {
    matches!(error, DockerError::DockerContainerWaitError { .. })
}

/// The port of the machine that a start was refused for.
pub(crate) fn held_port(error: &DockerError) -> Option<u16> {
    match error {
        DockerError::DockerResponseServerError { message, .. } if says_port_held(message) => port(message),
        _ => None,
    }
}

/// What an answer of the engine means.
#[derive(Debug)]
struct Judgement {
    kind: ErrorKind,
    message: String,
    /// Whether the engine's own words are in the message: its error then has no more to say.
    quotes: bool,
}

impl Judgement {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), quotes: false }
    }

    fn quoting(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, quotes: true }
    }

    fn error(self, operation: &'static str, source: DockerError) -> Error {
        let error = Error::new(self.kind, operation, self.message);
        if self.quotes { error } else { error.because(source) }
    }
}

fn judge(error: &DockerError, more: fn(&str) -> Option<Judgement>) -> Judgement {
    match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            refused(*status_code, message, more)
        }
        // A pull that fails half-way says so inside its stream, without a code.
        DockerError::DockerStreamError { error } => refused(500, error, more),
        DockerError::RequestTimeoutError => {
            Judgement::new(ErrorKind::Timeout, "the engine did not answer in time")
        }
        DockerError::IOError { err } => unreachable_engine(err),
        DockerError::HyperResponseError { err } if err.is_parse() => {
            Judgement::new(ErrorKind::Unexpected, "the engine's answer is not HTTP")
        }
        DockerError::HyperResponseError { .. } | DockerError::HyperLegacyError { .. } => {
            Judgement::new(ErrorKind::Unavailable, "the connection to the engine broke")
        }
        DockerError::JsonDataError { .. } | DockerError::JsonSerdeError { .. } => {
            Judgement::new(ErrorKind::Unexpected, "the engine's answer cannot be read")
        }
        _ => Judgement::new(ErrorKind::Unexpected, "the call to the engine failed"),
    }
}

fn unreachable_engine(error: &io::Error) -> Judgement {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Judgement::new(
            ErrorKind::Denied,
            "the engine's socket may not be opened: run the manager as a user of the socket's group (docker)",
        ),
        io::ErrorKind::NotFound => {
            Judgement::new(ErrorKind::Unavailable, "there is no engine: its socket does not exist")
        }
        io::ErrorKind::ConnectionRefused => {
            Judgement::new(ErrorKind::Unavailable, "no engine listens on its socket")
        }
        _ => Judgement::new(ErrorKind::Unavailable, "the connection to the engine broke"),
    }
}

fn refused(status: u16, message: &str, more: fn(&str) -> Option<Judgement>) -> Judgement {
    let has = |text: &str| message.contains(text);
    // The disk, whichever call notices.
    if has("no space left on device") || has("disk quota exceeded") {
        return Judgement::new(ErrorKind::Busy, "the disk is full");
    }
    // The engine's own engine (containerd) is away, or it is going down itself.
    let going =
        ["grpc: the ", "transport is closing", "ttrpc: closed", "error while dialing", "context canceled"];
    if status == 503 || going.iter().any(|text| has(text)) {
        return Judgement::new(ErrorKind::Unavailable, "the engine asked to come back later");
    }
    if has("client version") && (has("is too old") || has("is too new")) {
        return Judgement::new(ErrorKind::Unsupported, "the engine does not speak Engine API 1.41");
    }
    if let Some(judgement) = start(message).or_else(|| network(message)).or_else(|| more(message)) {
        return judgement;
    }
    let engine_says = || match brief(message) {
        words if words.is_empty() => format!("the engine refused ({status})"),
        words => format!("the engine refused ({status}): {words}"),
    };
    match status {
        400 => Judgement::quoting(ErrorKind::Invalid, engine_says()),
        401 | 403 => Judgement::quoting(ErrorKind::Denied, engine_says()),
        404 if has("No such image") || has("no such image") => {
            Judgement::new(ErrorKind::NotFound, "the image is not available")
        }
        404 => Judgement::new(ErrorKind::NotFound, "the engine has no such thing"),
        409 if has("is already in progress") => {
            Judgement::new(ErrorKind::Busy, "the engine is still removing it")
        }
        409 if has("is already in use by container") => {
            Judgement::new(ErrorKind::Conflict, "another container holds its name")
        }
        409 if has("running container") || has("paused container") => {
            Judgement::new(ErrorKind::Conflict, "it is running")
        }
        409 => Judgement::quoting(ErrorKind::Conflict, engine_says()),
        _ => Judgement::quoting(ErrorKind::Unexpected, engine_says()),
    }
}

/// What a start is refused for.
fn start(message: &str) -> Option<Judgement> {
    let has = |text: &str| message.contains(text);
    if says_port_held(message) {
        let what = match port(message) {
            Some(port) => format!("port {port} is held by somebody else"),
            None => "a port is held by somebody else".into(),
        };
        return Some(Judgement::new(ErrorKind::Conflict, what));
    }
    if has("exec: \"docker-init\"") {
        let message = "the engine's init (docker-init) is missing: install tini on this machine";
        return Some(Judgement::new(ErrorKind::Config, message));
    }
    if has("starting container process caused") || has("exec: \"") {
        let command = message.split("exec: \"").nth(1).and_then(|rest| rest.split('"').next());
        let what = command.map_or_else(|| "the command".to_owned(), |command| format!("{command:?}"));
        if has("executable file not found") || has("no such file or directory") {
            return Some(Judgement::new(
                ErrorKind::Invalid,
                format!("the image has no such command: {what}"),
            ));
        }
        if has("permission denied") {
            return Some(Judgement::new(ErrorKind::Invalid, format!("{what} cannot be executed")));
        }
    }
    if has("did not receive an exit event") {
        return Some(Judgement::new(ErrorKind::Timeout, "it could not be killed in time"));
    }
    if has("bind source path does not exist") {
        return Some(Judgement::new(
            ErrorKind::Invalid,
            "the engine does not see a directory that is to be mounted",
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
        return Some(Judgement::new(ErrorKind::Busy, "the engine has no addresses left for a network"));
    }
    if says_overlap(message) {
        let message = "its addresses overlap with those of another network";
        return Some(Judgement::new(ErrorKind::Conflict, message));
    }
    if has("has active endpoints") {
        return Some(Judgement::new(ErrorKind::Conflict, "something is still in the network"));
    }
    if says_network_taken(message) {
        return Some(Judgement::new(ErrorKind::Conflict, "there is a network of that name"));
    }
    None
}

/// What an image cannot be had for.
fn registry(message: &str) -> Option<Judgement> {
    let has = |text: &str| message.contains(text);
    // Docker Hub answers so for what does not exist.
    if has("repository does not exist") || has("manifest unknown") || has("name unknown") {
        return Some(Judgement::new(ErrorKind::NotFound, "its registry has no such image"));
    }
    if has("manifest for ") && has(" not found") {
        return Some(Judgement::new(ErrorKind::NotFound, "its registry has no such image"));
    }
    if has("no matching manifest for") {
        return Some(Judgement::new(ErrorKind::NotFound, "the image is not made for this kind of machine"));
    }
    if has("toomanyrequests") || has("429 Too Many Requests") {
        return Some(Judgement::new(
            ErrorKind::Unavailable,
            "its registry asks to come back later: too many requests",
        ));
    }
    if has("unauthorized")
        || has("no basic auth credentials")
        || has("denied: ")
        || has("authentication required")
    {
        return Some(Judgement::new(ErrorKind::Denied, "its registry wants other credentials"));
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
        return Some(Judgement::new(ErrorKind::Unavailable, "its registry does not answer"));
    }
    None
}

fn says_port_held(message: &str) -> bool {
    let texts = ["port is already allocated", "address already in use", "cannot expose port"];
    texts.iter().any(|text| message.contains(text))
}

fn says_overlap(message: &str) -> bool {
    message.contains("Pool overlaps with other one") || message.contains("conflicts with network")
}

fn says_network_taken(message: &str) -> bool {
    message.contains("network with name") && message.contains("already exists")
}

/// The port of the first address with one, as in `0.0.0.0:25565`, `[::]:25565` and
/// `:::25565`. Later engines name the container's own behind it:
/// `0.0.0.0:25565:172.17.0.2:80/tcp`.
fn port(message: &str) -> Option<u16> {
    message.split_ascii_whitespace().find_map(|word| {
        word.match_indices(':').find_map(|(at, _)| {
            let (address, rest) = (&word[..at], &word[at + 1..]);
            address.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
            let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
            digits.parse::<u16>().ok().filter(|&port| port > 0)
        })
    })
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
