//! Brokers that are killed, away, wiped or stand still: games go on, and what was asked for is
//! accounted for.

use std::time::{Duration, Instant};

use crate::{
    faults::{
        TICKING, answers, game, is_never_lost, playing, playing_on, says_of_its_parts, ticked, was_never_lost,
    },
    installation::scaled,
    support::{Broker, Cluster, GAME, Kind, PATIENCE, docker, until},
    typed::Typed,
};

/// Row 17: a node of RabbitMQ is killed; it takes its time to come back.
#[test]
fn row_17_a_killed_node_costs_nobody_anything() {
    let mut cluster = playing_on(Kind::OwnRabbitMq);
    let before = game(&cluster);
    cluster.broker.settled();
    let Broker::OwnRabbitMq(node, _) = &mut cluster.broker else { unreachable!() };
    node.kill();
    says_of_its_parts(&cluster, [r#""broker":"#, r#""store":"ok""#]);
    let Broker::OwnRabbitMq(node, _) = &mut cluster.broker else { unreachable!() };
    node.again();
    answers(&cluster, 0, "again");
    assert_eq!(game(&cluster), before);
    was_never_lost(&cluster);
    cluster.ok(&["stop", "town"]);
    cluster.await_nothing_left();
}

/// Row 18: a NATS server is killed while games are typed to: what it had marked as done and
/// forgets comes again, and has no effect again.
#[test]
fn row_18_a_killed_broker_costs_nobody_anything_and_repeats_nothing() {
    let cluster = playing();
    let before = game(&cluster);
    let Broker::Nats(server) = &cluster.broker else { unreachable!() };
    let typed = Typed::into("town");
    let mut random = fastrand::Rng::with_seed(18);
    for round in 0..scaled(3, 20) {
        std::thread::scope(|scope| {
            let typing = scope.spawn(|| {
                let typed = Typed::into("town");
                for number in 0..4 {
                    typed.say(&cluster, number % 2, &format!("{round}, {number}"));
                }
                typed
            });
            std::thread::sleep(Duration::from_millis(random.u64(..500)));
            server.kill();
            server.begin();
            typed.and(typing.join().unwrap());
        });
        typed.until_written(&cluster, 0, &format!("{round}, again"));
    }
    typed.was_heard_once(&cluster);
    assert_eq!(game(&cluster), before);
    assert_eq!(cluster.session("town")["attempt"], 1);
    was_never_lost(&cluster);
    cluster.ok(&["stop", "town"]);
    cluster.await_nothing_left();
}

/// Row 19: the broker is away for long; what ended meanwhile is told afterwards, and what was asked
/// for is done or has expired. Nothing is lost, and nothing comes late.
fn row_19(kind: Kind) {
    let mut cluster = Cluster::up(kind);
    for name in ["typed-to", "crashing", "stopping", "starting"] {
        cluster.deploy(name, "box", &[GAME, &TICKING].concat());
    }
    for name in ["typed-to", "crashing", "stopping"] {
        cluster.ok(&["start", name]);
    }
    let process = |cluster: &Cluster| {
        let id = cluster.container("typed-to");
        docker(&["inspect", "-f", "{{.Id}} {{.State.Pid}} {{.State.Running}}", &id])
    };
    let before = process(&cluster);
    let typed = Typed::into("typed-to");
    typed.until_written(&cluster, 0, "before");
    cluster.broker.settled();
    let away = Instant::now();
    cluster.broker.stop();
    // What happens and what is asked for while nobody can be told.
    let crashed = cluster.container("crashing");
    cluster.crash("crashing");
    until("it has crashed", PATIENCE, || {
        let left = docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &crashed]);
        (left == "exited 42").then_some(())
    });
    cluster.ok_at(1, &["start", "starting", "--no-wait"]);
    cluster.ok_at(1, &["stop", "stopping", "--no-wait"]);
    assert!(!typed.say(&cluster, 0, "while it is away"), "nobody can have told the game");
    std::thread::sleep(scaled(Duration::from_secs(15), Duration::from_secs(600)));
    let during = cluster.ok(&["server", "list"]).out;
    assert!(during.contains("online"), "silence counts only while somebody could be heard: {during}");
    cluster.broker.begin();
    let away = away.elapsed();

    // Each of the four is accounted for.
    typed.until_written(&cluster, 0, "again");
    let session = cluster.await_state("crashing", "crashed");
    assert_eq!((&session["exit_code"], &session["attempt"]), (&42.into(), &1.into()), "{session:#}");
    let session = cluster.await_state("stopping", "stopped");
    assert_eq!((&session["exit_code"], &session["attempt"]), (&0.into(), &1.into()), "{session:#}");
    let session = until("the start is accounted for", PATIENCE, || {
        let session = cluster.session("starting");
        (session["state"] == "running" || session["state"] == "failed").then_some(session)
    });
    eprintln!("the start that was asked for meanwhile: {} {}", session["state"], session["reason"]);
    let mut live = vec![cluster.container("typed-to")];
    match session["state"] == "running" {
        true => live.push(cluster.container("starting")),
        false => assert!(session["reason"].to_string().contains("expired"), "{session:#}"),
    }
    until("nothing else is left", PATIENCE, || {
        let mut all = cluster.containers();
        all.sort();
        live.sort();
        (all == live).then_some(())
    });
    assert_eq!(process(&cluster), before);
    // What could not be told in time never is.
    typed.was_heard_once(&cluster);
    assert_eq!(typed.times(&cluster, "while it is away"), 0);
    for name in ["typed-to", "crashing", "stopping", "starting"] {
        is_never_lost(&cluster, name);
        eprintln!("{name}: {} ticks", ticked(&cluster, name));
    }
    assert!(ticked(&cluster, "typed-to") > away.as_secs() / 2, "{away:?}");
    // To their last lines.
    let last = |name: &str| {
        let shown = cluster.ok(&["logs", name, "--raw"]);
        shown.out + &shown.err
    };
    assert!(last("crashing").contains("OutOfMemoryError: simulated"), "{}", last("crashing"));
    assert!(last("stopping").contains("\nStopped\n"), "{}", last("stopping"));
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
