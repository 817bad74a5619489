//! Where RabbitMQ is, who we are there, and how long it may take.

use std::{path::PathBuf, str::FromStr, time::Duration};

use manman_core::error::{Error, ErrorKind};
use serde::Deserialize;

use super::address;
use crate::secret::Secret;

/// How RabbitMQ is reached.
///
/// Usually read from a URL: `amqp://user:password@host:5672/vhost`, and `amqps://` for TLS
/// (port 5671 unless named). User, password and virtual host are percent-encoded; without
/// one the virtual host is `/`. TLS takes the parameters `ca`, `cert`, `key` (paths of PEM
/// files) and `server_name`.
///
/// ```
/// use manman_broker::rabbitmq::RabbitConfig;
///
/// let config: RabbitConfig = "amqps://manman:s%2Fcret@mq.example:5671/games?ca=/etc/ca.pem".parse()?;
/// assert_eq!((config.host.as_str(), config.vhost.as_str()), ("mq.example", "games"));
/// assert!(!format!("{config:?}").contains("s/cret"));
/// # Ok::<(), manman_core::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RabbitConfig {
    /// Its name or address. Default `localhost`.
    pub host: String,
    /// Its port. Default 5672.
    pub port: u16,
    /// The virtual host. Default `/`.
    pub vhost: String,
    /// Who we are. Default `guest`.
    pub user: String,
    /// What proves it. Default `guest`.
    pub password: Secret,
    /// Whether and how to speak TLS. Default: not.
    pub tls: Option<TlsConfig>,
    /// How we are called in RabbitMQ's list of connections. Default `manman`.
    pub name: String,
    /// The longest that connecting may take, TLS and login included, in milliseconds.
    /// Default 5000.
    pub connect_timeout_ms: u64,
    /// The longest that a call may take which is not a publish, in milliseconds. Default
    /// 10000.
    pub call_timeout_ms: u64,
    /// The longest that a publish may wait for RabbitMQ's word that it is stored, in
    /// milliseconds. Default 10000.
    pub publish_timeout_ms: u64,
}

/// How to speak TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// PEM file of the authorities that are trusted, and no others. Default: those of the
    /// system.
    pub ca: Option<PathBuf>,
    /// PEM file of our own certificate, with its chain.
    pub cert: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// The name that RabbitMQ's certificate has to carry, where it is not that of the host.
    pub server_name: Option<String>,
}

impl Default for RabbitConfig {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5672,
            vhost: "/".to_owned(),
            user: "guest".to_owned(),
            password: Secret::new("guest"),
            tls: None,
            name: "manman".to_owned(),
            connect_timeout_ms: 5_000,
            call_timeout_ms: 10_000,
            publish_timeout_ms: 10_000,
        }
    }
}

impl RabbitConfig {
    /// Where it is, for messages.
    pub(super) fn place(&self) -> String {
        format!("RabbitMQ at {}:{}", self.host, self.port)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    pub(super) fn publish_timeout(&self) -> Duration {
        Duration::from_millis(self.publish_timeout_ms)
    }

    /// The name by which its certificate is checked.
    pub(super) fn server_name(&self) -> &str {
        self.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).unwrap_or(&self.host)
    }
}

impl FromStr for RabbitConfig {
    type Err = Error;

    /// Reads a URL.
    ///
    /// # Errors
    /// `Config`, with what is wrong and never with the password.
    fn from_str(url: &str) -> Result<Self, Error> {
        let wrong = |what: String| Error::new(ErrorKind::Config, "read the URL of RabbitMQ", what);
        address::read(url).map_err(wrong)
    }
}
