//! The store: its connections, and what it knows of the installation.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use manman_core::{
    clock::{Clock, Timestamp},
    error::Result,
    id::ClusterId,
    store::{AuditEntry, AuditStore, ClusterStore, Page},
};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteArguments, SqliteRow},
};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    config::{SqliteConfig, writer},
    map::{Columns, limit},
    translate::translate,
};
use crate::migrate::{Runner, Set};

pub(super) type Query = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

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
    readers: SqlitePool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cluster: ClusterId,
    secret: Vec<u8>,
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
        let failed = |error| translate("open the store", error);
        // The system's own random source; 244 bits of it.
        let secret: Vec<u8> = [Uuid::new_v4(), Uuid::new_v4()].iter().flat_map(|id| *id.as_bytes()).collect();
        sqlx::query(
            "INSERT INTO installation (one, cluster, secret) VALUES (1, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(ClusterId::random().to_string())
        .bind(secret)
        .execute(&writer)
        .await
        .map_err(failed)?;
        let row = sqlx::query("SELECT cluster, secret FROM installation").fetch_one(&writer).await;
        let row = row.map_err(failed)?;
        Ok(Self {
            cluster: row.word("cluster")?,
            secret: row.bytes("secret")?,
            writer,
            readers,
            clock,
            posted: Notify::new(),
        })
    }

    /// Closes all connections once what they do is done; what comes later fails.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(super) async fn row(&self, operation: &'static str, query: Query) -> Result<Option<SqliteRow>> {
        query.fetch_optional(&self.readers).await.map_err(|error| translate(operation, error))
    }

    pub(super) async fn rows(&self, operation: &'static str, query: Query) -> Result<Vec<SqliteRow>> {
        query.fetch_all(&self.readers).await.map_err(|error| translate(operation, error))
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

#[async_trait]
impl ClusterStore for SqliteStore {
    async fn cluster(&self) -> Result<ClusterId> {
        Ok(self.cluster)
    }

    async fn cluster_secret(&self) -> Result<Vec<u8>> {
        Ok(self.secret.clone())
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit_list(&self, page: Page<i64>) -> Result<Vec<AuditEntry>> {
        let query = sqlx::query("SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?")
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(limit(page.limit));
        let rows = self.rows("audit_list", query).await?;
        rows.iter().map(super::map::audit_entry).collect()
    }
}
