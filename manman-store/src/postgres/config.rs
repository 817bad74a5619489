//! Where the database is and how it is reached.

use std::{fmt, io, str::FromStr, time::Duration};

use manman_core::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use sqlx::{
    Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    dialect::within,
    parameters,
    translate::{of_certificate, translate},
};

const OPERATION: &str = "open the database";

/// What a connection of somebody is called who uses the store, and what one of a tool.
pub(super) const STORE: &str = "manman";
const TOOL: &str = "manman tool";

/// The oldest server, as it tells its version: `idle_session_timeout`, by which a relay that
/// froze loses its lead, came with 14.
const OLDEST: u32 = 14_00_00;

/// How the store over PostgreSQL is opened.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database`; `postgresql://` and
    /// `postgresql+psycopg2://` mean the same. With `?sslmode=verify-full` and
    /// `sslrootcert=/path` as libpq has them; by default TLS is used if the server has it.
    pub url: String,
    /// Whether the schema is brought to what this build needs, rather than refused, when
    /// it is older. Default `false`. A newer one is always refused.
    #[serde(default)]
    pub migrate: bool,
    /// The most connections of this process, 2 to 200. Default 16. A relay has two more.
    #[serde(default = "connections")]
    pub connections: u32,
    /// How long a deed waits for one of them, in seconds, 1 to 600. Default 5.
    #[serde(default = "acquire_timeout_secs")]
    pub acquire_timeout_secs: u32,
}

fn connections() -> u32 {
    16
}

fn acquire_timeout_secs() -> u32 {
    5
}

/// The longest that a statement runs.
const STATEMENT: &str = "10s";
/// The longest that a statement waits for what another one holds. A host's beats come after the
/// report that waits: half of the time after which it would be called stale.
const LOCK: &str = "5s";
/// The longest that a deed waits for us between two statements.
const IDLE: &str = "15s";
/// The longest that an idle connection takes to say that it is still there.
const STILL_THERE: Duration = Duration::from_secs(2);

impl PostgresConfig {
    /// The database at `url` with every default.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            migrate: false,
            connections: connections(),
            acquire_timeout_secs: acquire_timeout_secs(),
        }
    }

    /// The same, with the schema brought to what this build needs.
    pub fn migrated(self) -> Self {
        Self { migrate: true, ..self }
    }

    /// How a connection is made.
    pub(super) fn options(&self) -> Result<PgConnectOptions> {
        let refused = |why: String| Error::new(ErrorKind::Config, OPERATION, why);
        for (field, value, least, most) in [
            ("connections", self.connections, 2, 200),
            ("acquire_timeout_secs", self.acquire_timeout_secs, 1, 600),
        ] {
            if !(least..=most).contains(&value) {
                return Err(refused(format!("{field}: {value} is not within {least} to {most}")));
            }
        }
        let (scheme, rest) = self.url.split_once("://").ok_or_else(|| {
            refused("the URL of the database is not like postgres://user:password@host:5432/database".into())
        })?;
        let base = scheme.split_once('+').map_or(scheme, |(base, _driver)| base);
        if !["postgres", "postgresql"].contains(&base) {
            return Err(refused(format!("{scheme}:// is no database of ours; postgres:// is")));
        }
        parameters::known(rest).map_err(refused)?;
        // What the parser says of a URL may quote it.
        let options =
            PgConnectOptions::from_str(&format!("postgres://{rest}")).map_err(|error| match error {
                sqlx::Error::Configuration(why) => {
                    refused(format!("the URL of the database cannot be read: {why}"))
                }
                error => translate(OPERATION, error),
            })?;
        let limits = [
            ("statement_timeout", STATEMENT),
            ("lock_timeout", LOCK),
            ("idle_in_transaction_session_timeout", IDLE),
            // Within a minute the database lets go of a machine that died.
            ("tcp_keepalives_idle", "30"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "3"),
        ];
        Ok(options
            .application_name(TOOL)
            .options(limits)
            // Every statement of the store, with room.
            .statement_cache_capacity(256))
    }
}

impl fmt::Debug for PostgresConfig {
    /// Without the URL, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("migrate", &self.migrate)
            .field("connections", &self.connections)
            .field("acquire_timeout_secs", &self.acquire_timeout_secs)
            .finish_non_exhaustive()
    }
}

/// Connects once, so that what is wrong is said at once, and opens the pool. Leaves the
/// schema alone. For the migration runner.
///
/// # Errors
/// `Config` if the URL or what it says is wrong, or the server is older than PostgreSQL 14;
/// `Unavailable` if nobody answers there.
pub async fn pool(config: &PostgresConfig) -> Result<PgPool> {
    pool_of(config, config.options()?).await
}

/// The same for a store.
pub(super) async fn pool_of(config: &PostgresConfig, options: PgConnectOptions) -> Result<PgPool> {
    let first = connect(&options).await?;
    let version = first.server_version_num();
    first.close().await.map_err(|error| translate(OPERATION, error))?;
    if let Some(old) = version.filter(|&version| version < OLDEST) {
        let (place, major) = (format!("{}:{}", options.get_host(), options.get_port()), old / 10_000);
        let message = format!("{place} is PostgreSQL {major}, and manman needs {} or newer", OLDEST / 10_000);
        return Err(Error::new(ErrorKind::Config, OPERATION, message));
    }
    // The driver's own test has no end of its own; how they come back is for `Lent`.
    let pool = PgPoolOptions::new()
        .after_connect(|connection, _| Box::pin(end_with_us(connection)))
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(still_there(connection)))
        .max_connections(config.connections)
        .acquire_timeout(Duration::from_secs(u64::from(config.acquire_timeout_secs)))
        .idle_timeout(Duration::from_secs(600))
        .max_lifetime(Duration::from_secs(3600));
    Ok(pool.connect_lazy_with(options))
}

/// A statement whose caller gave up ends with its connection, where the server's system tells it
/// of that; it is not worth a refusal where it does not.
async fn end_with_us(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let _ = connection.execute("SET client_connection_check_interval = '1s'").await;
    Ok(())
}

/// That the server answers on a connection. One that fails here is cut off without a goodbye.
async fn still_there(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(STILL_THERE, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// One connection, with a word on what to do if it cannot be had.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    match within(OPERATION, PgConnection::connect_with(options)).await {
        Ok(connection) => Ok(connection),
        Err(error) => Err(explained(options, error)),
    }
}

/// Who was asked for what; never the password.
fn explained(options: &PgConnectOptions, error: Error) -> Error {
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    let theirs = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<sqlx::Error>());
    let code = theirs.and_then(|error| error.as_database_error()?.code().map(|code| code.into_owned()));
    let is_certificate = theirs.is_some_and(|error| of_certificate(error).is_some());
    // What is understood is said in one sentence; the rest brings what the database said.
    let is_whole = is_certificate || matches!(code.as_deref(), Some("28P01" | "28000" | "3D000"));
    let message = match (code.as_deref(), error.kind()) {
        (Some("28P01" | "28000"), _) => format!(
            "{place} refuses the user {user:?}: the password is wrong, or pg_hba.conf does not let it in"
        ),
        (Some("3D000"), _) => format!(
            "{place} has no database {database:?}; `createdb -h {} -p {} {database}` makes it",
            options.get_host(),
            options.get_port()
        ),
        _ if is_certificate => format!("{place}: {}", error.message()),
        (None, ErrorKind::Unavailable | ErrorKind::Timeout) => {
            format!("no PostgreSQL answers at {place}; is it running, and is that its address")
        }
        (None, ErrorKind::Config) => {
            format!("{place} cannot be reached as asked for: look at sslmode and sslrootcert of the URL")
        }
        _ => format!("{place}: {}", error.message()),
    };
    let said = Error::new(error.kind(), OPERATION, message).temporary(error.is_temporary());
    if is_whole { said } else { said.because(error) }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use manman_core::control::ControlConfig;

    use super::*;

    #[test]
    fn a_report_that_waits_makes_no_host_stale() {
        let lock: u32 = LOCK.trim_end_matches('s').parse().unwrap();
        assert!(2 * lock <= ControlConfig::default().stale_after_secs);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_secret() {
        for url in [
            "",
            "manman",
            "mysql://me:hunter2@db/x",
            "postgres://me:hunter2@db:port/x",
            "postgres://me:hunter2@db/x?sslmode=maybe",
            "postgres://me@db/x?sslpassword=hunter2",
            "postgres://me@db/x?sslmode=require&pasword=hunter2",
            "postgres://me@db/x?password=a&hunter2",
            "postgres://me:a?b=hunter2@db/x",
        ] {
            let error = PostgresConfig::at(url).options().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(!format!("{:?}", PostgresConfig::at("postgres://me:hunter2@db/x")).contains("hunter2"));
    }

    #[tokio::test]
    async fn a_server_that_is_too_old_is_said_to_be() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let old = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut hello = [0; 1024];
            // It has no TLS, lets everybody in, and is of version 13.
            assert_eq!(socket.read(&mut hello).await.unwrap(), 8);
            socket.write_all(b"N").await.unwrap();
            assert!(socket.read(&mut hello).await.unwrap() > 0);
            let version = b"server_version\x0013.4\x00";
            let mut answer = b"R\x00\x00\x00\x08\x00\x00\x00\x00S".to_vec();
            answer.extend((version.len() as u32 + 4).to_be_bytes());
            answer.extend(version);
            answer.extend(b"Z\x00\x00\x00\x05I");
            socket.write_all(&answer).await.unwrap();
            while socket.read(&mut hello).await.is_ok_and(|read| read > 0) {}
        };
        let config = PostgresConfig::at(format!("postgres://me:hunter2@127.0.0.1:{port}/x"));
        let (_, opened) = tokio::join!(old, pool(&config));
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let said = format!("127.0.0.1:{port} is PostgreSQL 13, and manman needs 14 or newer");
        assert_eq!(error.message(), said);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_its_name() {
        for (connections, secs, name) in [(1, 5, "connections: 1"), (16, 601, "acquire_timeout_secs: 601")] {
            let mut config = PostgresConfig::at("postgres://me@db/x");
            (config.connections, config.acquire_timeout_secs) = (connections, secs);
            let error = config.options().unwrap_err();
            assert!(error.kind() == ErrorKind::Config && error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn each_way_to_write_a_url_is_read() {
        for scheme in ["postgres", "postgresql", "postgresql+psycopg2", "postgres+asyncpg"] {
            let url = format!("{scheme}://me:p%40ss@db.example:5433/town?sslmode=verify-full");
            let options = PostgresConfig::at(url).options().unwrap();
            assert_eq!((options.get_host(), options.get_port()), ("db.example", 5433));
            assert_eq!((options.get_username(), options.get_database()), ("me", Some("town")));
        }
    }
}
