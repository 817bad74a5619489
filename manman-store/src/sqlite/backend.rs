//! The store: its connections.

use std::sync::Arc;

use manman_core::{clock::Clock, error::Result, id::ClusterId};
use sqlx::SqlitePool;
use tokio::sync::Notify;

use super::{
    config::{SqliteConfig, writer},
    store::installation,
};
use crate::migrate::{Runner, Set};

/// A store in a SQLite file.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use manman_core::{clock::SystemClock, store::ClusterStore};
/// # use manman_store::{SqliteConfig, SqliteStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let config = SqliteConfig::at(dir.path().join("manman.db")).migrated();
/// let store = SqliteStore::open(&config, Arc::new(SystemClock)).await?;
/// let cluster = store.cluster().await?;
/// store.close().await;
/// let store = SqliteStore::open(&config, Arc::new(SystemClock)).await?;
/// assert_eq!(store.cluster().await?, cluster);
/// # Ok(())
/// # }
/// ```
pub struct SqliteStore {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cluster: ClusterId,
    pub(super) secret: Vec<u8>,
    /// Rung when something was put into the outbox.
    pub(super) posted: Notify,
}

impl SqliteStore {
    /// Opens the store, and makes the installation in a fresh one.
    ///
    /// # Errors
    /// `Config` if the file cannot be opened, or its schema is not what this build needs
    /// and may not be brought there; the message says what to do.
    pub async fn open(config: &SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let writer = writer(config).await?;
        let runner = Runner::new(writer.clone(), Set::sqlite());
        if config.migrate {
            runner.up().await?;
        } else {
            runner.check().await?;
        }
        let readers = config.pool_of_readers().await?;
        let (cluster, secret) = installation(&writer).await?;
        Ok(Self { cluster, secret, writer, readers, clock, posted: Notify::new() })
    }

    /// Closes all connections once what they do is done; what comes later fails.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
