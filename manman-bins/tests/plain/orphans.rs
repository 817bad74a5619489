//! The supervisor of a game dies, alone and in company: the game goes on, and its end is told
//! as far as anybody knows it.

use std::time::Duration;

use serde_json::Value;

use crate::{
    installation::stories::{LAST_LINES, reason, session_of},
    support::{
        Attempt, Installation,
        processes::{kill, lives},
        until,
    },
};

/// An installation whose game runs.
fn played() -> (Installation, Attempt) {
    let manman = Installation::up_by(LAST_LINES);
    let sgc = manman.deploy_game("orphan", &["--stop", "stop:10s"]);
    manman.ok(&["start", "orphan"]);
    let attempt = manman.attempt(sgc);
    assert!(lives(attempt.supervisor), "{attempt:?}");
    (manman, attempt)
}

/// A line that is sent comes back on the console.
#[track_caller]
fn answers(manman: &Installation, line: &str) {
    until("the console takes input", Duration::from_secs(60), || {
        (manman.run(&["send", "orphan", &format!("say {line}")]).code == 0).then_some(())
    });
    manman.await_output("orphan", &format!("[Server] {line}\n"));
}

#[track_caller]
fn goes_on(manman: &Installation, attempt: &Attempt) {
    assert!(lives(attempt.game), "the game goes on");
    answers(manman, "still here");
    let session = manman.session("orphan");
    assert_eq!(session["state"], "running", "{session:#}");
    assert!(lives(attempt.game), "the game goes on");
}

/// A stop of it is one like any other, but for the exit code, which nobody saw.
#[track_caller]
fn stops(manman: &Installation) {
    let stopped = manman.json(&["stop", "orphan"]);
    let session = session_of(&stopped);
    assert_eq!(session["state"], "stopped", "{session:#}");
    let logs = manman.all_output("orphan");
    assert!(logs.contains("Saved the game") && logs.contains("Stopped"), "{logs}");
    manman.await_nothing_left();
}

/// Nobody saw how it ended, and that is said.
#[track_caller]
fn ends_unseen(manman: &Installation) -> Value {
    let session = manman.await_state("orphan", "crashed");
    assert!(session["exit_code"].is_null(), "{session:#}");
    assert!(reason(&session).contains("nobody saw how it ended"), "{session:#}");
    manman.await_nothing_left();
    session
}

#[test]
fn a_game_outlives_its_supervisor_and_can_be_stopped() {
    let (manman, attempt) = played();
    kill(attempt.supervisor);
    goes_on(&manman, &attempt);
    stops(&manman);
}

#[test]
fn a_game_that_outlived_its_supervisor_ends_by_itself() {
    let (manman, attempt) = played();
    kill(attempt.supervisor);
    goes_on(&manman, &attempt);
    manman.ok(&["send", "orphan", "crash 42"]);
    let session = ends_unseen(&manman);
    // What it printed last is there all the same.
    assert!(session["last_lines"].to_string().contains("crash requested"), "{session:#}");
}

#[test]
fn a_game_outlives_its_supervisor_and_manman_and_can_be_stopped() {
    let (mut manman, attempt) = played();
    manman.kill_9();
    kill(attempt.supervisor);
    manman.start();
    goes_on(&manman, &attempt);
    stops(&manman);
}

#[test]
fn a_game_that_outlived_both_ends_by_itself() {
    let (mut manman, attempt) = played();
    kill(attempt.supervisor);
    manman.kill_9();
    manman.start();
    goes_on(&manman, &attempt);
    manman.ok(&["send", "orphan", "stop"]);
    ends_unseen(&manman);
}

#[test]
fn after_the_death_of_all_three_the_next_start_works() {
    let mut manman = Installation::up();
    let port = manman_services::free_port();
    let need = format!("{port}/tcp");
    let game = manman.game();
    let mut config: Vec<&str> = game.iter().map(String::as_str).collect();
    config.extend(["--port", &need]);
    let sgc = manman.deploy("orphan", &config, &[&format!("{need}={port}")]);
    manman.ok(&["start", "orphan"]);
    let attempt = manman.attempt(sgc);
    manman.kill_9();
    kill(attempt.supervisor);
    kill(attempt.game);
    manman.start();
    ends_unseen(&manman);
    manman.ok(&["start", "orphan"]);
    answers(&manman, "again");
    manman.ok(&["stop", "orphan"]);
    manman.await_nothing_left();
}
