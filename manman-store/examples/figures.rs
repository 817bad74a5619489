//! How long a deed takes and how many there are in a second, on SQLite and on PostgreSQL.
//!
//! `cargo run --release -p manman-store --all-features --example figures`: both sync their
//! commits; PostgreSQL is started on this machine and stopped afterwards.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program that measures")]

#[path = "../tests/common/ground.rs"]
mod ground;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ground::{VALID, deployment, write};
use manman_core::{
    clock::{SystemClock, Timestamp},
    id::SessionId,
    model::Phase,
    store::{Source, Store, WantChange, Welcomed},
    wire::SessionReport,
};
use manman_services::{Postgres, PostgresSetup};
use manman_store::{PostgresConfig, PostgresStore, SqliteConfig, SqliteStore};
use tokio::task::JoinSet;
use uuid::Uuid;

const HOSTS: usize = 16;
const REPORTS: usize = 150;

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let config = SqliteConfig::at(dir.path().join("manman.db")).migrated();
    let sqlite: Arc<dyn Store> = Arc::new(SqliteStore::open(&config, Arc::new(SystemClock)).await.unwrap());
    measure("SQLite", &[sqlite]).await;

    let server = Postgres::start_as(PostgresSetup { synced: true, tls: false });
    let config = PostgresConfig::at(server.url(&server.database())).migrated();
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..2 {
        stores.push(Arc::new(PostgresStore::open(&config).await.unwrap()));
    }
    measure("PostgreSQL", &stores).await;
}

async fn measure(what: &str, stores: &[Arc<dyn Store>]) {
    let store = &stores[0];
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let (host, sgc) = deployment(&**store, &format!("host-{number}")).await;
        hosts.push((host, store.session_start(sgc, VALID, &write()).await.unwrap().session.id));
    }

    let mut times = Vec::new();
    for _ in 0..300 {
        let begun = Instant::now();
        store.session_want(hosts[0].1, WantChange::Restart, &write()).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    println!("{what}: a restart asked for, p50 {:?}, p99 {:?}", times[150], times[297]);

    let mut sequence = 0;
    for processors in 1..=stores.len() {
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for (number, (host, session)) in hosts.iter().copied().enumerate() {
            let store = Arc::clone(&stores[number % processors]);
            running.spawn(async move {
                for number in 0..REPORTS {
                    report(&*store, host, session, (sequence + number + 1) as i64).await;
                }
            });
        }
        running.join_all().await;
        sequence += REPORTS;
        let each = rate(HOSTS * REPORTS, begun.elapsed());
        println!("{what}: {processors} processor(s) apply {each} reports/s of {HOSTS} hosts");
    }

    for (_, session) in &hosts {
        for _ in 0..40 {
            store.session_want(*session, WantChange::Restart, &write()).await.unwrap();
        }
    }
    let (begun, mut left) = (Instant::now(), 0);
    loop {
        let due = store.outbox_due(64).await.unwrap();
        if due.is_empty() {
            break;
        }
        let ids: Vec<Uuid> = due.iter().map(|it| it.message.id).collect();
        store.outbox_sent(&ids).await.unwrap();
        left += ids.len();
    }
    println!("{what}: a backlog of {left} drains at {} messages/s", rate(left, begun.elapsed()));
}

async fn report(store: &dyn Store, host: Welcomed, session: SessionId, sequence: i64) {
    // Each says something new, as a pull with progress does.
    let report = SessionReport::Phase {
        session,
        attempt: 1,
        phase: if sequence % 2 == 0 { Phase::Pulling } else { Phase::Preparing },
        progress: Some(format!("{sequence} of many at {}", Timestamp::from_micros(sequence))),
        reason: None,
    };
    let (server, epoch) = (host.server, host.epoch);
    let source = Source { message: Uuid::now_v7(), server, epoch, sequence };
    store.session_report(source, &report).await.unwrap();
}

fn rate(count: usize, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64()) as u64
}
