//! Many at once, and the same again: one effect each.

use std::process::Stdio;

use crate::{
    installation::stories,
    support::{GAME, Installation, docker, scaled},
};

#[test]
fn of_two_starts_at_once_one_is_refused_by_name() {
    let manman = Installation::up();
    let sgc = manman.deploy("twice", GAME, &[]);
    stories::of_two_starts_one_is_refused(&manman, "twice");
    manman.container(sgc);
    manman.ok(&["kill", "twice"]);
}

/// Row 29 of the faults: 64 clients ask for one port.
#[test]
fn of_64_deployments_that_ask_for_one_port_one_gets_it() {
    let manman = Installation::up();
    manman.ok(&["game", "create", "crowd"]);
    let config = ["config", "create", "crowd", "--game", "crowd", "--image", "a", "--port", "7777/tcp"];
    manman.ok(&config);
    let names: Vec<String> = (0..64).map(|number| format!("crowd-{number}")).collect();
    let children: Vec<_> = names
        .iter()
        .map(|name| {
            manman
                .client(&["deployment", "create", name, "--config", "crowd", "--port", "7777/tcp=17777"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut won = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            won += 1;
        } else {
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(err.contains("17777"), "{err}");
        }
    }
    assert_eq!(won, 1);
    let ports = manman.json(&["server", "show", "box"]);
    assert_eq!(ports["ports"].as_array().unwrap().len(), 1, "{ports:#}");
}

/// Row 29 of the faults: clients ask at once for any port of one range.
#[test]
fn games_of_one_range_never_share_a_port() {
    let manman = Installation::up();
    manman.ok(&["game", "create", "range"]);
    manman.ok(&["config", "create", "range", "--game", "range", "--image", "a", "--port", "7777/udp"]);
    let names: Vec<String> = (0..16).map(|number| format!("range-{number}")).collect();
    let ports: Vec<u64> = std::thread::scope(|scope| {
        let all: Vec<_> = names
            .iter()
            .map(|name| {
                scope.spawn(|| {
                    let port = "7777/udp=any:18000-18015";
                    let made =
                        manman.json(&["deployment", "create", name, "--config", "range", "--port", port]);
                    made["port_bindings"][0]["host_port"].as_u64().unwrap()
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut sorted = ports.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted, (18000..18016).collect::<Vec<_>>(), "{ports:?}");
    let full = manman.run(&[
        "deployment",
        "create",
        "one-more",
        "--config",
        "range",
        "--port",
        "7777/udp=any:18000-18015",
    ]);
    assert_eq!(full.code, 1, "{full}");
    assert!(full.err.contains("18000"), "{full}");
}

/// Row 30 of the faults: starts and stops of one deployment race; there is never more than
/// one container.
#[test]
fn starts_and_stops_that_race_leave_one_container_or_none() {
    let manman = Installation::up();
    let sgc = manman.deploy("racer", GAME, &[]);
    let label = format!("label=manman.environment={}", manman.environment);
    stories::race(&manman, "racer", scaled(24, 400), || {
        let live = docker::lines(&["ps", "-q", "--filter", &label]);
        assert!(live.len() <= 1, "{live:?} of deployment {sgc}");
        live.len()
    });
    manman.await_nothing_left();
}
