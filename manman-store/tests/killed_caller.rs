//! A process that is killed between its commit and its answer: who repeats the request with
//! its key gets one effect, on both dialects.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use std::{
    io::{BufRead, BufReader, Write as _},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::ground::{STOP, VALID, deployment, keyed, write};
use manman_core::{
    clock::SystemClock,
    id::SgcId,
    store::{Page, SessionFilter, Store},
};
use manman_store::{PostgresConfig, PostgresStore, SqliteConfig, SqliteStore};

/// Names the database, and the first key, to the child that is to be killed.
const CHILD: &str = "MANMAN_STORE_TEST_CALLER";

async fn open(url: &str) -> Arc<dyn Store> {
    match url.strip_prefix("sqlite:") {
        Some(path) => Arc::new(
            SqliteStore::open(&SqliteConfig::at(path).migrated(), Arc::new(SystemClock)).await.unwrap(),
        ),
        None => Arc::new(PostgresStore::open(&PostgresConfig::at(url).migrated()).await.unwrap()),
    }
}

/// The child: starts and stops a session under each key, and says so.
async fn call_until_killed(url: &str, first: usize) {
    let store = open(url).await;
    for key in first.. {
        let write = keyed("StartSession", &format!("key-{key}"));
        let started = store.session_start(SgcId(1), VALID, &write).await.unwrap();
        store.session_want(started.session.id, STOP, &self::write()).await.unwrap();
        // Not `println!`: the test harness would keep that to itself.
        let mut out = std::io::stdout();
        writeln!(out, "\ndone {key}").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_caller_that_repeats_its_key_has_one_effect() {
    if let Ok(child) = std::env::var(CHILD) {
        let (first, url) = child.split_once(' ').unwrap();
        return call_until_killed(url, first.parse().unwrap()).await;
    }
    let kills = if std::env::var("MANMAN_TESTS").is_ok_and(|it| it == "full") { 50 } else { 5 };
    let dir = tempfile::tempdir().unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for url in [format!("sqlite:{}", dir.path().join("manman.db").display()), common::migrated().await] {
        let store = open(&url).await;
        deployment(&*store, "town").await;
        let mut next = 0;
        for _ in 0..kills {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_killed_caller_that_repeats_its_key_has_one_effect", "--nocapture"])
                .env(CHILD, format!("{next} {url}"))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let done = |line: String| line.strip_prefix("done ").and_then(|key| key.parse::<usize>().ok());
            for _ in 0..random.usize(1..10) {
                next =
                    lines.by_ref().map(Result::unwrap).find_map(done).expect("it calls until it is killed")
                        + 1;
            }
            // Wherever it is within a deed just now.
            std::thread::sleep(Duration::from_micros(random.u64(0..8_000)));
            child.kill().unwrap();
            child.wait().unwrap();
            for key in lines.map_while(Result::ok).filter_map(done) {
                next = key + 1;
            }
            // At most the one that was under way is there beyond those that were answered for.
            let count = sessions(&*store).await;
            assert!([next, next + 1].contains(&count), "seed {seed}: {count} sessions of {next} keys");
        }
        let write = keyed("StartSession", &format!("key-{next}"));
        store.session_start(SgcId(1), VALID, &write).await.unwrap();
        assert_eq!(sessions(&*store).await, next + 1, "seed {seed}");
    }
}

async fn sessions(store: &dyn Store) -> usize {
    store.session_list(SessionFilter::default(), Page::first(100_000)).await.unwrap().len()
}
