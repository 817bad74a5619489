//! Event processors that are killed or stand still: what was reported counts once, and nobody is
//! taken for silent.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    faults::{answers, playing_on, was_never_lost},
    installation::scaled,
    support::{Cluster, GAME, Held, Kind, PATIENCE, told_on, until},
};

/// Row 28: a processor is killed in the midst of its work, a report in its hands and half of it
/// written; the other one goes on, and nothing counts twice.
#[test]
fn row_28_what_a_killed_processor_had_in_hand_counts_once() {
    told_on([Kind::RabbitMq, Kind::Nats], processors_are_killed);
}

fn processors_are_killed(kind: Kind) {
    let mut cluster = Cluster::up(kind);
    for round in 0..scaled(3, 20) {
        let name = format!("town{round}");
        cluster.deploy(&name, "box", GAME);
        cluster.ok(&["start", &name]);

        let held = Held::of(&cluster, &name);
        cluster.crash(&name);
        let pids: Vec<u32> = cluster.processors.iter_mut().map(|it| it.guarded().pid()).collect();
        let gone = held.who_waits(&cluster, &pids);
        cluster.processors[gone].kill();
        assert_eq!(cluster.session(&name)["state"], "running");
        drop(held);
        let session = cluster.await_state(&name, "crashed");
        assert_eq!((&session["exit_code"], &session["attempt"]), (&42.into(), &1.into()), "{session:#}");
        cluster.processors[gone].start();
        eprintln!("round {round}: processor {gone} was killed");
    }
    cluster.ready();
    // Each entry of every timeline once, and these are all that there are.
    for round in 0..scaled(3, 20) {
        let timeline = cluster.timeline(&format!("town{round}"));
        let entries: BTreeSet<String> =
            timeline.iter().map(|entry| format!("{} {}", entry["state"], entry["phase"])).collect();
        assert_eq!(entries.len(), timeline.len(), "{timeline:#?}");
        for state in ["pending", "running", "crashed"] {
            let times = timeline.iter().filter(|entry| entry["state"] == state).count();
            assert_eq!(times, 1, "{state}: {timeline:#?}");
        }
        assert_eq!(timeline.last().unwrap()["state"], "crashed", "{timeline:#?}");
    }
    // None was refused, and none is a dead letter.
    assert_eq!(cluster.sql("SELECT refused FROM installation"), "0");
    let letters = cluster.ok(&["deadletter", "list", "-o", "json"]).out;
    let letters: serde_json::Value = serde_json::from_str(&letters).unwrap();
    assert_eq!(letters["dead_letters"].as_array().map_or(0, Vec::len), 0, "{letters:#}");
    cluster.await_nothing_left();
}

/// Row 33: all processors stand still, longer than a host may be silent: nobody is stale.
#[test]
fn row_33_paused_processors_take_nobody_for_silent() {
    told_on([Kind::RabbitMq, Kind::Nats], processors_stand_still);
}

fn processors_stand_still(kind: Kind) {
    let mut cluster = playing_on(kind);
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
