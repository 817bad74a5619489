//! The engine stopped, killed, frozen and restarted under a running game: a second engine
//! each, in a network namespace of its own.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use manman_docker::testkit::{Options, SecondEngine};
use serde_json::Value;

use crate::{
    installation::flood::{Console, assert_whole, numbered, written},
    support::{Installation, docker, scaled, until},
};

const FLOOD: &[&str] = &[
    "--image",
    "manman-fixture/flooder:1",
    "--",
    "--lines",
    "endless",
    "--rate",
    "2000",
    "--mode",
    "numbered",
    "--streams",
    "both",
    "--end",
    "idle",
];

/// An engine, and an installation that drives it.
struct Pair {
    tokio: tokio::runtime::Runtime,
    engine: SecondEngine,
    manman: Installation,
}

impl Pair {
    fn new(live_restore: bool, image: &str) -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = tokio
            .block_on(async {
                let engine = SecondEngine::start(Options { live_restore }).await?;
                engine.load(image).await?;
                io::Result::Ok(engine)
            })
            .unwrap();
        let mut manman = Installation::new(&engine.socket());
        manman.start();
        Self { tokio, engine, manman }
    }

    fn restart(&mut self, kill: bool) {
        self.tokio
            .block_on(async {
                if kill {
                    self.engine.kill().await?
                } else {
                    self.engine.stop().await?
                }
                // Long enough for a manager to look and find nobody.
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.engine.start_again().await
            })
            .unwrap();
    }

    fn pid(&self) -> String {
        let socket = format!("unix://{}", self.engine.socket().display());
        let ids = docker::lines(&["-H", &socket, "ps", "-q"]);
        assert_eq!(ids.len(), 1, "{ids:?}");
        docker::ok(&["-H", &socket, "inspect", "-f", "{{.State.Pid}}", &ids[0]])
    }

    /// Input reaches the game again: the console is open.
    fn answers(&self, name: &str) {
        until("the console takes input", Duration::from_secs(60), || {
            (self.manman.run(&["send", name, "count"]).code == 0).then_some(())
        });
    }
}

#[track_caller]
fn assert_unmoved(before: &Value, after: &Value) {
    assert_eq!(after["state"], "running", "{after:#}");
    assert_eq!(after["revision"], before["revision"], "nothing was reported: {after:#}");
}

#[track_caller]
fn assert_console_whole(manman: &Installation, name: &str) {
    manman.ok(&["send", name, "quit"]);
    manman.await_state(name, "completed");
    let console = Console::of(manman, name);
    assert_whole(&console, numbered);
    let done = console.out.iter().any(|line| line.starts_with("done "));
    assert!(done, "the last line is there");
}

/// How many lines an engine has in hand at most: a megabyte of them.
const IN_HAND: usize = (1 << 20) / 65;

/// What an engine has read of a game and not yet written to its log goes with the engine, unseen
/// by anybody: a stretch of each stream for each end of it at most, of which the rest of a line
/// may be left. Nothing else is missing, doubled or out of order, to the last line.
#[track_caller]
fn assert_whole_but_for(ends: usize, console: &Console) {
    let (out, err) = written(console);
    for (name, lines, written) in [("out", &console.out, out), ("err", &console.err, err)] {
        let (mut next, mut missing, mut torn) = (1, 0, 0);
        for line in lines.iter().filter(|line| !line.starts_with("done ") && !line.starts_with("count ")) {
            let number = line.split(' ').nth(1).and_then(|number| number.parse().ok());
            match number.filter(|number| *line == numbered(name, *number)) {
                Some(number) => {
                    assert!(
                        (next..=next + IN_HAND).contains(&number),
                        "std{name}: {line:?} comes where {next} is due"
                    );
                    missing += usize::from(number > next);
                    next = number + 1;
                }
                None => torn += 1,
            }
        }
        eprintln!("std{name}: {} lines, {missing} stretches and {torn} beginnings are missing", next - 1);
        assert!(missing <= ends && torn <= missing, "std{name}: more than {ends} ends of an engine take");
        assert_eq!(next as u64 - 1, written, "std{name}: the last lines");
    }
}

fn live_restore_shows_nothing(kill: bool) {
    let mut pair = Pair::new(true, "manman-fixture/flooder:1");
    pair.manman.deploy("steady", FLOOD, &[]);
    pair.manman.ok(&["start", "steady"]);
    let (before, pid) = (pair.manman.session("steady"), pair.pid());
    let ends = scaled(1, 5);
    for _ in 0..ends {
        pair.restart(kill);
        pair.answers("steady");
        assert_unmoved(&before, &pair.manman.session("steady"));
        assert_eq!(pair.pid(), pid);
    }
    pair.manman.ok(&["send", "steady", "quit"]);
    pair.manman.await_state("steady", "completed");
    assert_whole_but_for(ends, &Console::of(&pair.manman, "steady"));
}

#[test]
fn an_engine_restarted_with_live_restore_is_not_noticed() {
    live_restore_shows_nothing(false);
}

#[test]
fn an_engine_killed_with_live_restore_is_not_noticed() {
    live_restore_shows_nothing(true);
}

fn without_live_restore_games_are_crashed(kill: bool) {
    let mut pair = Pair::new(false, "manman-fixture/testgame:1");
    pair.manman.deploy("taken", &["--image", "manman-fixture/testgame:1"], &[]);
    pair.manman.ok(&["start", "taken"]);
    pair.restart(kill);
    // Stopped, the engine sends SIGTERM, which the game takes well, and exits with 0: crashed
    // all the same, for nobody asked.
    let session = pair.manman.await_state("taken", "crashed");
    assert_eq!(session["reason"]["code"], "engine_restart", "{session:#}");
    // And the next session is one like any other.
    pair.manman.ok(&["start", "taken"]);
    pair.manman.ok(&["stop", "taken"]);
}

#[test]
fn without_live_restore_games_are_crashed_by_the_engines_restart() {
    without_live_restore_games_are_crashed(false);
}

#[test]
fn without_live_restore_games_are_crashed_by_the_engines_death() {
    without_live_restore_games_are_crashed(true);
}

#[test]
fn a_frozen_engine_changes_no_session() {
    let pair = Pair::new(true, "manman-fixture/flooder:1");
    pair.manman.deploy("calm", FLOOD, &[]);
    pair.manman.ok(&["start", "calm"]);
    let before = pair.manman.session("calm");
    pair.engine.freeze().unwrap();
    let frozen = Instant::now();
    let frozen_for = Duration::from_secs(scaled(20, 60));
    while frozen.elapsed() < frozen_for {
        // The control plane answers, and the host manager is heard.
        let asked = Instant::now();
        let server = pair.manman.json(&["server", "show", "box"]);
        assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
        assert!(server.to_string().contains("online"), "{server:#}");
        assert_unmoved(&before, &pair.manman.session("calm"));
        // Whatever becomes of an input, that is said in time.
        let asked = Instant::now();
        pair.manman.run(&["send", "calm", "count"]);
        assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
        std::thread::sleep(Duration::from_millis(500));
    }
    pair.engine.thaw().unwrap();
    pair.answers("calm");
    assert_unmoved(&before, &pair.manman.session("calm"));
    assert_console_whole(&pair.manman, "calm");
}

#[test]
fn an_engine_that_is_not_there_is_waited_for() {
    let mut manman = Installation::new(Path::new("/nonexistent/docker.sock"));
    manman.spawn();
    until("it is said", Duration::from_secs(60), || {
        let log = manman.log();
        log.contains("/nonexistent/docker.sock").then_some(())
    });
    assert_eq!(manman.interrupt(), 0, "{}", manman.log());
}
