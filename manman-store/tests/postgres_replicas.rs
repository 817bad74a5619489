//! Several processes on one PostgreSQL database: each store here is a process of its own.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use common::ground::{STOP, VALID, config, deployment, keyed, server, write};
use manman_core::{
    id::{ServerId, SessionId},
    model::{
        ConfigBody, Port, PortAsk, PortNeed, Protocol,
        config::NewConfig,
        deployment::{NewDeployment, PortRequest},
    },
    store::{
        Applied, ClusterStore, DeedError, DeploymentStore, GameStore, OutboxStore, Page, ServerStore,
        SessionStore, Source, WantChange, Welcomed,
    },
    wire::{Beat, Command, Envelope, SessionReport},
};
use manman_services::Patience;
use manman_store::{PostgresConfig, PostgresStore, postgres};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

/// So many at once.
const CROWD: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

async fn open(url: &str) -> Arc<PostgresStore> {
    let mut config = PostgresConfig::at(url);
    // A crowd waits for its turn on a machine that may stand still for a while.
    config.acquire_timeout_secs = 60;
    Arc::new(PostgresStore::open(&config).await.unwrap())
}

/// Two processes on one database.
async fn two() -> (String, [Arc<PostgresStore>; 2]) {
    let url = common::migrated().await;
    let stores = [open(&url).await, open(&url).await];
    (url, stores)
}

async fn close(stores: impl IntoIterator<Item = Arc<PostgresStore>>) {
    for store in stores {
        store.close().await;
    }
}

fn running(session: SessionId) -> SessionReport {
    SessionReport::Running {
        session,
        attempt: 1,
        started_at: manman_core::clock::Timestamp::from_micros(0),
        image_digest: "sha256:0".into(),
        spec_hash: "5bec".into(),
        manager_version: "0.1.0".into(),
    }
}

fn source(host: Welcomed, sequence: i64) -> Source {
    Source { message: Uuid::now_v7(), server: host.server, epoch: host.epoch, sequence }
}

/// Takes and marks all that is due; the commands by server, in the order they left.
async fn drain(store: &PostgresStore) -> BTreeMap<ServerId, Vec<Command>> {
    let mut left: BTreeMap<ServerId, Vec<Command>> = BTreeMap::new();
    loop {
        let due = store.outbox_due(64).await.unwrap();
        if due.is_empty() {
            return left;
        }
        let ids: Vec<Uuid> = due.iter().map(|it| it.message.id).collect();
        for row in due {
            if let Some(server) = row.message.key.server() {
                let envelope: Envelope<Command> = Envelope::decode(&row.message.body).unwrap();
                left.entry(server).or_default().push(envelope.body);
            }
        }
        store.outbox_sent(&ids).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_start_at_once_are_one_installation() {
    for _ in 0..3 {
        let url = common::empty().await;
        let mut starts = JoinSet::new();
        for _ in 0..4 {
            let config = PostgresConfig::at(url.clone()).migrated();
            starts.spawn(async move {
                let store = PostgresStore::open(&config).await.unwrap();
                let known = (store.cluster().await.unwrap(), store.cluster_secret().await.unwrap());
                store.close().await;
                known
            });
        }
        let known: BTreeSet<_> =
            starts.join_all().await.into_iter().map(|(id, secret)| (id.to_string(), secret)).collect();
        assert_eq!(known.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_has_one_holder_whichever_process_asks() {
    let (_, stores) = two().await;
    let host = server(&*stores[0], "box").await.server;
    let port = |number: u16| Port::try_from(i64::from(number)).unwrap();
    let game = config(&*stores[0], "game").await;
    let game = stores[0].config_get(game).await.unwrap().unwrap().game;
    let mut body = ConfigBody::new("game:1".parse().unwrap());
    body.ports = vec![PortNeed { container_port: port(1), protocol: Protocol::Udp }];
    let new = NewConfig { game, name: "ports".parse().unwrap(), body };
    let config = stores[0].config_create(&new, &write()).await.unwrap().id;
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let store = Arc::clone(&stores[number % 2]);
        let name = format!("town-{number}").parse().unwrap();
        let ask = PortAsk::Number(port(3979));
        let ports = vec![PortRequest { container_port: port(1), protocol: Protocol::Udp, ask }];
        crowd.spawn(async move {
            let new = NewDeployment { name, server: host, config, ports, labels: Default::default() };
            store.deployment_create(&new, &write()).await
        });
    }
    let (won, refused): (Vec<_>, Vec<_>) = crowd.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), refused.len()), (1, CROWD - 1));
    assert!(refused.iter().all(|it| matches!(it, Err(DeedError::PortTaken { .. }))), "{refused:?}");
    assert_eq!(stores[1].server_ports(host).await.unwrap().len(), 1);
    assert_eq!(stores[1].deployment_list(None, Page::first(9)).await.unwrap().len(), 1);
    close(stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_deed_whichever_process_is_asked() {
    let (_, stores) = two().await;
    // On two machines, so that nothing but the key keeps the requests apart.
    let (_, first) = deployment(&*stores[0], "first").await;
    let (_, second) = deployment(&*stores[0], "second").await;
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let store = Arc::clone(&stores[number % 2]);
        let sgc = if number % 4 < 2 { first } else { second };
        crowd.spawn(
            async move { store.session_start(sgc, VALID, &keyed("StartSession", "k")).await.unwrap() },
        );
    }
    let started = crowd.join_all().await;
    assert_eq!(started.iter().filter(|it| !it.repeated).count(), 1);
    assert_eq!(stores[0].session_live_count().await.unwrap(), 1);
    close(stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn competing_processors_apply_a_report_once() {
    let (_, stores) = two().await;
    let (host, sgc) = deployment(&*stores[0], "box").await;
    let session = stores[0].session_start(sgc, VALID, &write()).await.unwrap().session.id;
    let same = source(host, 1);
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let store = Arc::clone(&stores[number % 2]);
        // Half of them come as another message of the same place in the host's order.
        let source = if number % 4 < 2 { same } else { Source { message: Uuid::now_v7(), ..same } };
        crowd.spawn(async move { store.session_report(source, &running(session)).await.unwrap() });
    }
    let applied = crowd.join_all().await;
    assert_eq!(applied.iter().filter(|it| **it == Applied::Changed).count(), 1);
    assert_eq!(applied.iter().filter(|it| **it == Applied::Duplicate).count(), CROWD - 1);
    assert_eq!(stores[1].session_timeline(session).await.unwrap().len(), 3);
    close(stores).await;
}

/// Writers race to post under few keys, while a relay carries: what leaves of each key is in
/// the order of the commits, which each command's own count tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_of_a_key_is_in_the_order_of_commits() {
    const WRITERS: usize = 16;
    const EACH: usize = 12;
    let (_, stores) = two().await;
    let mut sessions = Vec::new();
    for name in ["one", "two"] {
        let (host, sgc) = deployment(&*stores[0], name).await;
        let session = stores[0].session_start(sgc, VALID, &write()).await.unwrap().session.id;
        stores[0].session_report(source(host, 1), &running(session)).await.unwrap();
        sessions.push(session);
    }
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (store, session) = (Arc::clone(&stores[number % 2]), sessions[number / 2 % 2]);
        writers.spawn(async move {
            for _ in 0..EACH {
                store.session_want(session, WantChange::Restart, &write()).await.unwrap();
            }
        });
    }
    let mut generations: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut left = 0;
    let begun = Instant::now();
    while left < WRITERS * EACH + 2 {
        assert!(begun.elapsed() < PATIENCE, "{left} left");
        let due = stores[0].outbox_due(64).await.unwrap();
        let ids: Vec<Uuid> = due.iter().map(|it| it.message.id).collect();
        for row in due.into_iter().filter(|row| row.message.key.server().is_some()) {
            let envelope: Envelope<Command> = Envelope::decode(&row.message.body).unwrap();
            generations.entry(row.message.key.as_str().to_owned()).or_default().push(envelope.generation.0);
            left += 1;
        }
        stores[0].outbox_sent(&ids).await.unwrap();
    }
    writers.join_all().await;
    for (key, generations) in generations {
        let expected: Vec<i64> = (1..=(WRITERS * EACH / 2 + 1) as i64).collect();
        assert_eq!(generations, expected, "{key}");
    }
    close(stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_relay_carries_and_another_takes_over() {
    let (url, stores) = two().await;
    let (host, sgc) = deployment(&*stores[0], "box").await;
    stores[0].session_start(sgc, VALID, &write()).await.unwrap();
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let store = Arc::clone(&stores[number % 2]);
        crowd.spawn(async move { (number % 2, store.outbox_due(9).await.unwrap().len()) });
    }
    let handed: BTreeSet<usize> =
        crowd.join_all().await.into_iter().filter(|(_, rows)| *rows > 0).map(|(store, _)| store).collect();
    assert_eq!(handed.len(), 1, "both were handed rows");
    let leader = *handed.first().unwrap();
    let (leader, follower) = (&stores[leader], &stores[1 - leader]);

    // It dies between publishing and marking: who comes after publishes again, nothing is lost.
    let mut killer = PgConnection::connect(&url).await.unwrap();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query(kill).execute(&mut killer).await.unwrap();
    let begun = Instant::now();
    let due = loop {
        let due = follower.outbox_due(9).await.unwrap_or_default();
        if !due.is_empty() {
            break due;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody took over");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(due.iter().any(|it| it.message.key.server() == Some(host.server)));
    // Who had the lead finds that it has not.
    assert!(leader.outbox_due(9).await.unwrap().is_empty());
    // What the dead one still marks is marked; nothing leaves twice for that.
    leader.outbox_sent(&due.iter().map(|it| it.message.id).collect::<Vec<_>>()).await.unwrap();
    assert!(drain(follower).await.is_empty());
    killer.close().await.unwrap();
    close(stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_wakes_for_what_another_process_posts() {
    let (_, stores) = two().await;
    let (_, sgc) = deployment(&*stores[0], "box").await;
    drain(&stores[0]).await;
    let mut waits = Vec::new();
    for round in 0..6 {
        let relay = Arc::clone(&stores[0]);
        let waiting = tokio::spawn(async move {
            while relay.outbox_due(9).await.unwrap().is_empty() {
                relay.outbox_wait().await;
            }
            Instant::now()
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        if round % 2 == 0 {
            stores[1].session_start(sgc, VALID, &write()).await.unwrap();
        } else {
            let live = stores[1].session_latest(sgc).await.unwrap().unwrap().id;
            stores[1].session_want(live, STOP, &write()).await.unwrap();
        }
        let posted = Instant::now();
        let woken = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
        waits.push(woken.saturating_duration_since(posted));
        drain(&stores[0]).await;
        if round % 2 == 1 {
            // It has left, so its host has to end it; the slot is free for the next round.
            stores[1].server_sweep(stores[1].now().await.unwrap().plus(PATIENCE)).await.unwrap();
            let host = stores[1].server_by_name("box").await.unwrap().unwrap().id;
            stores[1].server_abandon(host, &write()).await.unwrap();
            drain(&stores[0]).await;
        }
    }
    waits.sort();
    println!("woken after {waits:?}");
    assert!(waits[2] < Duration::from_millis(700), "{waits:?}");
    close(stores).await;
}

/// Whether a ring wakes a relay at once; one that is deaf looks after a second.
async fn hears(relay: &Arc<PostgresStore>, other: &PostgresStore, session: SessionId) -> bool {
    const AT_ONCE: Duration = Duration::from_millis(500);
    for _ in 0..5 {
        drain(relay).await;
        // What was rung before, and a bell that was just made.
        let mut begun = Instant::now();
        relay.outbox_wait().await;
        while begun.elapsed() < AT_ONCE {
            begun = Instant::now();
            relay.outbox_wait().await;
        }
        let waiting = {
            let relay = Arc::clone(relay);
            tokio::spawn(async move { relay.outbox_wait().await })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        let rung = Instant::now();
        other.session_want(session, WantChange::Restart, &write()).await.unwrap();
        waiting.await.unwrap();
        if rung.elapsed() < AT_ONCE {
            return true;
        }
    }
    false
}

/// The path of a relay goes dark without a word: with its seat it gets another bell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_path_was_gone_hears_again() {
    let url = common::migrated().await;
    let (proxy, through) = common::proxied(&url);
    let stores = [open(&through).await, open(&url).await];
    let [relay, other] = &stores;
    let (host, sgc) = deployment(&**other, "box").await;
    let session = other.session_start(sgc, VALID, &write()).await.unwrap().session.id;
    other.session_report(source(host, 1), &running(session)).await.unwrap();
    assert!(hears(relay, other, session).await);
    proxy.strand();
    other.session_want(session, WantChange::Restart, &write()).await.unwrap();
    let begun = Instant::now();
    while !relay.outbox_due(9).await.is_ok_and(|due| !due.is_empty()) {
        assert!(begun.elapsed() < PATIENCE, "it does not lead again");
    }
    println!("leads again after {:?}", begun.elapsed());
    assert!(hears(relay, other, session).await, "it is deaf");
    close(stores).await;
}

/// A relay that says nothing any more loses the lead within ten seconds, and it knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_froze_loses_the_lead() {
    let url = common::migrated().await;
    let (proxy, through) = common::proxied(&url);
    let stores = [open(&through).await, open(&url).await];
    let [frozen, other] = &stores;
    let (_, sgc) = deployment(&**other, "box").await;
    other.session_start(sgc, VALID, &write()).await.unwrap();
    assert!(!frozen.outbox_due(9).await.unwrap().is_empty());
    // Nothing of it is heard and nothing is told to it, as of a process that is stopped.
    proxy.freeze();
    let (begun, mut patience) = (Instant::now(), Patience::new(PATIENCE));
    while other.outbox_due(9).await.unwrap().is_empty() {
        assert!(!patience.is_spent(), "the lead is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("led after {:?}", begun.elapsed());
    proxy.pass();
    assert!(frozen.outbox_due(9).await.unwrap().is_empty());
    close(stores).await;
}

/// Who waits for a connection waits as long as the config says, however slow those are who
/// have them.
#[tokio::test]
async fn a_connection_is_waited_for_as_long_as_the_config_says() {
    let url = common::migrated().await;
    let mut config = PostgresConfig::at(&url);
    (config.connections, config.acquire_timeout_secs) = (2, 60);
    let store = Arc::new(PostgresStore::open(&config).await.unwrap());
    let host = server(&*store, "box").await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    // What every deed has a share of.
    let everything = (0x6d61_i64 << 48) | (1 << 44);
    sqlx::query("SELECT pg_advisory_lock($1)").bind(everything).execute(&mut other).await.unwrap();
    let beat = |sequence| {
        let store = store.clone();
        tokio::spawn(async move { store.server_beat(source(host, sequence), &Beat::default()).await })
    };
    let (mut slow, mut sent) = (vec![beat(1), beat(2)], 2);
    let waits = "SELECT count(*) FROM pg_locks
        WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mut patience = Patience::new(PATIENCE);
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut other).await.unwrap() < 2 {
        assert!(!patience.is_spent(), "they have no connection");
        // One waits only so long for the lock.
        slow.retain(|beat| !beat.is_finished());
        while slow.len() < 2 {
            sent += 1;
            slow.push(beat(sent));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reader = store.clone();
    let last = tokio::spawn(async move { reader.session_live_count().await });
    // By then it waits as well.
    sqlx::query("SELECT 1").execute(&mut other).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(13)).await;
    tokio::time::resume();
    other.close().await.unwrap();
    assert_eq!(last.await.unwrap().unwrap(), 0);
    for beat in slow {
        let _ = beat.await.unwrap();
    }
    store.close().await;
}

/// A path that is gone without a word is not told from one on which nothing is said.
#[tokio::test]
async fn a_bell_is_replaced_when_it_is_old() {
    let url = common::migrated().await;
    let store = open(&url).await;
    store.outbox_due(9).await.unwrap();
    let mut look = PgConnection::connect(&url).await.unwrap();
    let mut bell = async |old: Option<i32>| {
        let begun = Instant::now();
        loop {
            store.outbox_wait().await;
            let sql = "SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND query LIKE 'LISTEN%'";
            let found: Vec<i32> = sqlx::query_scalar(sql).fetch_all(&mut look).await.unwrap();
            match found[..] {
                [bell] if Some(bell) != old => return bell,
                _ => assert!(begun.elapsed() < PATIENCE, "{old:?}, now {found:?}"),
            }
        }
    };
    let first = bell(None).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    bell(Some(first)).await;
    look.close().await.unwrap();
    store.close().await;
}

/// The database undoes one of two that wait for each other; the deed is done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deed_that_the_database_undid_is_done_again() {
    let (url, stores) = two().await;
    let mut scenes = 0;
    // On a machine that stands still meanwhile it may be the other one that is undone.
    while !is_undone_and_done_again(&url, &stores[0], &format!("box-{scenes}")).await {
        scenes += 1;
        assert!(scenes < 10, "it is never the deed that is undone");
    }
    close(stores).await;
}

/// Whether the database undid the deed and not who stood in its way.
async fn is_undone_and_done_again(url: &str, store: &Arc<PostgresStore>, name: &str) -> bool {
    let (_, sgc) = deployment(&**store, name).await;
    let session = store.session_start(sgc, VALID, &write()).await.unwrap().session.id;
    drain(store).await;
    let before = undone(url).await;
    let mut other = PgConnection::connect(url).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    sqlx::query("SELECT * FROM sessions FOR UPDATE").execute(&mut *tx).await.unwrap();
    let actor = Arc::clone(store);
    // Holds its server and wants the row …
    let deed = tokio::spawn(async move { actor.session_want(session, STOP, &write()).await });
    let mut look = PgConnection::connect(url).await.unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND datname = current_database()";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut look).await.unwrap() == 0 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // … whose holder wants everything: the database ends the one that waits longer.
    let held = "SELECT pg_advisory_xact_lock(classid::bigint << 32 | objid::bigint) FROM pg_locks
        WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND objid <> 0 AND pid <> pg_backend_pid() LIMIT 1";
    let other_had_it = match sqlx::query(held).execute(&mut *tx).await {
        Ok(_) => true,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01") => false,
        Err(error) => panic!("{error:?}"),
    };
    tx.rollback().await.unwrap();
    let stopped = deed.await.unwrap().unwrap();
    assert_eq!(stopped.state, manman_core::model::State::Stopping);
    let begun = Instant::now();
    // Counted with some delay.
    while undone(url).await == before {
        assert!(begun.elapsed() < PATIENCE, "nothing was undone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.session_timeline(session).await.unwrap().len(), 2);
    for connection in [other, look] {
        connection.close().await.unwrap();
    }
    other_had_it
}

async fn undone(url: &str) -> i64 {
    let mut look = PgConnection::connect(url).await.unwrap();
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let deadlocks = sqlx::query_scalar(sql).fetch_one(&mut look).await.unwrap();
    look.close().await.unwrap();
    deadlocks
}

/// Columns come while processes run that do not know them.
#[tokio::test]
async fn a_column_that_comes_disturbs_no_deed() {
    let (url, stores) = two().await;
    let host = server(&*stores[0], "box").await;
    let beat = Beat::default();
    // As many connections as there may be, each with its statements.
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let store = Arc::clone(&stores[0]);
        crowd.spawn(async move {
            let source = source(host, number as i64);
            store.server_beat(source, &Beat::default()).await.unwrap();
            store.server_get(host.server).await.unwrap().unwrap();
        });
    }
    crowd.join_all().await;
    let pool = postgres::pool(&PostgresConfig::at(url)).await.unwrap();
    sqlx::raw_sql("ALTER TABLE servers ADD COLUMN later TEXT").execute(&pool).await.unwrap();
    for number in 0..CROWD as i64 {
        stores[0].server_beat(source(host, number), &beat).await.unwrap();
    }
    let begun = Instant::now();
    while let Err(error) = stores[0].server_get(host.server).await {
        // A read says that it may be repeated.
        assert!(error.is_temporary() && begun.elapsed() < PATIENCE, "{error:?}");
    }
    pool.close().await;
    close(stores).await;
}

/// Nothing that is stored may hold NUL here; what has it is refused, not failed.
#[tokio::test]
async fn nul_is_refused_by_its_name() {
    let (_, stores) = two().await;
    let store = &stores[0];
    let new = |text: &str| manman_core::model::game::NewGame {
        name: "game".parse().unwrap(),
        steam_app_id: Some(text.to_owned()),
        metadata: Default::default(),
    };
    let refused = store.game_create(&new("a\0b"), &write()).await.unwrap_err();
    assert!(matches!(refused, DeedError::Invalid(_)), "{refused:?}");
    let mut hello = common::ground::hello("box");
    hello.public_address = Some("a\0b".into());
    match store.server_register(&hello, Duration::ZERO).await.unwrap_err() {
        DeedError::Invalid(_) => {}
        DeedError::Store(error) => {
            assert_eq!(error.kind(), manman_core::error::ErrorKind::Invalid, "{error:?}")
        }
        other => panic!("{other:?}"),
    }
    let error = store.game_by_name("a\0b").await.unwrap_err();
    assert_eq!(error.kind(), manman_core::error::ErrorKind::Invalid);
    // Why a message could not leave may be anything.
    let (_, sgc) = deployment(&**store, "town").await;
    store.session_start(sgc, VALID, &write()).await.unwrap();
    let due = store.outbox_due(9).await.unwrap();
    store.outbox_failed(due[0].message.id, "a\0b", Duration::ZERO).await.unwrap();
    assert_eq!(drain(store).await.len(), 1);
    close(stores).await;
}
