//! What lies behind the programs: a broker and a database, each by its URL.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Environment, Places, Reader};
use crate::secret::Secret;

/// Where messages are carried. The URL may hold a password and does not print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerUrl {
    /// Within this process.
    Memory,
    /// `amqp://` or `amqps://`.
    RabbitMq(Secret),
    /// `nats://` or `tls://`.
    Nats(Secret),
}

/// Where the store is kept. The URL may hold a password and does not print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of this machine.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Secret),
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            // Neither user nor password, which stand before the last `@`, nor parameters.
            Self::Postgres(url) => {
                let (url, parameters) = url.reveal().split_once('?').unwrap_or((url.reveal(), ""));
                if parameters.contains('@') {
                    // A password with a `?` in it: nothing is certain.
                    return f.write_str("PostgreSQL");
                }
                let place = url.rsplit_once('@').or_else(|| url.split_once("://"));
                write!(f, "PostgreSQL at {}", place.map_or("", |(_, place)| place))
            }
        }
    }
}

impl BrokerUrl {
    /// What it is called.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::RabbitMq(_) => "rabbitmq",
            Self::Nats(_) => "nats",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "memory" => Ok(Self::Memory),
            "amqp" | "amqps" => Ok(Self::RabbitMq(Secret::new(text))),
            "nats" | "tls" => Ok(Self::Nats(Secret::new(text))),
            // Not shown: what has no scheme may be a password.
            _ => Err("is no URL of a broker that this version knows".to_owned()),
        }
    }
}

impl DatabaseUrl {
    /// The URL.
    pub fn to_url(&self) -> Secret {
        match self {
            Self::Sqlite(path) => Secret::new(format!("sqlite://{}", path.display())),
            Self::Postgres(url) => url.clone(),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = Path::new(path.strip_prefix("//").unwrap_or(path));
            if !path.is_absolute() {
                return Err(format!("{} is not absolute", path.display()));
            }
            return Ok(Self::Sqlite(path.to_owned()));
        }
        match text.split_once("://") {
            // SQLAlchemy's way to name the driver too.
            Some(("postgres" | "postgresql" | "postgresql+psycopg2", rest)) => {
                Ok(Self::Postgres(Secret::new(format!("postgres://{rest}"))))
            }
            _ => Err("is no URL of a database that this version knows".to_owned()),
        }
    }
}

/// The variables that say where the broker is, the first one that is set counts.
const BROKER: [&str; 2] = ["BROKER_URL", "RABBITMQ_URL"];

/// The variables that say where the database is.
const DATABASE: [&str; 2] = ["DATABASE_URL", "MANMAN_POSTGRES_URL"];

/// The broker, if it was said.
pub(super) fn broker<E: Environment>(reader: &mut Reader<'_, E>, given: Option<&str>) -> Option<BrokerUrl> {
    let remedy = "write amqp://user:password@host:5672/vhost, nats://user:password@host:4222, or memory: with `manman up`";
    let said = reader.read_secret("broker", given, &BROKER, remedy, BrokerUrl::parse);
    said.or_else(|| composed(reader))
}

/// The database, if it was said.
pub(super) fn database<E: Environment>(
    reader: &mut Reader<'_, E>,
    given: Option<&str>,
) -> Option<DatabaseUrl> {
    let remedy = "write postgres://user:password@host:5432/name or sqlite:///absolute/path.db";
    reader.read_secret("database", given, &DATABASE, remedy, DatabaseUrl::parse)
}

/// The database of an installation on one machine.
pub(super) fn own_database(data_dir: &Path) -> DatabaseUrl {
    DatabaseUrl::Sqlite(Places(data_dir).database())
}

/// RabbitMQ as the first version of manman was told about it.
fn composed<E: Environment>(reader: &mut Reader<'_, E>) -> Option<BrokerUrl> {
    const HOST: &str = "MANMAN_RABBITMQ_HOST";
    const HOW: &str = "take a name or an address, or use BROKER_URL";
    let host = reader.read("", None, &[HOST], HOW, |text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if text.chars().all(fits) { Ok(text.to_owned()) } else { Err("is no name of a host".to_owned()) }
    })?;
    let encrypted = reader.read("", None, &["MANMAN_RABBITMQ_ENABLE_SSL"], "say true or false", yes_or_no);
    let encrypted = encrypted.unwrap_or(false);
    let port = reader.read("", None, &["MANMAN_RABBITMQ_PORT"], "give a number from 1 to 65535", |text| {
        text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| format!("{text:?} is no port"))
    });
    let port = port.unwrap_or(if encrypted { 5671 } else { 5672 });
    let mut secret = |name| reader.read_secret("", None, &[name], "", |text| Ok(text.to_owned()));
    let user = secret("MANMAN_RABBITMQ_USER").unwrap_or_else(|| "guest".to_owned());
    let password = secret("MANMAN_RABBITMQ_PASSWORD").unwrap_or_else(|| "guest".to_owned());
    let scheme = if encrypted { "amqps" } else { "amqp" };
    let name = secret("MANMAN_RABBITMQ_SSL_HOSTNAME").filter(|_| encrypted);
    let name = name.map(|name| format!("?server_name={}", escaped(&name))).unwrap_or_default();
    let url = format!("{scheme}://{}:{}@{host}:{port}/{name}", escaped(&user), escaped(&password));
    Some(BrokerUrl::RabbitMq(Secret::new(url)))
}

/// What people write for yes and no.
pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A part of a URL (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Fixed;

    fn read(around: &Fixed) -> (Option<BrokerUrl>, Option<DatabaseUrl>, Vec<String>) {
        let mut reader = Reader::new(around);
        let (broker, database) = (broker(&mut reader, None), database(&mut reader, None));
        let wrong = reader.finish().err().map(|error| error.0).unwrap_or_default();
        (broker, database, wrong.iter().map(ToString::to_string).collect())
    }

    fn rabbit(url: &str) -> Option<BrokerUrl> {
        Some(BrokerUrl::RabbitMq(Secret::new(url)))
    }

    #[test]
    fn a_broker_has_many_names() {
        for (variables, expected) in [
            (vec![("BROKER_URL", "nats://b:4222")], Some(BrokerUrl::Nats(Secret::new("nats://b:4222")))),
            (vec![("RABBITMQ_URL", "amqp://b")], rabbit("amqp://b")),
            (vec![("RABBITMQ_URL", "amqp://b"), ("BROKER_URL", "memory:")], Some(BrokerUrl::Memory)),
            (vec![("MANMAN_RABBITMQ_HOST", "mq")], rabbit("amqp://guest:guest@mq:5672/")),
            (
                vec![
                    ("MANMAN_RABBITMQ_HOST", "mq"),
                    ("MANMAN_RABBITMQ_USER", "me"),
                    ("MANMAN_RABBITMQ_PASSWORD", "p@ss/w%rd"),
                    ("MANMAN_RABBITMQ_ENABLE_SSL", "true"),
                    ("MANMAN_RABBITMQ_SSL_HOSTNAME", "mq.example.org"),
                ],
                rabbit("amqps://me:p%40ss%2Fw%25rd@mq:5671/?server_name=mq.example.org"),
            ),
            (vec![], None),
        ] {
            let (broker, _, wrong) = read(&Fixed(variables.into_iter().collect()));
            assert_eq!((broker, wrong), (expected, vec![]));
        }
    }

    #[test]
    fn a_database_has_many_names() {
        let postgres = Some(DatabaseUrl::Postgres(Secret::new("postgres://u@h/d")));
        for (variable, url, expected) in [
            ("DATABASE_URL", "postgresql://u@h/d", postgres.clone()),
            ("DATABASE_URL", "sqlite:///a/b.db", Some(DatabaseUrl::Sqlite("/a/b.db".into()))),
            ("MANMAN_POSTGRES_URL", "postgresql+psycopg2://u@h/d", postgres),
        ] {
            assert_eq!(read(&Fixed([(variable, url)].into())).1, expected);
        }
    }

    #[test]
    fn what_cannot_be_is_said_without_what_may_be_a_secret() {
        for (variable, value) in [
            ("BROKER_URL", "hunter2"),
            ("BROKER_URL", "redis://me:hunter2@b"),
            ("DATABASE_URL", "mysql://me:hunter2@db/x"),
            ("DATABASE_URL", "sqlite:relative.db"),
        ] {
            let (_, _, wrong) = read(&Fixed([(variable, value)].into()));
            assert_eq!(wrong.len(), 1, "{value}");
            assert!(wrong[0].starts_with(variable) && !wrong[0].contains("hunter2"), "{}", wrong[0]);
        }
        let around = Fixed([("MANMAN_RABBITMQ_HOST", "mq"), ("MANMAN_RABBITMQ_PORT", "x")].into());
        assert!(read(&around).2[0].contains("MANMAN_RABBITMQ_PORT"));
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        std::fs::write(&file, "nats://b:4222\n").unwrap();
        let path: &'static str = file.to_str().unwrap().to_owned().leak();
        let (broker, _, wrong) = read(&Fixed([("BROKER_URL_FILE", path)].into()));
        assert_eq!((broker, wrong), (Some(BrokerUrl::Nats(Secret::new("nats://b:4222"))), vec![]));
        let (_, _, wrong) = read(&Fixed([("BROKER_URL_FILE", "/not/there")].into()));
        assert!(wrong[0].starts_with("BROKER_URL_FILE: /not/there"), "{wrong:?}");
        let (_, _, wrong) = read(&Fixed([("BROKER_URL_FILE", path), ("BROKER_URL", "memory:")].into()));
        assert!(wrong[0].contains("BROKER_URL"), "{wrong:?}");
    }
}
