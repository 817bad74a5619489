//! What is not ours is left alone, and said.

use std::{fs, time::Duration};

use crate::support::{Installation, docker, until};

/// A container that somebody else made, removed at the end.
struct Theirs(String);

impl Theirs {
    fn with(labels: &[(&str, &str)]) -> Self {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut args = vec!["run", "-d", "--init", "--network", "none", "--label", "manman.type=game"];
        for label in &labels {
            args.extend(["--label", label.as_str()]);
        }
        args.extend(["manman-fixture/busybox:1", "sleep", "600"]);
        Self(docker::ok(&args))
    }

    fn name(&self) -> String {
        docker::inspect(&self.0)["Name"].as_str().unwrap().trim_start_matches('/').to_owned()
    }

    fn runs(&self) -> bool {
        docker::inspect(&self.0)["State"]["Running"] == true
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = docker::run(&["rm", "-fv", &self.0]);
    }
}

#[test]
fn foreign_containers_are_never_touched_and_said() {
    docker::answers();
    let mut manman = Installation::up();
    let status = manman.json(&["status"]);
    let cluster = status["installation"]["cluster_id"].as_str().expect("the cluster's id");
    let environment = manman.environment.clone();
    let theirs = [
        Theirs::with(&[
            ("manman.cluster", cluster),
            ("manman.server_id", "999"),
            ("manman.session_id", "1"),
            ("manman.sgc_id", "1"),
            ("manman.attempt", "1"),
            ("manman.environment", &environment),
        ]),
        Theirs::with(&[
            ("manman.cluster", "11111111-2222-4333-8444-555555555555"),
            ("manman.server_id", "1"),
            ("manman.session_id", "1"),
            ("manman.sgc_id", "1"),
            ("manman.attempt", "1"),
            ("manman.environment", &environment),
        ]),
        Theirs::with(&[("manman.cluster", "garbage"), ("manman.session_id", "not a number")]),
        Theirs::with(&[]),
    ];
    // Found at a start as well as by a look in between.
    manman.kill_9();
    manman.start();
    manman.deploy("ours", &["--image", "manman-fixture/testgame:1"], &[]);
    manman.ok(&["start", "ours"]);
    manman.ok(&["stop", "ours"]);
    assert!(theirs.iter().all(Theirs::runs));
    let names = theirs.each_ref().map(Theirs::name);
    until("each is said", Duration::from_secs(60), || {
        let log = manman.log();
        let said =
            |name: &String| log.lines().any(|line| line.contains("leaving alone") && line.contains(name));
        names.iter().all(said).then_some(())
    });
    manman.ok(&["down"]);
    assert!(theirs.iter().all(Theirs::runs));
}

#[test]
fn another_clusters_data_directory_is_refused() {
    let manman = Installation::up();
    let sgc = manman.deploy("guest", &["--image", "manman-fixture/testgame:1"], &[]);
    let directory = manman.game_directory(sgc);
    manman.ok(&["start", "guest"]);
    manman.ok(&["stop", "guest"]);
    let world = fs::read(directory.join("world.dat")).unwrap();

    // The same place under another installation: its database is gone, the games are not.
    let mut other = Installation::new(std::path::Path::new("/var/run/docker.sock"));
    other.environment = manman.environment.clone();
    for entry in fs::read_dir(manman.data()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.contains(&format!("gsc-{}-{sgc}", manman.environment)) {
            let status =
                std::process::Command::new("cp").arg("-a").arg(entry.path()).arg(other.data()).status();
            assert!(status.unwrap().success());
        }
    }
    other.start();
    assert_eq!(other.deploy("guest", &["--image", "manman-fixture/testgame:1"], &[]), sgc);
    let refused = other.run(&["start", "guest"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err.contains("belongs to another"), "{refused}");
    assert_eq!(fs::read(other.game_directory(sgc).join("world.dat")).unwrap(), world);
}

#[test]
fn a_second_up_on_one_data_directory_is_refused() {
    let manman = Installation::up();
    let second = manman.run(&["up"]);
    assert_ne!(second.code, 0, "{second}");
    assert!(second.err.contains(&manman.pid().to_string()), "it names who holds it: {second}");
    manman.ok(&["server", "list"]);
}
