//! How games are asked to end, and what `manman up` and `manman down` leave.

use std::time::{Duration, Instant};

use crate::support::{Installation, docker, until};

#[test]
fn a_stop_goes_through_its_steps_then_the_signal_then_the_kill() {
    let manman = Installation::up();
    let config = [
        "--image",
        "manman-fixture/testgame:1",
        "--env",
        "TERM_MODE=ignore",
        "--stop",
        "say going down:1s",
        "--stop",
        "save:500ms",
        "--stop-grace",
        "2s",
    ];
    manman.deploy("stubborn", &config, &[]);
    manman.ok(&["start", "stubborn"]);
    let start = Instant::now();
    let stopped = manman.json(&["stop", "stubborn"]);
    let took = start.elapsed();
    let session = stopped.get("session").unwrap_or(&stopped);
    assert_eq!(session["state"], "stopped", "{stopped:#}");
    assert_eq!(session["exit_code"], 137, "{stopped:#}");
    assert!(took >= Duration::from_millis(3_500), "each wait has its own time: {took:?}");
    let logs = manman.ok(&["logs", "stubborn", "--raw"]).out;
    let at = |text: &str| logs.find(text).unwrap_or_else(|| panic!("{text:?} is not in {logs}"));
    assert!(at("going down") < at("Saved the game"));
    assert!(at("Saved the game") < at("Ignoring SIGTERM"));
    manman.await_nothing_left();
}

#[test]
fn a_kill_overtakes_a_stop() {
    let manman = Installation::up();
    let config = ["--image", "manman-fixture/testgame:1", "--stop", "say wait:1h"];
    manman.deploy("hurried", &config, &[]);
    manman.ok(&["start", "hurried"]);
    manman.ok(&["stop", "hurried", "--no-wait"]);
    manman.await_state("hurried", "stopping");
    let start = Instant::now();
    manman.ok(&["kill", "hurried"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(manman.session("hurried")["state"], "stopped");
    manman.await_nothing_left();
}

#[test]
fn ctrl_c_leaves_games_running_and_down_stops_them() {
    let mut manman = Installation::up();
    let sgc = manman.deploy("steady", &["--image", "manman-fixture/testgame:1"], &[]);
    manman.ok(&["start", "steady"]);
    let pid = docker::pid(&manman.container(sgc));

    assert_eq!(manman.interrupt(), 0, "{}", manman.log());
    assert!(manman.log().contains("1 game"), "{}", manman.log());
    assert_eq!(docker::pid(&manman.container(sgc)), pid);

    manman.start();
    assert_eq!(manman.session("steady")["state"], "running");
    assert_eq!(docker::pid(&manman.container(sgc)), pid);

    manman.ok(&["down"]);
    assert_eq!(manman.run(&["server", "list"]).code, 69);
    manman.await_nothing_left();
}

#[test]
fn down_stops_the_games_of_a_dead_manman() {
    let mut manman = Installation::up();
    manman.deploy("orphan", &["--image", "manman-fixture/testgame:1"], &[]);
    manman.ok(&["start", "orphan"]);
    manman.kill_9();
    manman.ok(&["down"]);
    manman.await_nothing_left();
    manman.start();
    let session = manman.session("orphan");
    assert_eq!(session["state"], "stopped", "{session:#}");
}

#[test]
fn input_gets_a_receipt() {
    let manman = Installation::up();
    manman.deploy("chatty", &["--image", "manman-fixture/testgame:1"], &[]);
    let early = manman.run(&["send", "chatty", "list"]);
    assert_eq!(early.code, 1, "{early}");
    manman.ok(&["start", "chatty"]);
    manman.ok(&["send", "chatty", "err to the other stream"]);
    until("it is answered on stderr", Duration::from_secs(10), || {
        manman.ok(&["logs", "chatty", "--raw"]).err.contains("ERR: to the other stream").then_some(())
    });
    manman.ok(&["stop", "chatty"]);
    let late = manman.run(&["send", "chatty", "list"]);
    assert_eq!(late.code, 1, "{late}");
    assert!(late.err.contains("stopped"), "{late}");
}
