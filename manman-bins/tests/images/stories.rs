//! From the templates of the compose files to an installation, and to its end.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use crate::{
    cluster::Cluster,
    support::{Ground, PATIENCE, compose, docker, inspect, scaled, set, until},
};

/// The host manager has the three capabilities and nothing more, and gave the game's
/// directory to the game's user.
fn least_privilege(cluster: &Cluster) {
    let host = inspect(&format!("{}-host", cluster.ground.name));
    let config = &host["HostConfig"];
    assert_eq!(config["CapDrop"], serde_json::json!(["ALL"]), "{config:#}");
    // Newer engines write them out.
    let added = config["CapAdd"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let mut added: Vec<&str> = added.map(|name| name.trim_start_matches("CAP_")).collect();
    added.sort_unstable();
    assert_eq!(added, ["CHOWN", "DAC_OVERRIDE", "FOWNER"], "{config:#}");
    assert_eq!((&config["Privileged"], &config["ReadonlyRootfs"]), (&false.into(), &true.into()));
    let data = cluster.place.join("data");
    let games = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap());
    let mut games = games.filter(|entry| entry.file_type().unwrap().is_dir());
    let game = games.find(|entry| entry.file_name().to_string_lossy().starts_with("gsc-")).unwrap();
    let world = fs::metadata(game.path().join("world.dat")).unwrap();
    assert_eq!((world.uid(), game.metadata().unwrap().uid()), (1000, 1000));
}

/// The API and NATS are encrypted from now on: `.env` says so.
fn encrypt(cluster: &mut Cluster) {
    let tls = cluster.place.join("tls");
    manman_services::certificates(&tls, "DNS:control-api,DNS:nats,IP:127.0.0.1");
    for (made, called) in [("server.pem", "cert.pem"), ("server.key", "key.pem")] {
        fs::rename(tls.join(made), tls.join(called)).unwrap();
    }
    // Who runs the test need not be root, and cannot give it away then.
    fs::set_permissions(tls.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    cluster.ca = Some(tls.join("ca.pem"));
    let files = "compose.yaml:compose.nats.yaml:compose.tls.yaml:compose.nats-tls.yaml";
    set(&cluster.place.join(".env"), &[("COMPOSE_FILE", files)]);
    cluster.bring_up();
}

#[test]
fn compose_takes_what_the_templates_offer() {
    let ground = Ground::shared();
    let place = ground.path().join("offered");
    ground.unpack(&place);
    fs::copy(place.join(".env.template"), place.join(".env")).unwrap();
    set(&place.join(".env"), &[("SERVER_NAME", "box")]);
    let template = fs::read_to_string(place.join(".env.template")).unwrap();
    let offered =
        template.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix("COMPOSE_FILE="));
    let offered: Vec<&str> = offered.collect();
    assert_eq!(offered.len(), 3);
    for files in offered {
        let config = compose(&place, files, &["config", "-q"]);
        assert_eq!(config.code, 0, "{files}: {config}");
    }
    // What was not said is asked for.
    fs::remove_file(place.join(".env")).unwrap();
    let config = compose(&place, "compose.yaml", &["config", "-q"]);
    assert!(config.code != 0 && config.err.contains("make .env from .env.template first"), "{config}");
}

/// The game goes on while all around it but PostgreSQL is replaced; then there is a second
/// host, where somebody gets a path wrong, and then does not.
fn grow(cluster: &mut Cluster) {
    encrypt(cluster);
    cluster.await_online("box");
    cluster.type_into("town", "say still here");

    let other = cluster.other_host();
    let wrong = "version: '3.8'\nservices: {host-manager: {environment: {HOST_DATA_DIR: /not/there}}}\n";
    fs::write(other.join("wrong.yaml"), wrong).unwrap();
    let up = compose(&other, "host.yaml:wrong.yaml", &["--env-file", "host.env", "up", "-d"]);
    assert_eq!(up.code, 0, "{up}");
    cluster.await_online("other");
    cluster.deploy("hill", "other");
    let refused = cluster.run(0, &["start", "hill"]);
    assert_eq!(refused.code, 1, "{refused}");
    let sentence = "the engine does not see the data directory /data as /not/there: set HOST_DATA_DIR to the \
                    directory of the machine that is mounted at /data";
    assert!(refused.err.contains(sentence), "{refused}");
    let up = compose(&other, "host.yaml", &["--env-file", "host.env", "up", "-d"]);
    assert_eq!(up.code, 0, "{up}");
    until("hill runs", PATIENCE, || (cluster.run(0, &["start", "hill"]).code == 0).then_some(()));
    cluster.type_into("hill", "say found by itself");
    cluster.ok(1, &["stop", "hill"]);
    // Its games end with the manager that sees to it.
    until("hill is gone", PATIENCE, || {
        let name = format!("name=gsc-{}-2-", cluster.ground.name);
        docker(&["ps", "-aq", "--filter", &name]).out.is_empty().then_some(())
    });
    let down = compose(&other, "host.yaml", &["--env-file", "host.env", "down", "-v"]);
    assert_eq!(down.code, 0, "{down}");
}

#[test]
fn from_the_templates_to_a_game_and_back_to_nothing() {
    for &broker in scaled(&["nats"][..], &["nats", "rabbitmq"]) {
        let mut cluster = Cluster::up(broker);
        cluster.await_online("box");
        cluster.deploy("town", "box");
        cluster.ok(1, &["start", "town"]);
        cluster.type_into("town", "save");
        cluster.await_line("town", "Saved the game");
        least_privilege(&cluster);
        if broker == "nats" {
            grow(&mut cluster);
        }
        cluster.ok(1, &["stop", "town"]);
        cluster.await_no_games();
        let down = compose(&cluster.place, "", &["down", "-v"]);
        assert_eq!(down.code, 0, "{down}");
        for left in [&["ps", "-aq"][..], &["network", "ls", "-q"], &["volume", "ls", "-q"]] {
            let left = docker(&[left, &["--filter", &cluster.project()]].concat());
            assert!(left.out.is_empty(), "{left}");
        }
    }
}
