//! A day of a game, on every broker: deployed, started, typed to, read, crashed, stopped.

use crate::support::{Cluster, GAME, Kind, PATIENCE, until};

/// Through the first and the last replica of the API, which may be the same one.
fn a_day(cluster: &Cluster) {
    let last = cluster.apis.len() - 1;
    cluster.deploy("town", "box", GAME);
    cluster.ok_at(last, &["start", "town"]);

    // Its console, through either replica, from its first line on.
    cluster.ok_at(0, &["send", "town", "say from the first"]);
    cluster.ok_at(last, &["send", "town", "say from the second"]);
    for replica in [0, last] {
        until("both lines are shown", PATIENCE, || {
            let shown = cluster.run_at(replica, &["logs", "town", "--raw"]).out;
            let told = ["ready for commands", "CMD: say from the first", "CMD: say from the second"];
            told.iter().all(|line| shown.contains(line)).then_some(())
        });
    }

    cluster.ok(&["send", "town", "crash 42"]);
    let session = cluster.await_state("town", "crashed");
    assert_eq!(session["exit_code"], 42, "{session:#}");
    // To its end: what the engine is late with comes after the session's own end.
    let shown = cluster.ok_at(last, &["logs", "town", "-f", "--raw"]);
    assert!(shown.err.contains("crash requested"), "{shown}");

    cluster.ok(&["start", "town"]);
    cluster.ok(&["send", "town", "save"]);
    until("the game has saved", PATIENCE, || {
        cluster.run_at(0, &["logs", "town", "--raw"]).out.contains("Saved the game").then_some(())
    });
    cluster.ok_at(last, &["stop", "town"]);
    let session = cluster.await_state("town", "stopped");
    assert_eq!(session["exit_code"], 0, "{session:#}");
    cluster.await_nothing_left();
}

#[test]
fn a_day_on_rabbitmq() {
    a_day(&Cluster::up(Kind::RabbitMq));
}

#[test]
fn a_day_on_nats() {
    a_day(&Cluster::up(Kind::Nats));
}

/// Between one process and many: SQLite and all of the control plane in `manman up --no-host`,
/// and a host elsewhere.
fn one_process_and_a_host(kind: Kind) -> Cluster {
    let mut cluster = Cluster::new(kind);
    cluster.up_without_host();
    cluster.host("box");
    cluster.await_server("box", "online", PATIENCE);
    cluster
}

#[test]
fn a_day_of_one_process_and_a_host_elsewhere_on_rabbitmq() {
    a_day(&one_process_and_a_host(Kind::RabbitMq));
}

#[test]
fn a_day_of_one_process_and_a_host_elsewhere_on_nats() {
    a_day(&one_process_and_a_host(Kind::Nats));
}
