//! The migration runner on SQLite.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{path::Path, sync::Arc};

use manman_core::{
    clock::SystemClock,
    error::{Error, ErrorKind},
};
use manman_store::{
    SqliteConfig, SqliteStore,
    migrate::{Direction, MigrateError, Migration, Runner, Set, Standing, Version},
    sqlite,
};
use sqlx::{Row, SqlitePool};
use tempfile::TempDir;

/// A little history of a schema; the third step rebuilds a table that another refers to.
const HISTORY: [Migration; 3] = [
    Migration {
        version: 1,
        name: "0001_hosts",
        up: "CREATE TABLE hosts (id INTEGER PRIMARY KEY, name TEXT) STRICT;
             CREATE TABLE games (id INTEGER PRIMARY KEY, host INTEGER REFERENCES hosts (id) ON DELETE CASCADE) STRICT;",
        down: "DROP TABLE games; DROP TABLE hosts;",
    },
    Migration {
        version: 2,
        name: "0002_index",
        up: "CREATE INDEX games_host ON games (host);
             CREATE TRIGGER games_stay BEFORE DELETE ON games BEGIN SELECT RAISE(ABORT, 'no'); END;",
        down: "DROP TRIGGER games_stay; DROP INDEX games_host;",
    },
    Migration {
        version: 3,
        name: "0003_names",
        up: "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '') STRICT;
             INSERT INTO new SELECT id, coalesce(name, '') FROM hosts;
             DROP TABLE hosts; ALTER TABLE new RENAME TO hosts;",
        down: "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT) STRICT;
               INSERT INTO new SELECT id, name FROM hosts;
               DROP TABLE hosts; ALTER TABLE new RENAME TO hosts;",
    },
];

async fn pool(path: &Path) -> SqlitePool {
    let mut config = SqliteConfig::at(path);
    // Who waits for its turn on a disk that hangs waits for long.
    config.busy_timeout_secs = 60;
    sqlite::writer(&config).await.unwrap()
}

/// A database of its own, and a runner of `set` on it.
async fn fresh(set: Set) -> (TempDir, SqlitePool, Runner) {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(&dir.path().join("test.db")).await;
    (dir, pool.clone(), Runner::new(pool, set))
}

/// Everything that is in the schema but the record of migrations.
async fn schema(pool: &SqlitePool) -> Vec<(String, String)> {
    let sql = "SELECT name, coalesce(sql, '') AS sql FROM sqlite_schema
        WHERE name NOT LIKE 'sqlite_%' AND name <> 'schema_migrations' ORDER BY name";
    let rows = sqlx::query(sql).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| (row.get("name"), row.get("sql"))).collect()
}

async fn run(pool: &SqlitePool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

fn version(number: i64) -> Version {
    Version { number, dirty: false }
}

#[tokio::test]
async fn up_makes_everything_and_down_leaves_nothing() {
    for set in [Set::sqlite(), Set::new(HISTORY)] {
        let (_dir, pool, runner) = fresh(set.clone()).await;
        assert_eq!(runner.version().await.unwrap(), version(0));
        assert_eq!(runner.up().await.unwrap().len(), set.all().len());
        assert_eq!(runner.version().await.unwrap(), version(set.latest()));
        assert!(!schema(&pool).await.is_empty());
        assert!(runner.up().await.unwrap().is_empty());
        runner.check().await.unwrap();

        let ran = runner.down().await.unwrap();
        assert!(ran.iter().all(|step| step.direction == Direction::Down));
        let sql = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'";
        assert!(sqlx::query(sql).fetch_all(&pool).await.unwrap().is_empty());
        assert_eq!(runner.version().await.unwrap(), version(0));
        assert!(runner.down().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn each_step_up_down_and_up_gives_the_same_schema() {
    for set in [Set::sqlite(), Set::new(HISTORY)] {
        let (_dir, pool, runner) = fresh(set.clone()).await;
        for _ in set.all() {
            let before = schema(&pool).await;
            assert_eq!(runner.steps(1).await.unwrap().len(), 1);
            let after = schema(&pool).await;
            assert_ne!(after, before);
            runner.steps(-1).await.unwrap();
            // A rebuilt table comes back under a quoted name, as SQLite renames it.
            assert_eq!(unquoted(schema(&pool).await), unquoted(before));
            runner.steps(1).await.unwrap();
            assert_eq!(schema(&pool).await, after);
        }
        assert!(runner.steps(5).await.unwrap().is_empty());
        assert_eq!(runner.steps(-100).await.unwrap().len(), set.all().len());
    }
}

fn unquoted(schema: Vec<(String, String)>) -> Vec<(String, String)> {
    schema.into_iter().map(|(name, sql)| (name, sql.replace('"', ""))).collect()
}

#[tokio::test]
async fn goto_goes_both_ways() {
    let (_dir, _pool, runner) = fresh(Set::new(HISTORY)).await;
    for (target, steps) in [(2, 2), (3, 1), (1, 2), (1, 0), (3, 2), (0, 3)] {
        assert_eq!(runner.goto(target).await.unwrap().len(), steps, "to {target}");
        assert_eq!(runner.version().await.unwrap(), version(target));
    }
    let error = runner.goto(4).await.unwrap_err();
    assert!(matches!(error, MigrateError::NoSuchVersion { version: 4, known: 3 }), "{error:?}");
    assert!(matches!(runner.goto(-1).await, Err(MigrateError::NoSuchVersion { .. })));
}

#[tokio::test]
async fn a_rebuilt_table_takes_nothing_along() {
    let (_dir, pool, runner) = fresh(Set::new(HISTORY)).await;
    runner.goto(2).await.unwrap();
    run(&pool, "INSERT INTO hosts VALUES (1, NULL); INSERT INTO games VALUES (7, 1)").await;
    runner.goto(3).await.unwrap();
    runner.goto(1).await.unwrap();
    assert_eq!(sqlx::query("SELECT * FROM games").fetch_all(&pool).await.unwrap().len(), 1);
    // The pool's own connection still minds references.
    assert!(sqlx::query("INSERT INTO games VALUES (8, 99)").execute(&pool).await.is_err());
}

#[tokio::test]
async fn a_failed_migration_leaves_the_version_before() {
    let bad = Migration {
        version: 3,
        name: "0003_bad",
        up: "CREATE TABLE half (id INTEGER) STRICT; INSERT INTO nowhere VALUES (1);",
        down: "DROP TABLE half;",
    };
    let (_dir, pool, runner) = fresh(Set::new([HISTORY[0], HISTORY[1], bad])).await;
    let error = runner.up().await.unwrap_err();
    assert!(matches!(error, MigrateError::Failed { version: 3, direction: Direction::Up, .. }), "{error:?}");
    assert_eq!(runner.version().await.unwrap(), version(2));
    assert!(schema(&pool).await.iter().all(|(name, _)| name != "half"));

    let dangling = Migration {
        version: 3,
        name: "0003_dangling",
        up: "INSERT INTO hosts VALUES (1, 'a'); INSERT INTO games VALUES (1, 1); DELETE FROM hosts;",
        down: "SELECT 1;",
    };
    let runner = Runner::new(pool.clone(), Set::new([HISTORY[0], HISTORY[1], dangling]));
    let error = Error::from(runner.up().await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(runner.version().await.unwrap(), version(2));
}

#[tokio::test]
async fn a_migration_that_died_half_way_stops_everything_until_it_is_forced() {
    let (_dir, pool, runner) = fresh(Set::new(HISTORY)).await;
    runner.goto(2).await.unwrap();
    run(&pool, "UPDATE schema_migrations SET dirty = 1 WHERE version = 2").await;
    assert_eq!(runner.version().await.unwrap(), Version { number: 2, dirty: true });
    for refused in [runner.up().await, runner.down().await, runner.goto(1).await] {
        assert!(matches!(refused, Err(MigrateError::Dirty { version: 2 })), "{refused:?}");
    }
    assert!(matches!(runner.check().await, Err(MigrateError::Dirty { version: 2 })));
    runner.force(2).await.unwrap();
    assert_eq!(runner.version().await.unwrap(), version(2));
    assert_eq!(runner.up().await.unwrap().len(), 1);
    runner.force(1).await.unwrap();
    assert_eq!(runner.version().await.unwrap(), version(1));
    assert!(matches!(runner.force(9).await, Err(MigrateError::NoSuchVersion { .. })));
}

#[tokio::test]
async fn a_migration_changed_after_it_was_applied_is_refused() {
    let (_dir, pool, runner) = fresh(Set::new(HISTORY)).await;
    runner.goto(2).await.unwrap();
    let changed = Migration { up: "CREATE TABLE other (id INTEGER) STRICT;", ..HISTORY[0] };
    let other = Runner::new(pool, Set::new([changed, HISTORY[1], HISTORY[2]]));
    assert!(matches!(other.up().await, Err(MigrateError::Changed { version: 1 })));
    let standings: Vec<Standing> =
        other.status().await.unwrap().into_iter().map(|status| status.standing).collect();
    assert_eq!(standings, [Standing::Changed, Standing::Applied, Standing::Pending]);
    other.force(2).await.unwrap();
    assert_eq!(other.up().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runners_at_once_take_turns() {
    for round in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.db");
        pool(&path).await.close().await;
        let mut runners = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let path = path.clone();
            runners.spawn(async move {
                Runner::new(pool(&path).await, Set::new(HISTORY)).up().await.unwrap().len()
            });
        }
        let ran: usize = runners.join_all().await.into_iter().sum();
        assert_eq!(ran, HISTORY.len(), "round {round}");
    }
}

#[tokio::test]
async fn a_schema_that_is_not_this_builds_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = SqliteConfig::at(dir.path().join("manman.db"));
    let clock = Arc::new(SystemClock);
    let older = SqliteStore::open(&config, clock.clone()).await.unwrap_err();
    assert_eq!(older.kind(), ErrorKind::Config);
    assert!(older.to_string().contains("`manman up`"), "{older}");

    SqliteStore::open(&config.clone().migrated(), clock.clone()).await.unwrap().close().await;
    SqliteStore::open(&config, clock.clone()).await.unwrap().close().await;

    let pool = pool(&config.path).await;
    run(&pool, "INSERT INTO schema_migrations VALUES (1000, '1000_future', '', 0, 0)").await;
    let status = Runner::new(pool.clone(), Set::sqlite()).status().await.unwrap();
    assert_eq!(status.last().map(|it| (it.version, it.standing)), Some((1000, Standing::Unknown)));
    pool.close().await;
    for config in [config.clone(), config.migrated()] {
        let newer = SqliteStore::open(&config, clock.clone()).await.unwrap_err();
        assert_eq!(newer.kind(), ErrorKind::Config);
        assert!(newer.to_string().contains("newer build"), "{newer}");
    }
}
