//! What a copy of the store leaves to the dialect, for SQLite.

use manman_core::error::Result;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{copy::Kind, translate::translate};

/// Sees what is there at its first statement (WAL), and holds nobody up.
pub(super) const SNAPSHOT: &str = "BEGIN";
pub(super) const INTEGER: &str = "INTEGER";
pub(super) const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table'
    AND name NOT LIKE 'sqlite_%' AND name <> 'schema_migrations' ORDER BY name";
/// Who refers to whom.
pub(super) const REFERENCES: &str = "SELECT it.name, other.\"table\"
    FROM sqlite_schema it, pragma_foreign_key_list(it.name) other WHERE it.type = 'table'";
pub(super) const COLUMNS: &str = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid";
pub(super) const COUNTERS: &str = "SELECT name, seq FROM sqlite_sequence";

/// What a column of this type holds.
pub(super) fn kind(name: &str) -> Option<Kind> {
    match name {
        "INTEGER" => Some(Kind::Integer),
        "TEXT" => Some(Kind::Text),
        "BLOB" => Some(Kind::Bytes),
        _ => None,
    }
}

/// It began with the lock.
pub(super) async fn alone(_tx: &mut Transaction<'_, Sqlite>) -> Result<()> {
    Ok(())
}

/// Gives ids of a table out from beyond `counter`, if it is not further already.
pub(super) async fn count_on(tx: &mut SqliteConnection, table: &str, counter: i64) -> Result<()> {
    let failed = |error| translate("copy the store", error);
    let known = sqlx::query("UPDATE sqlite_sequence SET seq = max(seq, $2) WHERE name = $1");
    let done = known.bind(table.to_owned()).bind(counter).execute(&mut *tx).await.map_err(failed)?;
    if done.rows_affected() == 0 {
        let new = sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)");
        new.bind(table.to_owned()).bind(counter).execute(&mut *tx).await.map_err(failed)?;
    }
    Ok(())
}
