//! Where the database is and how it is opened.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use manman_core::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use sqlx::{
    Connection as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::translate::translate;

/// How the store over SQLite is opened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// The file; made, readable for its owner alone, if it is not there. Its directory is.
    pub path: PathBuf,
    /// Whether the schema is brought to what this build needs, rather than refused, when
    /// it is older. Default `false`. A newer one is always refused.
    #[serde(default)]
    pub migrate: bool,
    /// Connections that read at the same time, 1 to 64. Default 4.
    #[serde(default = "readers")]
    pub readers: u32,
    /// How long to wait for another process that writes, in seconds, 1 to 60. Default 5.
    #[serde(default = "busy_timeout_secs")]
    pub busy_timeout_secs: u32,
    /// How long a deed waits for its turn in this process, in seconds, 1 to 600. Default 10.
    #[serde(default = "acquire_timeout_secs")]
    pub acquire_timeout_secs: u32,
}

fn readers() -> u32 {
    4
}

fn busy_timeout_secs() -> u32 {
    5
}

fn acquire_timeout_secs() -> u32 {
    10
}

impl SqliteConfig {
    /// The file at `path` with every default.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            migrate: false,
            readers: readers(),
            busy_timeout_secs: busy_timeout_secs(),
            acquire_timeout_secs: acquire_timeout_secs(),
        }
    }

    /// The same, with the schema brought to what this build needs.
    pub fn migrated(self) -> Self {
        Self { migrate: true, ..self }
    }

    fn validate(&self) -> Result<()> {
        for (field, value, least, most) in [
            ("readers", self.readers, 1, 64),
            ("busy_timeout_secs", self.busy_timeout_secs, 1, 60),
            ("acquire_timeout_secs", self.acquire_timeout_secs, 1, 600),
        ] {
            if !(least..=most).contains(&value) {
                let message = format!("{field}: {value} is not within {least} to {most}");
                return Err(Error::new(ErrorKind::Config, "open the database", message));
            }
        }
        Ok(())
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(u64::from(self.busy_timeout_secs)))
            // Every statement of the store, with room.
            .statement_cache_capacity(256)
    }

    pub(super) async fn pool_of_readers(&self) -> Result<SqlitePool> {
        let options = self.options().pragma("query_only", "ON");
        let pool = self.pool_options().max_connections(self.readers);
        pool.connect_with(options).await.map_err(|error| translate("open the database", error))
    }

    fn pool_options(&self) -> SqlitePoolOptions {
        // A file does not go away: connections need no tests and no renewal.
        SqlitePoolOptions::new()
            .acquire_timeout(Duration::from_secs(u64::from(self.acquire_timeout_secs)))
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
    }
}

/// Opens the database for writing, with the one connection that writes. Makes the file if
/// it is not there; leaves the schema alone. For the migration
/// [`Runner`](crate::migrate::Runner).
///
/// # Errors
/// `Config` if a value is out of bounds, or the file cannot be made or is no database.
pub async fn writer(config: &SqliteConfig) -> Result<SqlitePool> {
    config.validate()?;
    prepare(&config.path)?;
    let pool = config.pool_options().max_connections(1).after_release(|connection, _| {
        Box::pin(async move {
            // What was asked of it before is done then, a rollback too.
            connection.ping().await?;
            // On a full disk SQLite ends a transaction by itself (lang_transaction.html, 2.3),
            // which the driver never learns: on that connection it would begin none again.
            Ok(!connection.is_in_transaction())
        })
    });
    pool.connect_with(config.options()).await.map_err(|error| translate("open the database", error))
}

/// Makes the file, or shuts others out of it. SQLite gives its side files the same mode.
fn prepare(path: &Path) -> Result<()> {
    let mut open = fs::OpenOptions::new();
    open.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let refused = |error: std::io::Error| {
        let message = format!("{} cannot be opened for writing", path.display());
        Error::new(ErrorKind::Config, "open the database", message).because(error)
    };
    let file = open.open(path).map_err(refused)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(refused)?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(refused)?;
        }
    }
    drop(file);
    Ok(())
}
