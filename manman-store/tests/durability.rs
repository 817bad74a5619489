//! What was committed survives, what was not leaves nothing.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use manman_core::{
    clock::SystemClock,
    id::{SessionId, SgcId},
    model::{ConfigBody, StopMode, Want, config::NewConfig, deployment::NewDeployment, game::NewGame},
    store::{
        Actor, DeedError, DeploymentStore, GameStore, Registration, ServerStore, SessionStore, WantChange,
        Write,
    },
};
use manman_store::{SqliteConfig, SqliteStore, sqlite};
use sqlx::{Row, SqlitePool};

/// Names the database to the child that is to be killed.
const CHILD: &str = "MANMAN_STORE_TEST_CHILD";
const VALID: Duration = Duration::from_secs(60);

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(&SqliteConfig::at(path).migrated(), Arc::new(SystemClock)).await.unwrap()
}

async fn pool(path: &Path) -> SqlitePool {
    sqlite::writer(&SqliteConfig::at(path)).await.unwrap()
}

fn write() -> Write {
    Write::by(Actor("alice".into()))
}

async fn deployment(store: &SqliteStore) -> SgcId {
    let hello = Registration {
        name: "box".parse().unwrap(),
        environment: Default::default(),
        machine_id: "m".into(),
        engine_id: "e".into(),
        capacity: Default::default(),
        public_address: None,
        take_over: false,
    };
    let server = store.server_register(&hello, Duration::ZERO).await.unwrap().server;
    let new = NewGame { name: "game".parse().unwrap(), steam_app_id: None, metadata: Default::default() };
    let game = store.game_create(&new, &write()).await.unwrap().id;
    let body = ConfigBody::new("game:1".parse().unwrap());
    let new = NewConfig { game, name: "config".parse().unwrap(), body };
    let config = store.config_create(&new, &write()).await.unwrap().id;
    let (name, ports, labels) = ("town".parse().unwrap(), Vec::new(), Default::default());
    let new = NewDeployment { name, server, config, ports, labels };
    store.deployment_create(&new, &write()).await.unwrap().id
}

/// Starts a session, or takes the one that lives, and stops it.
async fn one_life(store: &SqliteStore, sgc: SgcId) -> SessionId {
    let session = match store.session_start(sgc, VALID, &write()).await {
        Ok(started) => started.session.id,
        Err(DeedError::SessionLive { session, .. }) => session,
        Err(error) => panic!("{error:?}"),
    };
    let stop = WantChange::To(Want::Stop(StopMode::Graceful));
    store.session_want(session, stop, &write()).await.unwrap();
    session
}

async fn count(pool: &SqlitePool, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(pool).await.unwrap().get(0)
}

/// Each deed left all of its traces, or none.
async fn check_whole(path: &Path) {
    let pool = pool(path).await;
    let sound: String = sqlx::query("PRAGMA integrity_check").fetch_one(&pool).await.unwrap().get(0);
    assert_eq!(sound, "ok");
    assert!(sqlx::query("PRAGMA foreign_key_check").fetch_all(&pool).await.unwrap().is_empty());
    let sessions = count(&pool, "SELECT count(*) FROM sessions").await;
    let starts = count(&pool, "SELECT count(*) FROM audit WHERE deed = 'session_start'").await;
    assert_eq!(starts, sessions);
    let revisions = count(&pool, "SELECT coalesce(sum(revision), 0) FROM sessions").await;
    assert_eq!(count(&pool, "SELECT count(*) FROM session_timeline").await, revisions);
    let live = "SELECT count(*) FROM sessions WHERE state = 'pending'";
    let hints = "SELECT count(*) FROM outbox WHERE hints IS NOT NULL";
    assert_eq!(count(&pool, hints).await, count(&pool, live).await);
    let stopped = count(&pool, "SELECT count(*) FROM sessions WHERE state = 'stopped'").await;
    let events = "SELECT count(*) FROM outbox WHERE key = 'manman.session.stopped'";
    assert_eq!(count(&pool, events).await, stopped);
    pool.close().await;
}

/// The child: writes, and says what was committed, until it is killed.
async fn write_until_killed(path: &Path) {
    let store = open(path).await;
    let sgc = SgcId(1);
    loop {
        let session = one_life(&store, sgc).await;
        // Not `println!`: the test harness would keep that to itself.
        let mut out = std::io::stdout();
        writeln!(out, "\ndone {session}").unwrap();
    }
}

/// "What was committed survives the death of the process."
#[tokio::test]
async fn a_full_disk_fails_what_does_not_fit_and_nothing_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(&dir.path().join("full.db")).await;
    sqlx::query("CREATE TABLE filler (bytes BLOB)").execute(&pool).await.unwrap();
    let fill = "INSERT INTO filler VALUES (zeroblob(1000000))";
    // As large as it may get; SQLite fails as it does where the disk ends.
    sqlx::query("PRAGMA max_page_count = 1").execute(&pool).await.unwrap();
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let full = sqlx::query(fill).execute(&mut *tx).await.unwrap_err();
    assert!(full.to_string().contains("full"), "{full}");
    drop(tx);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query(fill).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_killed_writer_loses_nothing() {
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&path)).await;
    }
    let full = std::env::var("MANMAN_TESTS").is_ok_and(|value| value == "full");
    let kills = if full { 100 } else { 8 };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manman.db");
    let store = open(&path).await;
    let sgc = deployment(&store).await;
    store.close().await;

    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut last = SessionId(0);
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_writer_loses_nothing", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..random.usize(1..30) {
            let said = lines
                .by_ref()
                .map(Result::unwrap)
                .find_map(|line| line.strip_prefix("done ").map(|id| id.parse::<SessionId>().unwrap()));
            last = said.expect("the child writes until it is killed");
        }
        // Wherever it is within a deed just now.
        std::thread::sleep(Duration::from_micros(random.u64(0..5_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(Ok(id)) = line.strip_prefix("done ").map(str::parse) {
                last = id;
            }
        }

        check_whole(&path).await;
        let store = open(&path).await;
        let session = store.session_get(last).await.unwrap();
        assert!(session.is_some_and(|it| it.state.is_end()), "seed {seed} kill {kill}: {last} is gone");
        let latest = store.session_latest(sgc).await.unwrap().unwrap();
        assert_eq!(store.session_high_water().await.unwrap(), latest.id.0);
        store.close().await;
    }
}

/// "Each call is one deed: all of it happens, or none", also when the caller goes away.
#[tokio::test]
async fn a_deed_whose_caller_went_away_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manman.db");
    let store = open(&path).await;
    let sgc = deployment(&store).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..300 {
        let patience = Duration::from_micros(random.u64(0..3_000));
        let _ = tokio::time::timeout(patience, one_life(&store, sgc)).await;
    }
    one_life(&store, sgc).await;
    assert!(store.session_high_water().await.unwrap() > 0);
    store.close().await;
    check_whole(&path).await;
}
