//! What the migration runner leaves to the dialect, for PostgreSQL.

use manman_core::error::Result;
use sqlx::{Postgres, Transaction};

pub(super) use super::translate::is_held_up;
use super::{dialect::Lock, translate::translate};

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// A large table takes its time, and so may another runner.
pub(super) const SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '60s'; \
     SET idle_in_transaction_session_timeout = 0";
/// The longest that a step waits for what others hold: whoever comes after it waits behind it.
const HURRY: &str = "SET LOCAL lock_timeout = '2s'";
pub(super) const HAS_RECORD: &str = "SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL";
pub(super) const RECORD: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
        version BIGINT PRIMARY KEY,
        name TEXT NOT NULL,
        checksum TEXT NOT NULL,
        dirty BOOLEAN NOT NULL DEFAULT FALSE,
        applied_at BIGINT NOT NULL
    )";

/// One runner at a time: until the end of the transaction.
pub(super) async fn lock(tx: &mut Transaction<'_, Postgres>) -> Result<()> {
    let query = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(Lock::Schema.number());
    query.execute(&mut **tx).await.map(drop).map_err(|error| translate("migrate", error))
}

/// From here on the step gives up soon what others hold.
pub(super) async fn hurry(tx: &mut Transaction<'_, Postgres>) -> Result<()> {
    sqlx::raw_sql(HURRY).execute(&mut **tx).await.map(drop).map_err(|error| translate("migrate", error))
}

/// The database itself minds what refers to what.
pub(super) async fn broken(_tx: &mut Transaction<'_, Postgres>) -> Result<Option<String>> {
    Ok(None)
}
