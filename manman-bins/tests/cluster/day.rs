//! A day of a game, on every broker: deployed, started, typed to, read, crashed, stopped.

use crate::support::{Cluster, GAME, Kind, PATIENCE, until};

fn a_day(kind: Kind) {
    let cluster = Cluster::up(kind);
    cluster.deploy("town", "box", GAME);
    cluster.ok_at(1, &["start", "town"]);

    // Its console, through either replica, from its first line on.
    cluster.ok_at(0, &["send", "town", "say from the first"]);
    cluster.ok_at(1, &["send", "town", "say from the second"]);
    for replica in [0, 1] {
        until("both lines are shown", PATIENCE, || {
            let shown = cluster.ok_at(replica, &["logs", "town", "--raw"]).out;
            let told = ["ready for commands", "CMD: say from the first", "CMD: say from the second"];
            told.iter().all(|line| shown.contains(line)).then_some(())
        });
    }

    cluster.ok(&["send", "town", "crash 42"]);
    let session = cluster.await_state("town", "crashed");
    assert_eq!(session["exit_code"], 42, "{session:#}");
    let shown = cluster.ok_at(1, &["logs", "town", "--raw"]);
    assert!(shown.err.contains("crash requested"), "{shown}");

    cluster.ok(&["start", "town"]);
    cluster.ok(&["send", "town", "save"]);
    cluster.ok_at(1, &["stop", "town"]);
    let session = cluster.await_state("town", "stopped");
    assert_eq!(session["exit_code"], 0, "{session:#}");
    cluster.await_nothing_left();
}

#[test]
fn a_day_on_rabbitmq() {
    a_day(Kind::RabbitMq);
}

#[test]
fn a_day_on_nats() {
    a_day(Kind::Nats);
}
