//! A look at a database that changes nothing, not even a file beside it.

use std::path::Path;

use manman_core::{
    error::{Error, Result},
    id::{ClusterId, SessionId, SgcId},
};
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};

use super::{map::Columns, translate::translate};
use crate::migrate::{MigrateError, Runner, Set, Version};

const OPERATION: &str = "examine the database";

/// What a database says to somebody who only looks.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examination {
    /// Where its schema is.
    pub version: Version,
    /// The latest version that this build knows.
    pub known: i64,
    /// Why this build cannot use the schema as it is, if it cannot.
    pub schema: Option<MigrateError>,
    /// What SQLite finds damaged; empty if all is sound.
    pub damage: Vec<String>,
    /// What it holds; nothing if the schema is not this build's.
    pub holds: Option<Holdings>,
}

/// What an installation has on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holdings {
    /// The installation.
    pub cluster: Option<ClusterId>,
    /// How many sessions are in each state.
    pub sessions: Vec<(String, i64)>,
    /// Sessions that have not ended, with their deployments' names.
    pub live: Vec<(SessionId, String)>,
    /// Deployments, those included that were deleted: their files stay.
    pub deployments: Vec<(SgcId, String)>,
}

/// Looks at the database at `path`, which has to be there. Makes, migrates and recovers
/// nothing; whoever writes to it meanwhile is not held up.
///
/// # Errors
/// If it cannot be opened or is no database.
pub async fn examine(path: &Path) -> Result<Examination> {
    let pool = open(path).await?;
    let runner = Runner::new(pool.clone(), Set::sqlite());
    let schema = runner.check().await.err();
    let version = runner.version().await?;
    let damage = rows(&pool, "PRAGMA quick_check(5)").await?;
    let damage = damage.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>();
    let mut damage = damage.map_err(failed)?;
    damage.retain(|line| line != "ok");
    let holds = if schema.is_none() { Some(holdings(&pool).await?) } else { None };
    pool.close().await;
    Ok(Examination { version, known: Set::sqlite().latest(), schema, damage, holds })
}

/// Without a log beside the database nobody has it open, and it is read as a file that does
/// not change. With one, the log is read too, by an index in memory where nobody keeps one
/// (sqlite.org/uri.html, sqlite.org/walformat.html): neither makes a file or takes a lock
/// that others wait for.
async fn open(path: &Path) -> Result<SqlitePool> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let way = if Path::new(&log).exists() { "mode=ro&readonly_shm=1" } else { "mode=ro&immutable=1" };
    let uri = format!("file:{}?{way}", encoded(path));
    let options = SqliteConnectOptions::new().filename(uri).read_only(true);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)
}

/// A path as a URI has it.
fn encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

async fn holdings(pool: &SqlitePool) -> Result<Holdings> {
    let mut holdings = Holdings::default();
    for row in rows(pool, "SELECT cluster FROM installation").await? {
        holdings.cluster = Some(row.word("cluster")?);
    }
    for row in rows(pool, "SELECT state, COUNT(*) FROM sessions GROUP BY state ORDER BY state").await? {
        holdings.sessions.push((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?));
    }
    let live = "SELECT s.id, d.name FROM sessions s JOIN deployments d ON d.id = s.sgc_id \
                WHERE s.state NOT IN ('stopped', 'completed', 'crashed', 'failed') ORDER BY s.id";
    for row in rows(pool, live).await? {
        holdings.live.push((SessionId(row.try_get(0).map_err(failed)?), row.try_get(1).map_err(failed)?));
    }
    for row in rows(pool, "SELECT id, name FROM deployments ORDER BY id").await? {
        holdings.deployments.push((SgcId(row.try_get(0).map_err(failed)?), row.try_get(1).map_err(failed)?));
    }
    Ok(holdings)
}

async fn rows(pool: &SqlitePool, sql: &'static str) -> Result<Vec<SqliteRow>> {
    sqlx::query(sql).fetch_all(pool).await.map_err(failed)
}

fn failed(error: sqlx::Error) -> Error {
    translate(OPERATION, error)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use manman_core::clock::SystemClock;

    use super::*;
    use crate::{SqliteConfig, SqliteStore};

    fn files(dir: &Path) -> BTreeSet<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect()
    }

    #[tokio::test]
    async fn a_look_changes_no_file_whether_or_not_the_store_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b%#?.db");
        let config = SqliteConfig::at(&path).migrated();
        let store = SqliteStore::open(&config, Arc::new(SystemClock)).await.unwrap();
        let before = files(dir.path());
        assert!(before.len() > 1, "no log beside it");
        let open = examine(&path).await.unwrap();
        let after = files(dir.path());
        let names = |all: &BTreeSet<(String, Vec<u8>)>| all.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after));
        // A store that was killed leaves its log behind.
        let killed = tempfile::tempdir().unwrap();
        for (name, bytes) in &before {
            std::fs::write(killed.path().join(name), bytes).unwrap();
        }
        examine(&killed.path().join("a b%#?.db")).await.unwrap();
        assert_eq!(files(killed.path()), before);
        store.close().await;
        let before = files(dir.path());
        let closed = examine(&path).await.unwrap();
        assert_eq!(files(dir.path()), before);
        assert_eq!(open.holds, closed.holds);
        assert!(closed.holds.unwrap().cluster.is_some());
        assert_eq!((closed.version.number, closed.damage.len()), (closed.known, 0));
    }

    #[tokio::test]
    async fn what_is_no_database_is_said_and_what_is_absent_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        assert!(examine(&path).await.is_err());
        assert!(!path.exists());
        std::fs::write(&path, b"this is no database".repeat(200)).unwrap();
        assert!(examine(&path).await.is_err());
    }
}
