//! Brokers that are killed, away, wiped or stand still: games go on, and what was asked for is
//! accounted for.

use std::time::Duration;

use crate::{
    faults::{answers, game, playing, playing_on, was_never_lost},
    installation::scaled,
    support::{Broker, GAME, Kind, PATIENCE, docker, until},
};

/// Row 17: a node of RabbitMQ is killed; it takes its time to come back.
#[test]
fn row_17_a_killed_node_costs_nobody_anything() {
    let mut cluster = playing_on(Kind::OwnRabbitMq);
    let before = game(&cluster);
    cluster.broker.settled();
    let Broker::OwnRabbitMq(node, _) = &mut cluster.broker else { unreachable!() };
    node.kill();
    node.again();
    answers(&cluster, 0, "again");
    assert_eq!(game(&cluster), before);
    was_never_lost(&cluster);
    cluster.ok(&["stop", "town"]);
    cluster.await_nothing_left();
}

/// Row 18: a NATS server is killed, twice.
#[test]
fn row_18_a_killed_broker_costs_nobody_anything() {
    let cluster = playing();
    let before = game(&cluster);
    let Broker::Nats(server) = &cluster.broker else { unreachable!() };
    for word in ["one", "two"] {
        server.kill();
        server.begin();
        answers(&cluster, 0, word);
    }
    assert_eq!(game(&cluster), before);
    was_never_lost(&cluster);
    cluster.ok(&["stop", "town"]);
    cluster.await_nothing_left();
}

/// Row 19: the broker is away for long; what was asked for meanwhile is done or has expired
/// afterwards.
fn row_19(kind: Kind) {
    let mut cluster = playing_on(kind);
    cluster.deploy("second", "box", GAME);
    let before = game(&cluster);
    cluster.broker.settled();
    cluster.broker.stop();
    // Asked for while nobody can be told.
    let asked = cluster.run_at(1, &["start", "second", "--no-wait"]);
    assert_eq!(asked.code, 0, "{asked}");
    let refused = cluster.run_at(0, &["send", "town", "say hello"]);
    assert_ne!(refused.code, 0, "{refused}");
    std::thread::sleep(scaled(Duration::from_secs(15), Duration::from_secs(600)));
    let during = cluster.ok(&["server", "list"]).out;
    assert!(during.contains("online"), "silence counts only while somebody could be heard: {during}");
    cluster.broker.begin();
    answers(&cluster, 0, "again");
    let ended_or_runs = until("the start is accounted for", PATIENCE, || {
        let session = cluster.session("second");
        let state = session["state"].as_str().unwrap_or_default().to_owned();
        ["running", "failed"].contains(&state.as_str()).then_some(session)
    });
    assert!(ended_or_runs["reason"].is_object(), "{ended_or_runs:#}");
    let pid = |id: &String| docker(&["inspect", "-f", "{{.State.Pid}} {{.State.Running}}", id]);
    assert!(cluster.containers().iter().any(|id| pid(id) == before));
    was_never_lost(&cluster);
}

#[test]
fn row_19_nats_that_is_away_is_waited_for() {
    row_19(Kind::Nats);
}

#[test]
fn row_19_rabbitmq_that_is_away_is_waited_for() {
    row_19(Kind::OwnRabbitMq);
}

/// Row 20: what waits in the broker is wiped; snapshots make the host's queue again.
fn row_20(kind: Kind) {
    let mut cluster = playing_on(kind);
    cluster.broker.wipe();
    answers(&cluster, 0, "after");
    cluster.ok(&["stop", "town"]);
    cluster.await_state("town", "stopped");
    cluster.hosts[0].end();
}

#[test]
fn row_20_nats_that_is_wiped_is_healed() {
    row_20(Kind::Nats);
}

#[test]
fn row_20_rabbitmq_that_is_wiped_is_healed() {
    row_20(Kind::OwnRabbitMq);
}

/// A broker that stands still, whose connections stay: nobody is called silent over it.
fn stands_still(kind: Kind) {
    let cluster = playing_on(kind);
    let before = game(&cluster);
    cluster.broker.stands_still(scaled(Duration::from_secs(15), Duration::from_secs(120)));
    answers(&cluster, 0, "again");
    assert_eq!(game(&cluster), before);
    was_never_lost(&cluster);
}

#[test]
fn nats_that_stands_still_costs_nobody_anything() {
    stands_still(Kind::Nats);
}

#[test]
fn rabbitmq_that_stands_still_costs_nobody_anything() {
    stands_still(Kind::OwnRabbitMq);
}
