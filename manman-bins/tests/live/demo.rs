//! `manman up --demo`: its game, in an image that holds nothing else.

use std::{path::Path, time::Duration};

use crate::support::{Installation, docker, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// An installation that shows the demo, once its game has greeted.
fn up() -> Installation {
    let mut manman = Installation::new(Path::new("/var/run/docker.sock"));
    docker::answers();
    show(&mut manman, "demo | ready; commands: ");
    manman
}

/// Brings it up with the demo, and waits until its console shows `line`.
fn show(manman: &mut Installation, line: &str) {
    let before = manman.log().len();
    manman.spawn_with(&["--demo"]);
    until(line, PATIENCE, || manman.log()[before..].contains(line).then_some(()));
}

#[test]
fn its_image_holds_one_small_program_that_runs_as_nobody_special() {
    let manman = up();
    let container = docker::inspect(&manman.container(1));
    let image: serde_json::Value =
        serde_json::from_str(&docker::ok(&["image", "inspect", container["Image"].as_str().unwrap()]))
            .unwrap();
    let size = image[0]["Size"].as_u64().unwrap();
    assert!(size < 4_000_000, "{size} bytes");
    assert!(!["", "0", "0:0"].contains(&container["Config"]["User"].as_str().unwrap()));
    manman.ok(&["down"]);
    manman.await_nothing_left();
}

#[test]
fn its_world_outlives_ctrl_c_a_stop_a_crash_and_the_death_of_manman() {
    let mut manman = up();
    manman.ok(&["send", "demo", "say hello"]);
    manman.await_output("demo", "<server> hello\n");
    until("a day passes", PATIENCE, || manman.log().contains("demo | [day 1] ").then_some(()));

    let id = |manman: &Installation| docker::inspect(&manman.container(1))["Id"].clone();
    let before = id(&manman);
    assert_eq!(manman.interrupt(), 0);
    show(&mut manman, "demo | village demo: day 0, 0 villagers");
    manman.kill_9();
    show(&mut manman, "demo | village demo: day 0, 0 villagers");
    assert_eq!(id(&manman), before, "its container is the same one");
    manman.ok(&["stop", "demo"]);
    let stopped = manman.session("demo");
    assert_eq!((&stopped["state"], &stopped["exit_code"]), (&"stopped".into(), &0.into()), "{stopped:#}");
    manman.await_output("demo", "the village goes to sleep\nsaved day ");
    let saved = std::fs::read_to_string(manman.game_directory(1).join("village.save")).unwrap();
    let day = saved.lines().nth(1).unwrap().to_owned();
    assert_ne!(day, "day 0");

    manman.ok(&["start", "demo"]);
    manman.await_output("demo", &format!("village demo: {day}, "));
    manman.ok(&["send", "demo", "crash 42"]);
    assert_eq!(manman.await_state("demo", "crashed")["exit_code"], 42);
    manman.await_nothing_left();
}
