//! What a copy of the store leaves to the dialect, for PostgreSQL.

use std::time::Duration;

use manman_core::error::{Error, ErrorKind, Result};
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::time::{Instant, sleep};

use super::{config::STORE, copy::Kind, dialect::Lock, schema, translate::translate};

/// Sees what is there at its first statement, and holds nobody up.
pub(super) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
pub(super) const INTEGER: &str = "BIGINT";
pub(super) const TABLES: &str = "SELECT tablename::text FROM pg_tables
    WHERE schemaname = current_schema() AND tablename <> 'schema_migrations' ORDER BY 1";
/// Who refers to whom.
pub(super) const REFERENCES: &str = "SELECT it.relname::text, other.relname::text FROM pg_constraint
    JOIN pg_class it ON it.oid = conrelid JOIN pg_class other ON other.oid = confrelid
    WHERE contype = 'f' AND connamespace = current_schema()::regnamespace";
pub(super) const COLUMNS: &str = "SELECT column_name::text, data_type::text FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position";
pub(super) const COUNTERS: &str = "SELECT table_name::text, coalesce(last_value, 0)
    FROM information_schema.columns
    JOIN pg_sequences ON schemaname = table_schema AND sequencename = table_name || '_' || column_name || '_seq'
    WHERE table_schema = current_schema() AND is_identity = 'YES'";

/// What a column of this type holds.
pub(super) fn kind(name: &str) -> Option<Kind> {
    match name {
        "bigint" | "integer" => Some(Kind::Integer),
        "boolean" => Some(Kind::Flag),
        "text" => Some(Kind::Text),
        "bytea" => Some(Kind::Bytes),
        _ => None,
    }
}

/// The connections of a process that has just ended are gone by then.
const ENDED: Duration = Duration::from_secs(3);

/// Keeps migrations and deeds out until the end of the transaction.
///
/// # Errors
/// `Busy` if a process uses the store: it would go on by what it knows of the old one.
pub(super) async fn alone(tx: &mut Transaction<'_, Postgres>) -> Result<()> {
    schema::lock(tx).await?;
    let failed = |error| translate("copy the store", error);
    let query = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(Lock::Everything.number());
    query.execute(&mut **tx).await.map_err(failed)?;
    let until = Instant::now() + ENDED;
    loop {
        // A transaction would see what it saw first.
        let query = sqlx::query("SELECT pg_stat_clear_snapshot()");
        query.execute(&mut **tx).await.map_err(failed)?;
        let sql = "SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = $1 LIMIT 1";
        let found = sqlx::query(sql).bind(STORE).fetch_optional(&mut **tx).await.map_err(failed)?;
        if found.is_none() {
            return Ok(());
        }
        if Instant::now() > until {
            let why = "something uses this store: end control-api and event-processor first; where their machine \
                died, their connections are gone after a minute";
            return Err(Error::new(ErrorKind::Busy, "copy the store", why));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Gives ids of a table out from beyond `counter`, if it is not further already.
pub(super) async fn count_on(tx: &mut PgConnection, table: &str, counter: i64) -> Result<()> {
    let sql = "SELECT setval(format('%I', sequencename)::regclass, greatest(coalesce(last_value, 0), $2))
        FROM information_schema.columns
        JOIN pg_sequences ON schemaname = table_schema AND sequencename = table_name || '_' || column_name || '_seq'
        WHERE table_schema = current_schema() AND is_identity = 'YES' AND table_name = $1";
    let query = sqlx::query(sql).bind(table.to_owned()).bind(counter);
    query.execute(tx).await.map(drop).map_err(|error| translate("copy the store", error))
}
