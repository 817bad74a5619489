//! What the migration runner leaves to the dialect, for SQLite.

use manman_core::error::{Error, Result};
use sqlx::{Row as _, Sqlite, Transaction};

use super::translate::translate;

/// Takes the one lock on writing, or waits for it.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Tables are rebuilt by dropping them, which must not take what refers to them along; whether
/// all still fits is checked before the commit (sqlite.org/lang_altertable.html, section 7).
/// Another runner may take its time.
pub(super) const SETTINGS: &str = "PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 60000";
pub(super) const HAS_RECORD: &str =
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'";
pub(super) const RECORD: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
        version INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        checksum TEXT NOT NULL,
        dirty INTEGER NOT NULL DEFAULT 0 CHECK (dirty IN (0, 1)),
        applied_at INTEGER NOT NULL
    ) STRICT";

/// It began with the lock.
pub(super) async fn lock(_tx: &mut Transaction<'_, Sqlite>) -> Result<()> {
    Ok(())
}

/// Nobody comes after it before it is done.
pub(super) async fn hurry(_tx: &mut Transaction<'_, Sqlite>) -> Result<()> {
    Ok(())
}

/// What others hold was waited for at its beginning.
pub(super) fn is_held_up(_error: &Error) -> bool {
    false
}

/// A table that refers to what is not there.
pub(super) async fn broken(tx: &mut Transaction<'_, Sqlite>) -> Result<Option<String>> {
    let failed = |error| translate("migrate", error);
    let row = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut **tx).await.map_err(failed)?;
    row.map(|row| row.try_get(0).map_err(failed)).transpose()
}
