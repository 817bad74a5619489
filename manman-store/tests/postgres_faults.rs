//! What happens to PostgreSQL, and what is wrong with how it is asked for.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::ground::{STOP, VALID, deployment, keyed, write};
use manman_core::{
    error::{Chain, ErrorKind},
    id::SessionId,
    store::{DeedError, OutboxStore, SessionStore},
};
use manman_services::{POSTGRES_PASSWORD, Patience, Postgres, PostgresSetup, free_port};
use manman_store::{PostgresConfig, PostgresStore};
use sqlx::Connection as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

/// Row 25 of the faults: PostgreSQL is killed under writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_loses_nothing_that_was_committed() {
    let kills = if std::env::var("MANMAN_TESTS").is_ok_and(|it| it == "full") { 10 } else { 2 };
    let mut server = blocking(|| Postgres::start_as(PostgresSetup { synced: true, tls: false })).await;
    let url = server.url(&server.database());
    let store = Arc::new(PostgresStore::open(&PostgresConfig::at(url).migrated()).await.unwrap());
    let mut towns = Vec::new();
    for name in ["a", "b", "c"] {
        towns.push(deployment(&*store, name).await.1);
    }
    let done = Arc::new(Mutex::new(Vec::<SessionId>::new()));
    let mut writers = Vec::new();
    for sgc in towns.clone() {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        writers.push(tokio::spawn(async move {
            for key in 0.. {
                // As a client repeats a request whose answer it did not get: with its key.
                let write = keyed("StartSession", &format!("{sgc}-{key}"));
                let session = loop {
                    match store.session_start(sgc, VALID, &write).await {
                        Ok(started) => break started.session.id,
                        Err(DeedError::Store(error)) => {
                            let kind = error.kind();
                            assert!(error.is_temporary(), "{}: {kind:?}", Chain(&error));
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                };
                while let Err(error) = store.session_want(session, STOP, &self::write()).await {
                    assert!(matches!(error, DeedError::Store(_)), "{error:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                done.lock().unwrap().push(session);
            }
        }));
    }
    let count = || done.lock().unwrap().len();
    for _ in 0..kills {
        let before = count();
        let begun = Instant::now();
        while count() < before + 10 {
            assert!(begun.elapsed() < PATIENCE, "nothing is written");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server = blocking(move || {
            server.kill();
            server.start_again();
            server
        })
        .await;
        let (back, known) = (Instant::now(), count());
        let mut patience = Patience::new(PATIENCE);
        while count() == known {
            assert!(!patience.is_spent(), "it is back and nothing is written");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("written again {:?} after it was back", back.elapsed());
    }
    for writer in writers {
        writer.abort();
        let _ = writer.await;
    }
    let done = done.lock().unwrap().clone();
    for id in &done {
        let session = store.session_get(*id).await.unwrap();
        assert!(session.is_some_and(|it| it.state.is_end()), "{id} is gone");
    }
    // One effect for each key: what is on record is what was answered for, and what was under way.
    let on_record = store.session_high_water().await.unwrap();
    assert!(on_record >= done.len() as i64);
    let mut distinct = done.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), done.len());
    // The relay goes on as well.
    let begun = Instant::now();
    while store.outbox_due(9).await.is_ok_and(|due| due.is_empty()) {
        assert!(begun.elapsed() < PATIENCE);
    }
    store.close().await;
    blocking(move || drop(server)).await;
}

/// A server that takes connections and answers nothing holds nobody for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_ends_each_call() {
    let server = blocking(Postgres::start).await;
    let url = server.url(&server.database());
    let store = PostgresStore::open(&PostgresConfig::at(&url).migrated()).await.unwrap();
    let (_, sgc) = deployment(&store, "box").await;
    server.freeze();
    let (begun, signed, config) = (Instant::now(), write(), PostgresConfig::at(&url));
    let (read, start, other) = tokio::join!(
        store.session_live_count(),
        store.session_start(sgc, VALID, &signed),
        PostgresStore::open(&config),
    );
    assert!(begun.elapsed() < PATIENCE);
    for error in [read.unwrap_err(), other.unwrap_err()] {
        assert!(error.is_temporary(), "{error:?}");
    }
    assert!(matches!(start.unwrap_err(), DeedError::Store(error) if error.is_temporary()));
    server.thaw();
    let begun = Instant::now();
    while let Err(error) = store.session_start(sgc, VALID, &write()).await {
        if matches!(error, DeedError::SessionLive { .. }) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    store.close().await;
    blocking(move || drop(server)).await;
}

/// The path of every connection goes dark without a word, in the midst of deeds or between
/// them, and a new connection passes: an address that moved, a firewall that forgot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_in_the_dark_give_their_places_back() {
    let url = common::migrated().await;
    let (proxy, through) = common::proxied(&url);
    let mut config = PostgresConfig::at(through);
    config.connections = 4;
    let store = Arc::new(PostgresStore::open(&config).await.unwrap());
    let (_, sgc) = deployment(&*store, "box").await;

    // A deed on each of them, all held up.
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut held = other.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE deployments IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await.unwrap();
    let deeds: Vec<_> = (0..config.connections)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.session_start(sgc, VALID, &write()).await })
        })
        .collect();
    let mut patience = Patience::new(PATIENCE);
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *held).await.unwrap() < deeds.len() as i64 {
        assert!(!patience.is_spent(), "they do not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.strand();
    // Each has its deadline; whoever waits for the deed may have less.
    for deed in deeds {
        deed.abort();
        assert!(deed.await.unwrap_err().is_cancelled());
    }
    held.rollback().await.unwrap();
    other.close().await.unwrap();
    let begun = Instant::now();
    while let Err(error) = store.session_live_count().await {
        assert!(error.is_temporary(), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{error:?}");
    }
    println!("a call after {:?}", begun.elapsed());

    // Between deeds the first call finds out, and is answered all the same.
    for _ in 0..2 {
        proxy.strand();
        store.session_live_count().await.unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_one_sentence_without_the_secret() {
    let good = common::migrated().await;
    let (_, address) = good.rsplit_once('@').unwrap();
    let place = address.split_once('/').unwrap().0;
    let nobody = format!("postgres://me:hunter2@127.0.0.1:{}/town", free_port());
    for (url, kind, said) in [
        (format!("postgres://manman:hunter2@{address}"), ErrorKind::Config, "the password is wrong"),
        (format!("postgres://mallory:hunter2@{address}"), ErrorKind::Config, "refuses the user \"mallory\""),
        (
            good.replace(address, &format!("{place}/nowhere")),
            ErrorKind::Config,
            "has no database \"nowhere\"",
        ),
        (format!("{good}?sslmode=require"), ErrorKind::Config, "sslmode"),
        (format!("{good}?sslmode=verify-full&sslrootcert=/no/such.pem"), ErrorKind::Config, "sslrootcert"),
        (nobody, ErrorKind::Unavailable, "no PostgreSQL answers at 127.0.0.1:"),
    ] {
        let error = PostgresStore::open(&PostgresConfig::at(&url)).await.unwrap_err();
        let whole = format!("{} {error:?}", Chain(&error));
        assert_eq!(error.kind(), kind, "{whole}");
        assert!(error.message().contains(said), "{said}: {whole}");
        for secret in ["hunter2", POSTGRES_PASSWORD, "s3cret"] {
            assert!(!whole.contains(secret), "{whole}");
        }
    }
    // The other ways to write the same.
    for scheme in ["postgresql", "postgresql+psycopg2"] {
        let url = good.replacen("postgres", scheme, 1);
        PostgresStore::open(&PostgresConfig::at(url)).await.unwrap().close().await;
    }
    let empty = PostgresStore::open(&PostgresConfig::at(common::empty().await)).await.unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Config);
    assert!(empty.message().contains("version 0"), "{empty}");
}

/// A pooler that drops what a connection asks for: a relay that froze would keep the lead.
#[tokio::test]
async fn a_pooler_is_named_as_what_stands_in_the_way() {
    let url = common::migrated().await;
    let (_, address) = url.rsplit_once('@').unwrap();
    let place = address.split_once('/').unwrap().0.to_owned();
    let pooler = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = pooler.local_addr().unwrap().port();
    let through = format!("{}?sslmode=disable", url.replace(&place, &format!("127.0.0.1:{port}")));
    let pooling = tokio::spawn(async move {
        while let Ok((client, _)) = pooler.accept().await {
            let server = TcpStream::connect(&place).await.unwrap();
            tokio::spawn(without_options(client, server));
        }
    });
    let error = PostgresStore::open(&PostgresConfig::at(through)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.message().contains("does not go through a pooler"), "{error}");
    pooling.abort();
}

/// Forwards all but the options of the first message: a length, a version, and pairs of words
/// that each end with NUL.
async fn without_options(mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
    let length = client.read_u32().await?;
    let version = client.read_u32().await?;
    let mut words = vec![0; length as usize - 8];
    client.read_exact(&mut words).await?;
    let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    let mut kept = Vec::new();
    for pair in words.chunks(2).filter(|pair| pair.len() == 2 && !pair[0].is_empty() && pair[0] != b"options")
    {
        kept.extend([pair[0], &[0], pair[1], &[0]].concat());
    }
    kept.push(0);
    server.write_u32(kept.len() as u32 + 8).await?;
    server.write_u32(version).await?;
    server.write_all(&kept).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

#[tokio::test]
async fn tls_is_used_and_the_name_is_checked() {
    let server = blocking(|| Postgres::start_as(PostgresSetup { tls: true, ..Default::default() })).await;
    let name = server.database();
    let ca = server.ca().display().to_string();
    let url = |host: &str, ca: &str| {
        let url = server.url(&name).replace("127.0.0.1", host);
        format!("{url}?sslmode=verify-full&sslrootcert={ca}")
    };
    let store = PostgresStore::open(&PostgresConfig::at(url("localhost", &ca)).migrated()).await.unwrap();
    store.close().await;
    let mut connection = sqlx::PgConnection::connect(&url("localhost", &ca)).await.unwrap();
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut connection).await.unwrap());
    connection.close().await.unwrap();
    // Another name than the certificate's.
    let error = PostgresStore::open(&PostgresConfig::at(url("127.0.0.1", &ca))).await.unwrap_err();
    assert!(error.message().contains("127.0.0.1"), "{error:?}");
    blocking(move || drop(server)).await;
}
