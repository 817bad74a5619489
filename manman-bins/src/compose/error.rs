//! Why an installation could not be brought up, or did not stay up.

use std::{io, net::SocketAddr, path::PathBuf};

use manman_core::{
    error::{Error, ErrorKind},
    model::{PortBinding, Protocol},
};

use super::{drives::RuntimeKind, lock::LockError};

/// Why an installation could not be brought up, or did not stay up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpError {
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be used", dir.display())]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Another process serves it.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The token cannot be had.
    #[error("the token {} cannot be used", path.display())]
    Token {
        /// Its file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The API's address cannot be had.
    #[error("the API cannot be served on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The API's socket cannot be had.
    #[error("the API cannot be served at {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The store cannot be opened.
    #[error("the store {what} cannot be used")]
    Store {
        /// The database, without what is secret in its URL.
        what: String,
        /// What the store says.
        #[source]
        error: Error,
    },
    /// The broker cannot be used as it was named.
    #[error("the broker cannot be used")]
    Broker(#[source] Error),
    /// The blobs cannot be kept where they are to be.
    #[error("{what} cannot keep the blobs")]
    Blobs {
        /// The place, without what is secret in its URL.
        what: String,
        /// What it says.
        #[source]
        error: Error,
    },
    /// Games of it live that something else drives.
    #[error("{} by the runtime {before}, and {now} is asked for", sessions_are_run(*live))]
    OtherRuntime {
        /// What drives them.
        before: RuntimeKind,
        /// What was asked for.
        now: RuntimeKind,
        /// How many have not ended.
        live: usize,
    },
    /// The host manager cannot be brought up.
    #[error("the host manager cannot be brought up")]
    Host(#[source] Error),
    /// Something that should run until the end has ended.
    #[error("{0}; games go on, and `manman up` takes them up again")]
    Died(String),
    /// It was told to end at once.
    #[error("ended at once, as asked twice; games go on")]
    Hurried,
}

fn sessions_are_run(live: usize) -> String {
    match live {
        1 => "1 session of this installation is run".to_owned(),
        live => format!("{live} sessions of this installation are run"),
    }
}

impl UpError {
    /// What to do about it, where more can be said than the error says.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::DataDir { .. } => {
                "choose another with --data-dir or DATA_DIR, or make it writable for this user".to_owned()
            }
            Self::Locked(LockError::Held { pid: Some(pid), .. }) => format!(
                "use that one (`manman status`), end it (`kill {pid}`; games go on), or choose another --data-dir"
            ),
            Self::Locked(_) => "use that one, or choose another --data-dir".to_owned(),
            Self::Token { path, .. } => {
                format!("remove {} for a new token, or make it readable for this user", path.display())
            }
            Self::Listen { address, .. } => {
                let holder = i64::from(address.port()).try_into().ok().and_then(|port| {
                    let port = PortBinding { container_port: port, host_port: port, protocol: Protocol::Tcp };
                    manman_core::machine::held_by(&port, Some(address.ip()))
                });
                match holder {
                    Some(holder) => {
                        format!("{holder} has it: end that, or choose another with --listen or LISTEN")
                    }
                    None => "another program may have it: choose another with --listen or LISTEN".to_owned(),
                }
            }
            Self::Socket { path, .. } if path.as_os_str().len() > 107 => {
                "the path of a socket has at most 107 bytes: choose a shorter --data-dir".to_owned()
            }
            Self::OtherRuntime { before, .. } => {
                format!("go on with --runtime {before}, or end the games first with `manman down`")
            }
            Self::Host(error) if error.kind() == ErrorKind::Conflict => {
                "see that the data directory, the database and SERVER_NAME are those of this machine"
                    .to_owned()
            }
            Self::Blobs { .. } => {
                "name another place with --blobs or BLOB_URL, or see that this one can be used".to_owned()
            }
            _ => return None,
        })
    }

    /// Whether something that the operator said has to be changed: exit code 78.
    pub fn is_config(&self) -> bool {
        match self {
            // Who has it may go, and an address may come up: not for an operator to change.
            Self::Listen { error, .. } => {
                !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
            }
            Self::DataDir { .. } | Self::Token { .. } | Self::Socket { .. } | Self::OtherRuntime { .. } => {
                true
            }
            Self::Store { error, .. } | Self::Host(error) | Self::Broker(error) => {
                matches!(error.kind(), ErrorKind::Config | ErrorKind::Conflict)
            }
            // Also a directory that is not this user's.
            Self::Blobs { error, .. } => {
                matches!(error.kind(), ErrorKind::Config | ErrorKind::Conflict | ErrorKind::Denied)
            }
            _ => false,
        }
    }
}
