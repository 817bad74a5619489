//! The error catalogue: a stable code for all that the API refuses, each with its cause
//! and what to do about it.

mod deed;
mod wire;

use std::{collections::BTreeMap, fmt::Write as _};

use tonic::{Code, Status};

use manman_core::model::Invalid;

pub use wire::Reported;
pub(super) use wire::reworded;

macro_rules! catalogue {
    ($($name:ident = $text:literal, $grpc:ident, $http:literal, $cause:literal, $remedy:literal;)*) => {
        /// What went wrong, for programs. Stable: a code is never renamed or given
        /// another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $cause] $name,)*
        }

        impl ErrorCode {
            /// All of them, by name.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name, as it is sent.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status that gRPC clients see.
            pub const fn grpc(self) -> Code {
                match self { $(Self::$name => Code::$grpc,)* }
            }

            /// The status that HTTP clients see.
            pub const fn http(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            /// How it comes about.
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)* }
            }

            /// What to do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

catalogue! {
    BlobsUnavailable = "blobs_unavailable", Unavailable, 503,
        "What keeps the blobs does not answer; the blob was not put.",
        "Try again; the server's log says what is wrong with it.";
    BrokerUnavailable = "broker_unavailable", Unavailable, 503,
        "The broker does not answer; what was asked for was not done, as far as is known.",
        "Try again; the server's log says what is wrong with it.";
    ChangedMeanwhile = "changed_meanwhile", Aborted, 409,
        "What was to be changed is not what the caller had seen: somebody else changed it since.",
        "Look at it again, then decide anew.";
    ConsoleUnavailable = "console_unavailable", Unavailable, 503,
        "What is kept of the console cannot be read now; its game goes on.",
        "Try again; the server's log says what is wrong with it.";
    DeadlineExceeded = "deadline_exceeded", DeadlineExceeded, 504,
        "There was no answer within the call's deadline; whether it was done is not known.",
        "Repeat it with the same idempotency key: then it is done once.";
    Fenced = "fenced", Aborted, 409,
        "The server was registered again: whoever holds an earlier registration has been replaced.",
        "Stop the process that was replaced; its games go on under the other one.";
    IdempotencyMismatch = "idempotency_mismatch", InvalidArgument, 422,
        "An idempotency key stands for one request, and this one differs from the request that it was first used for.",
        "Use a new key for a new request.";
    InUse = "in_use", FailedPrecondition, 409,
        "Something that exists needs it.",
        "Delete first what needs it.";
    Internal = "internal", Internal, 500,
        "Something that should not happen did; the server's log says more.",
        "Report it with the server's log.";
    InvalidArgument = "invalid_argument", InvalidArgument, 400,
        "A value is invalid; the message names the field and what is expected.",
        "Correct the field.";
    JoinRefused = "join_refused", PermissionDenied, 403,
        "A join token makes one host, once, within its time and under the name that it is for, if it is for one.",
        "Make a new one: `manman token create --join`.";
    MessageTooLarge = "message_too_large", ResourceExhausted, 413,
        "Requests are limited to 1 MiB.",
        "Make it smaller.";
    NameTaken = "name_taken", AlreadyExists, 409,
        "Names are unique: of servers, games and deployments in the installation, of configs within their game.",
        "Choose another name, or use what has it.";
    NoPortFree = "no_port_free", ResourceExhausted, 409,
        "All ports of the range are held by deployments of that server.",
        "Ask for a larger or another range, or delete a deployment that holds one.";
    NotActive = "not_active", FailedPrecondition, 409,
        "The deployment takes no new session: it is being drained or deleted.",
        "Start another deployment.";
    NotFound = "not_found", NotFound, 404,
        "There is no such thing in this installation, or the caller may not see it.",
        "List what there is: `manman server|game|config|deployment|session list`.";
    NotRunning = "not_running", FailedPrecondition, 409,
        "Input can only be sent to a running game.",
        "Wait until it runs: `manman session show` says where it is.";
    PermissionDenied = "permission_denied", PermissionDenied, 403,
        "The token is valid, and its role does not include this call.",
        "Use a token of a role that does: `manman token list` shows them.";
    PortConflict = "port_conflict", AlreadyExists, 409,
        "A port of a server belongs to one deployment, from its creation to its deletion.",
        "Choose another port, ask for any of a range, or delete the deployment that holds it.";
    PortsDiffer = "ports_differ", InvalidArgument, 400,
        "A deployment binds each port that its config needs, once, and no other.",
        "Ask for just the ports that `manman config show` lists.";
    ServerOnline = "server_online", FailedPrecondition, 409,
        "Only the sessions of a server that is not heard can be given up.",
        "Stop its sessions instead.";
    ServerTaken = "server_taken", AlreadyExists, 409,
        "Another machine has registered under this server's name and is heard.",
        "Give this machine another SERVER_NAME, or stop the other one.";
    SessionEnded = "session_ended", FailedPrecondition, 409,
        "The session has ended and cannot be changed.",
        "Start a new session of its deployment.";
    SessionLive = "session_live", AlreadyExists, 409,
        "A deployment has one session at a time, and it has one that has not ended.",
        "Use that one, stop it first, or restart it.";
    SessionStopping = "session_stopping", FailedPrecondition, 409,
        "The session is to be stopped, and a stop cannot be undone.",
        "Wait for its end and start a new one.";
    SessionsLive = "sessions_live", FailedPrecondition, 409,
        "The process was to end only when no session is live.",
        "Stop them first (`manman down` does), or ask to leave them running.";
    ShuttingDown = "shutting_down", Unavailable, 503,
        "The process that answers is about to end; games go on.",
        "Try again when it is up again.";
    StoreUnavailable = "store_unavailable", Unavailable, 503,
        "The store does not answer; nothing was written.",
        "Try again; the server's log says what is wrong with it.";
    TokenKnown = "token_known", AlreadyExists, 409,
        "A token is told by its digest, and one of that digest is on record, valid or not any more.",
        "Make another one: `manman token create` does, at random.";
    TooManyPuts = "too_many_puts", ResourceExhausted, 429,
        "A few blobs are put at a time, and of one host two.",
        "Try again when one of them is done.";
    TooManyStreams = "too_many_streams", ResourceExhausted, 429,
        "A caller may have 20 streams open at a time.",
        "Close one, or wait.";
    Unauthenticated = "unauthenticated", Unauthenticated, 401,
        "Every call needs a valid token, or the Unix socket and the user who runs manman.",
        "Pass the token of the data directory (`--token-file {data}/token`), as `authorization: Bearer mm_…`.";
    UnknownCall = "unknown_call", Unimplemented, 404,
        "This version has no such call.",
        "Use a client of the server's version.";
    Unsupported = "unsupported", Unimplemented, 501,
        "The backend in use cannot do that.",
        "Use another backend, or do without.";
}

/// A refusal, before it becomes a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    field: Option<String>,
    remedy: Option<String>,
    details: BTreeMap<&'static str, String>,
}

impl ApiError {
    /// What happened, in a sentence without a full stop.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, remedy: None, details: BTreeMap::new() }
    }

    /// A value that cannot be.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Invalid::new(field, problem).into()
    }

    /// There is no such thing.
    pub fn not_found(noun: &str, id: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {noun} {id}"))
    }

    /// A better remedy than the catalogue's.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Something for programs beside the code: `session`, `holder`, …
    pub fn with(mut self, key: &'static str, value: impl std::fmt::Display) -> Self {
        self.details.insert(key, value.to_string());
        self
    }

    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let mut error = Self::new(ErrorCode::InvalidArgument, invalid.to_string());
        error.field = Some(invalid.field);
        error
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        wire::status(&error)
    }
}

/// The catalogue as a page: what `docs/errors.md` holds.
pub fn as_markdown() -> String {
    let mut page = String::from(
        "# Errors of the API\n\n\
         Every refusal carries a stable code. gRPC: `google.rpc.ErrorInfo` in the status details, with the code \
         as `reason`, the domain `manman`, and in its metadata `cause`, `remedy`, and `field` where a value was \
         refused. `manman` prints the message, the cause and what to do; `manman explain CODE` prints the entry.\n\n\
         | code | gRPC | HTTP | cause | what to do |\n|---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        // Writing to a String does not fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            code.as_str(),
            wire::grpc_name(code.grpc()),
            code.http(),
            code.cause(),
            code.remedy().replace('|', "\\|"),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_unique() {
        let names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn the_documented_catalogue_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == as_markdown(),
            "docs/errors.md differs from the catalogue: cargo run -p manman-bins -- explain > docs/errors.md"
        );
    }

    #[test]
    fn an_error_survives_its_status() {
        let error = ApiError::invalid("ports[0].port", "0 is not within 1 to 65535").with("holder", 7);
        let reported = Reported::from(&Status::from(error.clone()));
        assert_eq!(reported.code, "invalid_argument");
        assert_eq!(reported.message, error.message());
        assert_eq!(reported.field.as_deref(), Some("ports[0].port"));
        assert_eq!(reported.remedy.as_deref(), Some(ErrorCode::InvalidArgument.remedy()));
        assert_eq!(reported.details["holder"], "7");
    }
}
