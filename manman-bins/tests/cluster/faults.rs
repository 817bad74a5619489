//! What breaks between the machines, row by row: games go on, nothing is lost, nobody is
//! called stale who is not, and everything is said.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use manman_services::{Postgres, Proxy};
use serde_json::Value;

use crate::{
    installation::scaled,
    support::{Broker, Cluster, GAME, Kind, PATIENCE, Ran, docker, until},
};

/// A cluster on NATS whose one game runs.
pub fn playing() -> Cluster {
    playing_on(Kind::Nats)
}

pub fn playing_on(kind: Kind) -> Cluster {
    let cluster = Cluster::up(kind);
    cluster.deploy("town", "box", GAME);
    cluster.ok(&["start", "town"]);
    cluster
}

/// The process of the game, as the engine knows it.
pub fn game(cluster: &Cluster) -> String {
    let containers = cluster.containers();
    assert_eq!(containers.len(), 1, "{containers:?}");
    docker(&["inspect", "-f", "{{.State.Pid}} {{.State.Running}}", &containers[0]])
}

/// Whether anything ever took the host for silent.
#[track_caller]
pub fn was_never_lost(cluster: &Cluster) {
    let shown = cluster.ok(&["session", "show", "town", "-o", "json"]).out;
    assert!(!shown.contains("LOST") && !shown.contains("\"lost\""), "{shown}");
}

#[track_caller]
pub fn answers(cluster: &Cluster, replica: usize, word: &str) {
    until(&format!("the game hears {word}"), PATIENCE, || {
        (cluster.run_at(replica, &["send", "town", &format!("say {word}")]).code == 0).then_some(())
    });
    until(&format!("{word} is shown"), PATIENCE, || {
        let shown = cluster.run_at(replica, &["logs", "town", "--raw"]).out;
        shown.contains(&format!("CMD: say {word}")).then_some(())
    });
}

/// Row 22: a host that is cut off from broker and API is stale ten seconds later, its game
/// runs on, and all is well again when the network is.
#[test]
fn row_22_a_host_that_is_cut_off_plays_on() {
    let mut cluster = Cluster::up(Kind::Nats);
    cluster.deploy("town", "box", &[GAME, &["--env", "TICK=1"]].concat());
    cluster.ok(&["start", "town"]);
    let before = game(&cluster);
    let Broker::Nats(server) = &cluster.broker else { unreachable!() };
    let broker = Proxy::to_port(server.port());
    let api = Proxy::to(cluster.apis[0].get("LISTEN").parse().unwrap());
    let host = &mut cluster.hosts[0];
    host.end();
    host.set("BROKER_URL", format!("nats://127.0.0.1:{}", broker.port()));
    host.set("API_ADDRESS", format!("127.0.0.1:{}", api.port()));
    host.start();
    until("it is ready", PATIENCE, || cluster.hosts[0].is_ready().then_some(()));
    answers(&cluster, 0, "before");

    let cut = Instant::now();
    for proxy in [&broker, &api] {
        proxy.blackhole();
    }
    cluster.await_server("box", "stale", PATIENCE);
    let stale = cut.elapsed();
    // The last beat came up to two seconds before.
    assert!(stale > Duration::from_millis(7_500), "it was called stale after {stale:?}");
    cluster.await_state("town", "lost");
    std::thread::sleep(scaled(Duration::from_secs(5), Duration::from_secs(300)));
    assert_eq!(game(&cluster), before);

    let healed = Instant::now();
    for proxy in [&broker, &api] {
        proxy.pass();
    }
    cluster.await_server("box", "online", PATIENCE);
    eprintln!("cut off: stale after {stale:?}, online {:?} after the network was back", healed.elapsed());
    cluster.await_state("town", "running");
    assert_eq!(game(&cluster), before);
    answers(&cluster, 1, "back");
    // What the game said meanwhile is all there.
    let shown = cluster.run_at(1, &["logs", "town", "--raw"]).out;
    let ticks: Vec<u64> =
        shown.lines().filter_map(|line| line.strip_prefix("tick ")).map(|it| it.parse().unwrap()).collect();
    assert_eq!(ticks, (1..=ticks.len() as u64).collect::<Vec<_>>(), "{shown}");
    assert!(ticks.len() as u64 > (healed - cut).as_secs() / 2, "{shown}");
}

/// A manager that stands still for so long that it is stale: its game does not notice.
#[test]
fn a_host_that_stands_still_comes_back() {
    let mut cluster = playing();
    let before = game(&cluster);
    cluster.hosts[0].guarded().freeze();
    cluster.await_server("box", "stale", PATIENCE);
    assert_eq!(cluster.await_state("town", "lost")["state"], "lost");
    assert_eq!(game(&cluster), before);
    cluster.hosts[0].guarded().thaw();
    cluster.await_server("box", "online", PATIENCE);
    cluster.await_state("town", "running");
    assert_eq!(game(&cluster), before);
    answers(&cluster, 1, "back");
}

/// A host boots while API, processors and broker are away: its game is taken up again, and
/// told of when they are back.
#[test]
fn a_host_boots_with_everything_else_away() {
    let mut cluster = playing();
    answers(&cluster, 0, "before");
    let before = game(&cluster);
    for process in cluster.apis.iter_mut().chain(&mut cluster.processors) {
        process.kill();
    }
    let Broker::Nats(server) = &cluster.broker else { unreachable!() };
    server.kill();
    cluster.hosts[0].kill();
    cluster.hosts[0].start();
    until("the game's console is taken up", PATIENCE, || {
        cluster.hosts[0].log().contains("taken up").then_some(()).or_else(|| {
            // Said or not: it is up once it serves its health.
            cluster.hosts[0].run(&["health"]).err.contains("not ready").then_some(())
        })
    });
    assert_eq!(game(&cluster), before);
    server.begin();
    for process in cluster.apis.iter_mut().chain(&mut cluster.processors) {
        process.start();
    }
    cluster.ready();
    assert_eq!(game(&cluster), before);
    answers(&cluster, 1, "after");
    let shown = cluster.ok(&["logs", "town", "--raw"]).out;
    assert!(shown.contains("CMD: say before") && shown.contains("CMD: say after"), "{shown}");
}

/// Row 25: PostgreSQL is killed; the API says so, and all goes on when it is back.
#[test]
fn row_25_a_killed_database_loses_nothing() {
    let mut postgres = Postgres::start();
    let mut cluster = Cluster::over(Kind::Nats, postgres.url(&postgres.database()));
    cluster.all();
    cluster.deploy("town", "box", GAME);
    cluster.ok(&["start", "town"]);
    let before = game(&cluster);
    postgres.kill();
    let refused = until("the API says that its store is away", PATIENCE, || {
        let ran = cluster.run_at(1, &["game", "create", "other"]);
        (ran.code != 0).then_some(ran)
    });
    assert!(!refused.err.contains("internal"), "{refused}");
    assert!(!cluster.apis[0].is_ready());
    postgres.start_again();
    until("it takes writes again", PATIENCE, || {
        let ran = cluster.run_at(0, &["game", "create", "another"]);
        (ran.code == 0 || ran.err.contains("already")).then_some(())
    });
    answers(&cluster, 1, "again");
    assert_eq!(game(&cluster), before);
    was_never_lost(&cluster);
    assert_eq!(cluster.session("town")["state"], "running");
}

/// Row 28: a processor is killed in the midst of its work; the other one goes on, and nothing
/// counts twice.
#[test]
fn row_28_a_killed_processor_is_replaced() {
    let mut cluster = playing();
    for round in 0..scaled(3, 20) {
        let (gone, name) = (round % 2, format!("town{round}"));
        cluster.deploy(&name, "box", GAME);
        cluster.ok(&["start", &name, "--no-wait"]);
        cluster.processors[gone].kill();
        cluster.await_state(&name, "running");
        cluster.processors[gone].start();
        let shown: Value =
            serde_json::from_str(&cluster.ok(&["session", "show", &name, "-o", "json"]).out).unwrap();
        let timeline = shown["timeline"].as_array().unwrap_or_else(|| panic!("{shown:#}"));
        let runs = timeline.iter().filter(|entry| entry["state"] == "running").count();
        assert_eq!(runs, 1, "{shown:#}");
        cluster.ok(&["kill", &name]);
    }
}

/// Row 33: all processors stand still, longer than a host may be silent: nobody is stale.
#[test]
fn row_33_paused_processors_take_nobody_for_silent() {
    let mut cluster = playing();
    for processor in &mut cluster.processors {
        processor.guarded().freeze();
    }
    std::thread::sleep(scaled(Duration::from_secs(14), Duration::from_secs(60)));
    for processor in &mut cluster.processors {
        processor.guarded().thaw();
    }
    answers(&cluster, 0, "hello");
    until("the processors are ready", PATIENCE, || {
        cluster.processors.iter().all(|it| it.is_ready()).then_some(())
    });
    was_never_lost(&cluster);
    assert!(cluster.ok(&["server", "list"]).out.contains("online"));
}

/// Row 31: another manager under the same name. On the same machine it takes over, and the
/// one before touches nothing any more; the game does not notice.
#[test]
fn row_31_of_two_managers_the_later_one_is_heard() {
    let mut cluster = playing();
    let before = game(&cluster);
    // The same machine, and the same journal: a process that was thought dead.
    cluster.hosts[0].guarded().freeze();
    let mut second = cluster.hosts[0].twin("box-again");
    // The directory is still held.
    let refused = second.run(&[]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err.contains("is served by another process"), "{refused}");
    cluster.hosts[0].guarded().thaw();
    // With a directory of its own it is another manager of the same machine.
    second.set("DATA_DIR", cluster.path().join("data-again").display());
    second.set("JOIN_TOKEN", cluster.join_token("box"));
    second.start();
    cluster.hosts.push(second);
    until("the first one is fenced", PATIENCE, || cluster.hosts[0].log().contains("fenced").then_some(()));
    assert_eq!(game(&cluster), before);
    cluster.hosts[1].end();
}

/// Row 44: a message that nobody understands is a dead letter with a reason, and the next one
/// flows; an operator reads it, puts it back, throws it away.
#[test]
fn row_44_a_poison_message_is_a_dead_letter() {
    use manman_core::broker::{Broker as _, Class, Exchange, Message, RoutingKey};
    use manman_core::id::ServerId;

    let cluster = playing();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let poison = |body: &'static str| {
        let url = cluster.broker.url();
        runtime.block_on(async {
            let broker = manman_broker::nats::NatsBroker::open(&url.parse().unwrap()).await.unwrap();
            let id = uuid::Uuid::now_v7();
            let key = RoutingKey::host_status(ServerId(1));
            let message =
                Message { id, exchange: Exchange::Internal, key, class: Class::Report, body: body.into() };
            while broker.publish(message.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            id.to_string()
        })
    };
    let (garbage, future) = (poison("{garbage"), poison(r#"{"version":99,"kind":"dance"}"#));
    answers(&cluster, 0, "flows");
    let listed = |id: &str| cluster.ok(&["deadletter", "list"]).out.contains(id);
    until("both are dead letters", PATIENCE, || (listed(&garbage) && listed(&future)).then_some(()));
    let shown = cluster.ok_at(1, &["deadletter", "show", &future]).out;
    assert!(shown.contains("unsupported_version: 99"), "{shown}");
    cluster.ok(&["deadletter", "requeue", &future]);
    until("it is a dead letter again", PATIENCE, || listed(&future).then_some(()));
    for id in [&garbage, &future] {
        cluster.ok(&["deadletter", "drop", id]);
        assert!(!listed(id));
    }
}

/// A start that its host never hears of expires, says why, and nothing runs when the host is
/// back.
#[test]
fn a_start_for_a_host_that_is_away_expires() {
    let mut cluster = Cluster::up(Kind::Nats);
    cluster.deploy("town", "box", GAME);
    cluster.hosts[0].kill();
    cluster.await_server("box", "stale", PATIENCE);
    cluster.ok(&["start", "town", "--no-wait"]);
    let session = until("the start expires", 2 * PATIENCE, || {
        let session = cluster.session("town");
        (session["state"] == "failed").then_some(session)
    });
    assert!(session["reason"].to_string().contains("expired"), "{session:#}");
    cluster.hosts[0].start();
    cluster.await_server("box", "online", PATIENCE);
    // It has asked what is wanted by then, and the next start is the only one.
    cluster.ok(&["start", "town"]);
    assert_eq!(cluster.containers().len(), 1);
}

/// Between one process and many: SQLite and the API of `manman up`, and a host elsewhere.
#[test]
fn a_host_elsewhere_of_one_process() {
    let mut cluster = Cluster::new(Kind::Nats);
    cluster.up_without_host();
    cluster.host("box");
    cluster.await_server("box", "online", PATIENCE);
    cluster.deploy("town", "box", GAME);
    cluster.ok(&["start", "town"]);
    answers(&cluster, 0, "hello");
    cluster.ok(&["send", "town", "crash 42"]);
    assert_eq!(cluster.await_state("town", "crashed")["exit_code"], 42);
    cluster.ok(&["start", "town"]);
    cluster.ok(&["stop", "town"]);
    cluster.await_nothing_left();
}

/// Encrypted from end to end, by an authority of one's own; who does not trust it, or speaks
/// plainly, is told so.
#[test]
fn an_encrypted_api() {
    let mut cluster = Cluster::new(Kind::Nats);
    cluster.encrypt();
    cluster.api();
    cluster.processor();
    cluster.host("box");
    cluster.ready();
    let plainly = |address: &str, ca: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_manman"));
        command.args(["server", "list", "--address", address]).env_clear().env("API_TOKEN", &cluster.admin);
        if let Some(ca) = ca {
            command.env("API_CA", ca);
        }
        Ran::of(&mut command)
    };
    let listen = cluster.apis[0].get("LISTEN");
    assert_eq!(plainly(&format!("http://{listen}"), None).code, 69);
    let refused = plainly(&format!("https://{listen}"), None);
    assert_eq!(refused.code, 69, "{refused}");
    assert!(!refused.err.contains(&cluster.admin), "{refused}");
}
