//! What the schema itself refuses, whoever writes, and how the file is kept.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/ground.rs"]
mod ground;

use std::{path::PathBuf, sync::Arc};

use manman_core::{
    clock::SystemClock,
    error::ErrorKind,
    store::{ServerStore, Source},
    wire::HostReport,
};
use manman_store::{SqliteConfig, SqliteStore, sqlite};
use sqlx::{Row, SqlitePool};
use tempfile::TempDir;

async fn fresh() -> (TempDir, PathBuf, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manman.db");
    let config = SqliteConfig::at(&path).migrated();
    let store = SqliteStore::open(&config, Arc::new(SystemClock)).await.unwrap();
    (dir, path, store)
}

/// A database with a server, a deployment and a session, written past the store.
async fn filled() -> (TempDir, SqlitePool) {
    let (dir, path, store) = fresh().await;
    store.close().await;
    let pool = sqlite::writer(&SqliteConfig::at(path)).await.unwrap();
    let sql = r#"
        INSERT INTO servers VALUES (1, 'box', 'online', 0, NULL, 'prod', '{}', NULL, 1, 'm', 'e', '{}', 0, NULL);
        INSERT INTO games VALUES (1, 'game', NULL, '{}', 0, NULL);
        INSERT INTO game_configs VALUES (1, 1, 'config', '{}', 0, NULL);
        INSERT INTO deployments VALUES (1, 'town', 1, 1, '[]', 'active', '{}', 0, NULL);
        INSERT INTO server_ports VALUES (1, 3979, 'UDP', 1, 0);
        INSERT INTO sessions VALUES (1, 1, 1, '{}', 1, 'crashed', NULL, NULL, 1, '{}', 1, 0, 0, NULL, NULL,
            5, 1, 0, '[]', NULL, NULL);
        INSERT INTO sessions VALUES (2, 1, 1, '{}', 1, 'lost', NULL, NULL, 1, '{}', 1, 0, 0, NULL, NULL,
            NULL, NULL, 0, '[]', NULL, NULL);
    "#;
    sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    (dir, pool)
}

#[tokio::test]
async fn what_must_never_be_is_refused_by_the_schema() {
    let (_dir, pool) = filled().await;
    let second = "INSERT INTO sessions SELECT 3, sgc_id, server_id, want, generation, 'pending', phase, progress,
        attempt, reason, revision, created_at, not_after, started_at, ready_at, NULL, NULL, 0, '[]', NULL, NULL
        FROM sessions WHERE id = 2";
    for (what, sql) in [
        ("a second live session", second),
        ("a second holder of a port", "INSERT INTO server_ports VALUES (1, 3979, 'UDP', 1, 1)"),
        ("port 0", "INSERT INTO server_ports VALUES (1, 0, 'UDP', 1, 1)"),
        ("a port beyond 65535", "INSERT INTO server_ports VALUES (1, 65536, 'UDP', 1, 1)"),
        ("a protocol that is none", "INSERT INTO server_ports VALUES (1, 1, 'udp', 1, 1)"),
        ("an end that changes", "UPDATE sessions SET state = 'running', ended_at = NULL WHERE id = 1"),
        ("an end that changes in part", "UPDATE sessions SET exit_code = 2 WHERE id = 1"),
        ("an end without its time", "UPDATE sessions SET state = 'stopped' WHERE id = 2"),
        ("a state that is none", "UPDATE sessions SET state = 'happy' WHERE id = 2"),
        ("a phase of what does not start", "UPDATE sessions SET phase = 'pulling' WHERE id = 2"),
        ("a name taken twice", "INSERT INTO games VALUES (2, 'game', NULL, '{}', 0, NULL)"),
        ("a text for a number", "UPDATE sessions SET attempt = 'many' WHERE id = 2"),
        ("no JSON where JSON is", "UPDATE sessions SET reason = 'because' WHERE id = 2"),
        ("what refers to nothing", "UPDATE sessions SET sgc_id = 99 WHERE id = 2"),
        ("a game with configs that goes", "DELETE FROM games"),
    ] {
        assert!(sqlx::query(sql).execute(&pool).await.is_err(), "{what} was taken");
    }
}

#[tokio::test]
async fn no_query_of_the_hot_paths_reads_a_whole_table() {
    let (_dir, pool) = filled().await;
    for sql in [
        "SELECT * FROM sessions WHERE server_id = 1
            AND state IN ('pending', 'starting', 'running', 'stopping', 'lost') ORDER BY id",
        "SELECT * FROM sessions WHERE sgc_id = 1
            AND state IN ('pending', 'starting', 'running', 'stopping', 'lost')",
        "SELECT * FROM sessions WHERE sgc_id = 1 ORDER BY id DESC LIMIT 1",
        "SELECT * FROM sessions WHERE state = 'pending' AND not_after <= 1 ORDER BY not_after",
        "SELECT id FROM commands WHERE outcome IS NULL AND not_after <= 1 ORDER BY not_after",
        "SELECT message FROM inbox WHERE at <= 1 LIMIT 100",
        "SELECT * FROM outbox WHERE hints = 1",
        "SELECT min(place) FROM outbox WHERE key = 'command.1'",
        "SELECT min(key) FROM outbox WHERE key > 'command.1'",
        "SELECT actor FROM idempotency_keys WHERE at <= 1 LIMIT 100",
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        for row in sqlx::query(explain).fetch_all(&pool).await.unwrap() {
            let detail: String = row.get("detail");
            assert!(!detail.starts_with("SCAN"), "{sql}: {detail}");
        }
    }
}

#[tokio::test]
async fn commits_are_synced_and_readers_do_not_wait() {
    let (_dir, path, _store) = fresh().await;
    let pool = sqlite::writer(&SqliteConfig::at(path)).await.unwrap();
    let pragma = async |sql: &'static str| sqlx::query(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(pragma("PRAGMA journal_mode").await.get::<String, _>(0), "wal");
    assert_eq!(pragma("PRAGMA synchronous").await.get::<i64, _>(0), 2);
    assert_eq!(pragma("PRAGMA foreign_keys").await.get::<i64, _>(0), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_their_owners_alone() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manman.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let config = SqliteConfig::at(&path).migrated();
    let _store = SqliteStore::open(&config, Arc::new(SystemClock)).await.unwrap();
    let mut files = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and its shared memory");
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for (readers, secs, name) in
        [(0, 10, "readers: "), (65, 10, "readers: "), (4, 0, "acquire_timeout_secs: ")]
    {
        let mut config = SqliteConfig::at(dir.path().join("manman.db")).migrated();
        (config.readers, config.acquire_timeout_secs) = (readers, secs);
        let error = SqliteStore::open(&config, Arc::new(SystemClock)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let nowhere = SqliteConfig::at(dir.path().join("no/such/dir.db")).migrated();
    let error = SqliteStore::open(&nowhere, clock.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("no/such/dir.db"), "{error}");

    let path = dir.path().join("letter.txt");
    std::fs::write(&path, "Dear reader, this is no database. ".repeat(100)).unwrap();
    let error = SqliteStore::open(&SqliteConfig::at(&path).migrated(), clock).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
}

/// Ids of messages are kept for a week, and then not for ever.
#[tokio::test]
async fn what_was_heard_long_ago_is_forgotten() {
    let (_dir, path, store) = fresh().await;
    let host = ground::server(&store, "box").await;
    let pool = sqlite::writer(&SqliteConfig::at(path)).await.unwrap();
    let old = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
        INSERT INTO inbox SELECT 'old-' || n, 99, 1, n, 0 FROM n";
    sqlx::raw_sql(old).execute(&pool).await.unwrap();
    // Every 64th of these ids forgets twice as many.
    for number in 1..=192 {
        let message = uuid::Uuid::from_u128(number);
        let source = Source { message, server: host.server, epoch: host.epoch, sequence: number as i64 };
        store.server_report(source, &HostReport::Online).await.unwrap();
    }
    let left: i64 = sqlx::query("SELECT count(*) FROM inbox").fetch_one(&pool).await.unwrap().get(0);
    assert_eq!(left, 192);
}
