//! What a store knows of the installation, and reading.

use std::fmt;

use async_trait::async_trait;
use manman_core::{
    clock::Timestamp,
    error::Result,
    id::ClusterId,
    store::{AuditEntry, AuditStore, ClusterStore, Page},
};
use sqlx::Database;
use uuid::Uuid;

use super::{
    SqlStore,
    dialect::{self, Db, Row},
    map::{Columns, audit_entry, limit},
};

pub(super) type Query<'q> = sqlx::query::Query<'q, Db, <Db as Database>::Arguments>;

/// The installation, made if there is none: whoever comes first makes it for all.
pub(super) async fn installation(pool: &sqlx::Pool<Db>) -> Result<(ClusterId, Vec<u8>)> {
    const NAME: &str = "open the store";
    let find = || sqlx::query("SELECT cluster, secret FROM installation");
    let row = match dialect::read_optional(pool, NAME, find()).await? {
        Some(row) => row,
        None => {
            // The system's own random source; 244 bits of it.
            let secret: Vec<u8> =
                [Uuid::new_v4(), Uuid::new_v4()].iter().flat_map(|id| *id.as_bytes()).collect();
            let sql =
                "INSERT INTO installation (one, cluster, secret) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
            let query = sqlx::query(sql).bind(ClusterId::random().to_string()).bind(secret);
            dialect::read_optional(pool, NAME, query).await?;
            let made = dialect::read_optional(pool, NAME, find()).await?;
            made.expect("it is there, whoever made it")
        }
    };
    Ok((row.word("cluster")?, row.bytes("secret")?))
}

impl SqlStore {
    pub(super) async fn row(&self, operation: &'static str, query: Query<'_>) -> Result<Option<Row>> {
        dialect::read_optional(self.readers(), operation, query).await
    }

    pub(super) async fn rows(&self, operation: &'static str, query: Query<'_>) -> Result<Vec<Row>> {
        dialect::read_all(self.readers(), operation, query).await
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(dialect::STORE).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

#[async_trait]
impl ClusterStore for SqlStore {
    async fn cluster(&self) -> Result<ClusterId> {
        Ok(self.cluster)
    }

    async fn cluster_secret(&self) -> Result<Vec<u8>> {
        Ok(self.secret.clone())
    }

    async fn now(&self) -> Result<Timestamp> {
        self.moment().await
    }
}

#[async_trait]
impl AuditStore for SqlStore {
    async fn audit_list(&self, page: Page<i64>) -> Result<Vec<AuditEntry>> {
        let query = sqlx::query("SELECT * FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2")
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(limit(page.limit));
        let rows = self.rows("audit_list", query).await?;
        rows.iter().map(audit_entry).collect()
    }
}
