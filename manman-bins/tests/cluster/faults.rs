//! What breaks between the machines, row by row: games go on, nothing is lost, nobody is
//! called stale who is not, and everything is said.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use manman_services::{Guarded, Postgres, Proxy};

use crate::{
    installation::scaled,
    support::{Cluster, GAME, Kind, PATIENCE, Ran, docker, told_on, until},
};

/// What has a game say each second how many have passed.
pub const TICKING: [&str; 2] = ["--env", "TICK=1"];

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

/// Waits until the first replica of the API is not ready, and says this of two of its parts.
#[track_caller]
pub fn says_of_its_parts(cluster: &Cluster, said: [&str; 2]) {
    until(&format!("it says {said:?}"), PATIENCE, || {
        let health = cluster.apis[0].run(&["health"]);
        (health.code != 0 && said.iter().all(|part| health.err.contains(part))).then_some(())
    });
}

/// Whether anything ever took the host for silent.
#[track_caller]
pub fn was_never_lost(cluster: &Cluster) {
    is_never_lost(cluster, "town");
}

/// The same of another deployment.
#[track_caller]
pub fn is_never_lost(cluster: &Cluster, name: &str) {
    let timeline = cluster.timeline(name);
    assert!(timeline.iter().all(|entry| entry["state"] != "lost"), "{timeline:#?}");
}

/// What a game says each second is all there; returns for how many seconds.
#[track_caller]
pub fn ticked(cluster: &Cluster, name: &str) -> u64 {
    let shown = cluster.run_at(1, &["logs", name, "--raw"]).out;
    let ticks: Vec<u64> =
        shown.lines().filter_map(|line| line.strip_prefix("tick ")).map(|it| it.parse().unwrap()).collect();
    assert_eq!(ticks, (1..=ticks.len() as u64).collect::<Vec<_>>(), "{shown}");
    ticks.len() as u64
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
    told_on([Kind::RabbitMq, Kind::Nats], a_host_is_cut_off);
}

fn a_host_is_cut_off(kind: Kind) {
    let mut cluster = Cluster::up(kind);
    cluster.deploy("town", "box", &[GAME, &TICKING].concat());
    cluster.ok(&["start", "town"]);
    let before = game(&cluster);
    let broker = Proxy::to_port(cluster.broker.port());
    let api = Proxy::to(cluster.apis[0].get("LISTEN").parse().unwrap());
    let broker_url = cluster.broker.url_by(broker.port());
    let host = &mut cluster.hosts[0];
    host.end();
    host.set("BROKER_URL", broker_url);
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
    cluster.await_state("town", "lost");
    let silent = "SELECT (SELECT max(at) FROM session_timeline WHERE state = 'lost') - last_seen
        FROM servers WHERE name = 'box'";
    let silent = Duration::from_micros(cluster.sql(silent).parse().unwrap());
    assert!(silent >= Duration::from_secs(10), "it was called stale after {silent:?} without a word");
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
    let ticks = ticked(&cluster, "town");
    assert!(ticks > (healed - cut).as_secs() / 2, "{ticks} ticks");
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
    told_on([Kind::Nats, Kind::OwnRabbitMq], a_host_boots_alone);
}

fn a_host_boots_alone(kind: Kind) {
    let mut cluster = playing_on(kind);
    answers(&cluster, 0, "before");
    let before = game(&cluster);
    cluster.broker.settled();
    for process in cluster.apis.iter_mut().chain(&mut cluster.processors) {
        process.kill();
    }
    cluster.broker.kill();
    cluster.hosts[0].kill();
    cluster.hosts[0].start();
    until("the game's console is taken up", PATIENCE, || {
        cluster.hosts[0].log().contains("taken up").then_some(()).or_else(|| {
            // Said or not: it is up once it serves its health.
            cluster.hosts[0].run(&["health"]).err.contains("not ready").then_some(())
        })
    });
    assert_eq!(game(&cluster), before);
    cluster.broker.begin();
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
    told_on([Kind::Nats, Kind::RabbitMq], a_database_is_killed);
}

fn a_database_is_killed(kind: Kind) {
    let mut postgres = Postgres::start();
    let mut cluster = Cluster::over(kind, postgres.url(&postgres.database()));
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
    says_of_its_parts(&cluster, [r#""store":"#, r#""broker":"ok""#]);
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
    let expired = cluster.story("town");
    cluster.hosts[0].start();
    cluster.await_server("box", "online", PATIENCE);
    // What is asked for now comes behind whatever still waits in its queue, and is only done by
    // what it asks anew: once this runs, it has heard and asked about all that was before.
    cluster.deploy("later", "box", GAME);
    cluster.ok(&["start", "later"]);
    let later = cluster.container("later");
    assert_eq!(cluster.containers(), [later]);
    assert_eq!(cluster.story("town"), expired);
    cluster.ok(&["stop", "later"]);
    cluster.await_nothing_left();
    // Only who asks again gets it.
    cluster.ok(&["start", "town"]);
    let town = cluster.container("town");
    assert_eq!(cluster.containers(), [town]);
    assert_ne!(cluster.session("town")["session_id"], session["session_id"]);
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

    // Whoever agrees on encryption and then says nothing keeps no place.
    let begun = Instant::now();
    let mut silent = Command::new("openssl");
    silent.args(["s_client", "-quiet", "-alpn", "h2", "-connect", listen]);
    let mut silent = Guarded::start(silent, &cluster.path().join("silent.log"));
    until("it is cut off", PATIENCE, || (!silent.lives()).then_some(()));
    assert!(begun.elapsed() > Duration::from_secs(5), "it may take its time: {:?}", begun.elapsed());
    until("it serves others", PATIENCE, || cluster.apis[0].is_ready().then_some(()));
}
