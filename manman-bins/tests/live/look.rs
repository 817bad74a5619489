//! What `doctor` and `uninstall` see of an installation at a real engine.

use serde_json::Value;

use crate::support::{Installation, docker};

/// The commands of a step of `uninstall`.
fn commands(left: &Value, title: &str) -> Vec<String> {
    let step = left["steps"].as_array().unwrap().iter().find(|step| step["title"] == title).unwrap();
    let items = step["items"].as_array().unwrap().iter();
    items
        .flat_map(|item| item["commands"].as_array().unwrap())
        .map(|it| it.as_str().unwrap().into())
        .collect()
}

#[test]
fn what_is_at_the_engine_is_seen_and_named() {
    let mut manman = Installation::up();
    let sgc = manman.deploy("seen", &["--image", "manman-fixture/testgame:1"], &[]);
    manman.ok(&["start", "seen"]);
    let name = docker::inspect(&manman.container(sgc))["Name"].as_str().unwrap().to_owned();
    let container = name.trim_start_matches('/');
    assert_eq!(manman.interrupt(), 0, "{}", manman.log());

    // The exit code is about the machine too: it may have problems of its own.
    let report: Value = serde_json::from_str(&manman.run(&["doctor", "-o", "json"]).out).unwrap();
    let sections = report["sections"].as_array().unwrap();
    let docker = sections.iter().find(|section| section["title"] == "docker").unwrap()["checks"].to_string();
    assert!(docker.contains(&format!("{container} (alive)")) && docker.contains("session-1-"), "{docker}");

    let left = manman.json(&["uninstall"]);
    assert!(commands(&left, "games that run")[0].starts_with("manman down --data-dir "), "{left:#}");
    assert_eq!(commands(&left, "containers"), [format!("docker rm -f {container}")]);
    assert_eq!(commands(&left, "networks").len(), 1);

    manman.start();
    manman.ok(&["down"]);
    manman.await_nothing_left();
    let left = manman.json(&["uninstall"]);
    assert_eq!(commands(&left, "containers"), Vec::<String>::new());
    assert!(commands(&left, "games that run").is_empty(), "{left:#}");
}
