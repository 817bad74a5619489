//! The migration runner on PostgreSQL, and what is the same on both dialects.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use std::time::Duration;

use manman_core::error::{Error, ErrorKind};
use manman_services::Patience;
use manman_store::{
    PostgresConfig, PostgresStore,
    migrate::{Database, Direction, Goal, MigrateError, Migration, PostgresRunner, Set, Standing, Version},
    postgres,
};
use sqlx::{PgPool, Row as _};
use tokio::task::JoinSet;

const HISTORY: [Migration; 2] = [
    Migration {
        version: 1,
        name: "0001_hosts",
        up: "CREATE TABLE hosts (id BIGINT PRIMARY KEY, name TEXT);",
        down: "DROP TABLE hosts;",
    },
    Migration {
        version: 2,
        name: "0002_index",
        up: "CREATE INDEX hosts_name ON hosts (name); SELECT pg_sleep(0.05);",
        down: "DROP INDEX hosts_name;",
    },
];

async fn fresh(set: Set) -> (String, PgPool, PostgresRunner) {
    let url = common::empty().await;
    let pool = postgres::pool(&PostgresConfig::at(&url)).await.unwrap();
    (url, pool.clone(), PostgresRunner::new(pool, set))
}

/// Everything that is in the schema but the record of migrations.
async fn schema(pool: &PgPool) -> Vec<String> {
    let sql = "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS it
            FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migrations'
        UNION ALL SELECT indexdef FROM pg_indexes
            WHERE schemaname = 'public' AND tablename <> 'schema_migrations'
        UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
            AND conrelid <> coalesce(to_regclass('schema_migrations'), 0)
        UNION ALL SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        ORDER BY 1";
    sqlx::query(sql).fetch_all(pool).await.unwrap().iter().map(|row| row.get("it")).collect()
}

#[tokio::test]
async fn each_step_up_down_and_up_gives_the_same_schema() {
    for set in [Set::postgres(), Set::new(HISTORY)] {
        let (_, pool, runner) = fresh(set.clone()).await;
        for _ in set.all() {
            let before = schema(&pool).await;
            assert_eq!(runner.steps(1).await.unwrap().len(), 1);
            let after = schema(&pool).await;
            assert_ne!(after, before);
            runner.steps(-1).await.unwrap();
            assert_eq!(schema(&pool).await, before);
            runner.steps(1).await.unwrap();
            assert_eq!(schema(&pool).await, after);
        }
        runner.check().await.unwrap();
        assert_eq!(runner.down().await.unwrap().len(), set.all().len());
        assert!(schema(&pool).await.is_empty());
        assert_eq!(runner.version().await.unwrap(), Version { number: 0, dirty: false });
        pool.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runners_at_once_take_turns() {
    let url = common::empty().await;
    let mut runners = JoinSet::new();
    for _ in 0..4 {
        let url = url.clone();
        runners.spawn(async move {
            let pool = postgres::pool(&PostgresConfig::at(url)).await.unwrap();
            PostgresRunner::new(pool, Set::new(HISTORY)).up().await.unwrap().len()
        });
    }
    assert_eq!(runners.join_all().await.into_iter().sum::<usize>(), HISTORY.len());
}

#[tokio::test]
async fn a_failed_migration_leaves_the_version_before() {
    let bad = Migration {
        version: 3,
        name: "0003_bad",
        up: "CREATE TABLE half (id BIGINT); INSERT INTO nowhere VALUES (1);",
        down: "DROP TABLE half;",
    };
    let (_, pool, runner) = fresh(Set::new([HISTORY[0], HISTORY[1], bad])).await;
    let error = runner.up().await.unwrap_err();
    assert!(matches!(error, MigrateError::Failed { version: 3, direction: Direction::Up, .. }), "{error:?}");
    assert_eq!(runner.version().await.unwrap(), Version { number: 2, dirty: false });
    assert!(schema(&pool).await.iter().all(|it| !it.starts_with("half")));
    pool.close().await;
}

#[tokio::test]
async fn a_schema_that_is_not_this_builds_is_told_with_what_to_do() {
    let (url, pool, runner) = fresh(Set::postgres()).await;
    let open = async |migrate: bool| {
        let config = PostgresConfig::at(&url);
        let store = PostgresStore::open(&if migrate { config.migrated() } else { config }).await;
        Error::kind(&store.unwrap_err())
    };
    runner.goto(1).await.unwrap();
    assert_eq!(open(false).await, ErrorKind::Config);
    runner.up().await.unwrap();
    sqlx::raw_sql("INSERT INTO schema_migrations VALUES (1000, '1000_future', '', FALSE, 0)")
        .execute(&pool)
        .await
        .unwrap();
    for migrate in [false, true] {
        assert_eq!(open(migrate).await, ErrorKind::Config);
    }
    let status = runner.status().await.unwrap();
    assert_eq!(status.last().map(|it| (it.version, it.standing)), Some((1000, Standing::Unknown)));
    pool.close().await;
}

/// A backup, or whatever else reads for long, holds up a step and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_waits_for_a_long_read_lets_others_by() {
    let (_, pool, runner) = fresh(Set::postgres()).await;
    runner.goto(1).await.unwrap();
    let mut long = pool.begin().await.unwrap();
    // However slow the step is: it lives as long as it is read.
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(&mut *long).await.unwrap();
    sqlx::query("SELECT * FROM servers").fetch_all(&mut *long).await.unwrap();
    let up = tokio::spawn(async move { runner.up().await });
    let mut patience = Patience::new(Duration::from_secs(60));
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'servers'::regclass";
    for _ in 0..2 {
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&pool).await.unwrap() == 0 {
            assert!(!patience.is_spent(), "the step does not wait");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let read = sqlx::query("SELECT * FROM servers").fetch_all(&pool);
        tokio::time::timeout(Duration::from_secs(30), read).await.expect("it waits behind the step").unwrap();
    }
    long.rollback().await.unwrap();
    assert_eq!(up.await.unwrap().unwrap().len(), Set::postgres().all().len() - 1);
    pool.close().await;
}

/// What `control-migration` does, on whatever the URL names.
#[tokio::test]
async fn both_dialects_are_migrated_by_one_hand() {
    let dir = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}/manman.db", dir.path().display());
    for url in [file, common::empty().await] {
        let database = Database::connect(&url).await.unwrap();
        let latest = database.set().latest();
        let at = async || database.version().await.unwrap().number;
        let plan = database.plan(Goal::Latest).await.unwrap();
        assert_eq!(plan.len() as i64, latest);
        assert!(plan[0].sql().contains("CREATE TABLE installation"));
        // To say what would be done does nothing.
        assert_eq!(at().await, 0);
        assert!(matches!(database.check().await, Err(MigrateError::Older { version: 0, .. })));
        assert_eq!(database.run(Goal::Steps(2)).await.unwrap(), plan[..2]);
        assert_eq!(database.run(Goal::Version(1)).await.unwrap().len(), 1);
        assert_eq!(at().await, 1);
        let down = database.plan(Goal::Version(0)).await.unwrap();
        assert!(down[0].sql().contains("DROP TABLE installation"));
        assert_eq!(database.run(Goal::Latest).await.unwrap(), plan[1..]);
        database.check().await.unwrap();
        assert!(database.status().await.unwrap().iter().all(|it| it.standing == Standing::Applied));
        assert!(matches!(database.run(Goal::Version(99)).await, Err(MigrateError::NoSuchVersion { .. })));
        database.force(1).await.unwrap();
        assert_eq!(at().await, 1);
        database.force(latest).await.unwrap();
        database.run(Goal::Version(0)).await.unwrap();
        assert_eq!(at().await, 0);
        database.close().await;
    }
    for url in ["", "manman.db", "mysql://x", "sqlite://"] {
        let error = Database::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
    }
}
