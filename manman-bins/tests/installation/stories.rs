//! What is the same whatever runs the games: told of each of them. `game` is what
//! `config create` takes for the game of `fixtures/testgame`.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Installation, Ran, until};

/// The settings of installations whose last lines are looked at: before an end is told, they are
/// waited for as long as can be.
pub const LAST_LINES: &str = "[host]\nlast_lines_millis = 10_000";

/// The session that a command printed.
pub fn session_of(printed: &Value) -> &Value {
    printed.get("session").unwrap_or(printed)
}

/// The sentence of a session's reason.
pub fn reason(session: &Value) -> &str {
    session["reason"]["text"].as_str().unwrap_or_default()
}

/// A start that cannot be says why, in its session and at once.
#[track_caller]
pub fn start_fails(manman: &Installation, name: &str, sentence: &str) -> Value {
    let ran = manman.run(&["start", name]);
    assert_eq!(ran.code, 1, "{ran}");
    let session = manman.await_state(name, "failed");
    assert!(reason(&session).contains(sentence), "{session:#}");
    assert!(ran.err.contains(sentence), "{ran}");
    session
}

/// A stop goes through its steps, then the signal, then the kill.
pub fn stop_goes_through_its_plan(manman: &Installation, game: &[&str]) {
    let stop = ["--env", "TERM_MODE=ignore", "--stop", "say going down:1s", "--stop", "save:500ms"];
    manman.deploy("stubborn", &[game, &stop, &["--stop-grace", "2s"]].concat(), &[]);
    manman.ok(&["start", "stubborn"]);
    manman.await_output("stubborn", "ready for commands");
    let start = Instant::now();
    let stopped = manman.json(&["stop", "stubborn"]);
    let took = start.elapsed();
    let session = session_of(&stopped);
    assert_eq!(session["state"], "stopped", "{stopped:#}");
    assert_eq!(session["exit_code"], 137, "{stopped:#}");
    assert!(took >= Duration::from_millis(3_500), "each wait has its own time: {took:?}");
    let logs = manman.all_output("stubborn");
    let at = |text: &str| logs.find(text).unwrap_or_else(|| panic!("{text:?} is not in {logs}"));
    assert!(at("going down") < at("Saved the game"));
    // A save may take longer than the stop waits for it.
    at("Ignoring SIGTERM");
}

/// A kill overtakes a stop.
pub fn kill_overtakes_stop(manman: &Installation, game: &[&str]) {
    manman.deploy("hurried", &[game, &["--stop", "say wait:1h"]].concat(), &[]);
    manman.ok(&["start", "hurried"]);
    manman.ok(&["stop", "hurried", "--no-wait"]);
    manman.await_state("hurried", "stopping");
    let start = Instant::now();
    manman.ok(&["kill", "hurried"]);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert_eq!(manman.session("hurried")["state"], "stopped");
}

/// Input gets a receipt, also where nobody takes it.
pub fn input_gets_a_receipt(manman: &Installation, game: &[&str]) {
    manman.deploy("chatty", game, &[]);
    let early = manman.run(&["send", "chatty", "list"]);
    assert_eq!(early.code, 1, "{early}");
    manman.ok(&["start", "chatty"]);
    manman.ok(&["send", "chatty", "err to the other stream"]);
    until("it is answered on stderr", Duration::from_secs(60), || {
        manman.ok(&["logs", "chatty", "--raw"]).err.contains("ERR: to the other stream").then_some(())
    });
    manman.ok(&["stop", "chatty"]);
    let late = manman.run(&["send", "chatty", "list"]);
    assert_eq!(late.code, 1, "{late}");
    assert!(late.err.contains("stopped"), "{late}");
}

/// An exit with 0 by itself is completed.
pub fn exit_0_is_completed(manman: &Installation, game: &[&str]) {
    manman.deploy("calm", game, &[]);
    manman.ok(&["start", "calm"]);
    manman.ok(&["send", "calm", "stop"]);
    let session = manman.await_state("calm", "completed");
    assert_eq!(session["exit_code"], 0);
}

/// An exit with 42 is crashed, with the last lines, in an installation by [`LAST_LINES`].
pub fn exit_42_is_crashed(manman: &Installation, game: &[&str]) {
    manman.deploy("wild", game, &[]);
    manman.ok(&["start", "wild"]);
    manman.ok(&["send", "wild", "crash 42"]);
    let session = manman.await_state("wild", "crashed");
    assert_eq!(session["exit_code"], 42);
    assert!(reason(&session).contains("42"), "{session:#}");
    let last = session["last_lines"].as_array().unwrap();
    assert!(last.iter().any(|line| line.as_str().unwrap().contains("crash requested")), "{session:#}");
}

/// A restart is another attempt of the same session.
pub fn restart_is_another_attempt(manman: &Installation, game: &[&str], process: impl Fn(i64) -> i64) {
    let sgc = manman.deploy("phoenix", game, &[]);
    manman.ok(&["start", "phoenix"]);
    let (before, first) = (manman.session("phoenix"), process(sgc));
    manman.ok(&["restart", "phoenix"]);
    let after = manman.await_state("phoenix", "running");
    assert_eq!(after["session_id"], before["session_id"]);
    assert_eq!(after["attempt"], 2);
    assert_ne!(process(sgc), first);
    manman.ok(&["stop", "phoenix"]);
}

/// Of two starts at once one is refused, by name.
pub fn of_two_starts_one_is_refused(manman: &Installation, name: &str) {
    let starts: Vec<Ran> = std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| manman.run(&["start", name]))).collect();
        both.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let session = manman.await_state(name, "running")["session_id"].to_string();
    let (won, refused): (Vec<_>, Vec<_>) = starts.iter().partition(|ran| ran.code == 0);
    assert_eq!((won.len(), refused.len()), (1, 1), "{starts:?}");
    assert!(refused[0].err.contains(&format!("session {session}")), "{}", refused[0]);
}

/// Starts and stops a deployment so many times, apart by chance, while `watch` looks; where
/// none came to run, as on a machine that has much to do, further ones, more and more apart.
pub fn race(manman: &Installation, name: &str, rounds: u32, watch: impl Fn() -> usize + Sync) {
    let (over, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                seen.fetch_add(watch(), Ordering::Relaxed);
            }
        });
        let mut random = fastrand::Rng::new();
        for round in 0..rounds + 10 {
            let more = round.saturating_sub(rounds - 1);
            if more > 0 && seen.load(Ordering::Relaxed) > 0 {
                break;
            }
            let apart = Duration::from_millis(random.u64(0..600)) * (1 + more);
            std::thread::scope(|scope| {
                scope.spawn(|| manman.run(&["start", name, "--no-wait"]));
                std::thread::sleep(apart);
                scope.spawn(|| manman.run(&["stop", name, "--no-wait"]));
            });
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(seen.into_inner() > 0, "some of them ran");
    until("the last one ends", Duration::from_secs(60), || {
        manman.run(&["kill", name]);
        let ended = !manman.session(name)["ended_at"].is_null();
        ended.then_some(())
    });
}
