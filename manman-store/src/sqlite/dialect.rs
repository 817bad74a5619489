//! What the shared deeds leave to the dialect, for SQLite. One connection writes, so a deed
//! that has begun is alone: nothing else has to be held.

use manman_core::{clock::Timestamp, error::Result};
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{SqliteStore, deed::Scope, store::Query, translate::translate};

pub(super) type Db = Sqlite;
pub(super) type Row = sqlx::sqlite::SqliteRow;
pub(super) type Tx = Transaction<'static, Sqlite>;

pub(super) const STORE: &str = "SqliteStore";
/// The highest session id that was ever given.
pub(super) const HIGHEST_SESSION: &str = "SELECT seq AS highest FROM sqlite_sequence WHERE name = 'sessions'";

/// Begins a deed once all those before it are done.
pub(super) async fn begin(store: &SqliteStore, name: &'static str, _scope: Scope) -> Result<(Tx, Timestamp)> {
    let tx = store.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|error| translate(name, error))?;
    Ok((tx, store.clock.now()))
}

pub(super) async fn commit(tx: Tx, name: &'static str) -> Result<()> {
    tx.commit().await.map_err(|error| translate(name, error))
}

pub(super) async fn execute(tx: &mut Tx, name: &'static str, query: Query<'_>) -> Result<u64> {
    let done = query.execute(&mut **tx).await;
    done.map(|done| done.rows_affected()).map_err(|error| translate(name, error))
}

pub(super) async fn fetch_optional(tx: &mut Tx, name: &'static str, query: Query<'_>) -> Result<Option<Row>> {
    query.fetch_optional(&mut **tx).await.map_err(|error| translate(name, error))
}

pub(super) async fn fetch_all(tx: &mut Tx, name: &'static str, query: Query<'_>) -> Result<Vec<Row>> {
    query.fetch_all(&mut **tx).await.map_err(|error| translate(name, error))
}

pub(super) async fn read_optional(
    pool: &SqlitePool,
    name: &'static str,
    query: Query<'_>,
) -> Result<Option<Row>> {
    query.fetch_optional(pool).await.map_err(|error| translate(name, error))
}

pub(super) async fn read_all(pool: &SqlitePool, name: &'static str, query: Query<'_>) -> Result<Vec<Row>> {
    query.fetch_all(pool).await.map_err(|error| translate(name, error))
}

/// Held since the deed began.
pub(super) async fn hold_outbox(_tx: &mut Tx, _name: &'static str) -> Result<()> {
    Ok(())
}

/// Held since the deed began.
pub(super) async fn hold_key(_tx: &mut Tx, _name: &'static str, _key: i64) -> Result<()> {
    Ok(())
}

/// Nobody listens but this process, which is told otherwise.
pub(super) async fn ring(_tx: &mut Tx, _name: &'static str) -> Result<()> {
    Ok(())
}

impl SqliteStore {
    /// The moment it is now.
    pub(super) async fn moment(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    /// Whether the relay of this process is the one that may carry.
    pub(super) async fn leads(&self) -> Result<bool> {
        Ok(true)
    }

    /// Whether it was when that was last asked.
    pub(super) fn led(&self) -> bool {
        true
    }

    /// Completes when another process put something into the outbox.
    pub(super) async fn posted_elsewhere(&self) {
        std::future::pending().await
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }
}
