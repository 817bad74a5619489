//! Whoever gives a command goes away, or manman does: nothing is dropped without a word.

use std::{ffi::OsStr, fs::File, process::Stdio, time::Duration};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};

use crate::{
    support::{
        Installation,
        processes::{kill, lives},
        until,
    },
    terminal::Terminal,
};

#[test]
fn a_down_that_nobody_reads_ends_everything() {
    let mut manman = Installation::up();
    manman.deploy_game("steady", &[]);
    manman.ok(&["start", "steady"]);
    let mut down = manman.client(&["down"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(down.stdout.take());
    let ended = until("it ends", Duration::from_secs(60), || down.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    assert_eq!(manman.await_end(), 0);
    manman.await_nothing_left();
}

/// Somebody stopped the terminal: nothing of manman waits for that, its end neither.
#[test]
fn a_terminal_that_stands_still_holds_up_nothing() {
    let mut manman = Installation::new();
    let unread = manman.data().join("unread");
    mknodat(CWD, &unread, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // Open at both ends, and never read.
    let _held = File::options().read(true).write(true).open(&unread).unwrap();
    let into =
        r#"case $1 in up) RUST_LOG=trace exec "$0" "$@" >"$DATA_DIR/unread" 2>&1 ;; esac; exec "$0" "$@""#;
    manman.run_by(&["/bin/sh", "-c", into, env!("CARGO_BIN_EXE_manman")].map(OsStr::new));
    manman.spawn_with(&["--demo"]);
    let shown = |manman: &Installation| (manman.run(&["session", "show", "demo"]).code == 0).then_some(());
    until("the demo has a session", Duration::from_secs(60), || shown(&manman));
    manman.await_state("demo", "running");
    // More than a pipe and what waits for it have room for.
    for _ in 0..200 {
        manman.ok(&["status"]);
    }
    let game = manman.attempt(1).game;
    assert_eq!(manman.interrupt(), 0);
    assert!(lives(game));
    manman.ok(&["down"]);
    manman.await_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_any_more_is_named() {
    let manman = Installation::up();
    manman.deploy_game("steady", &[]);
    manman.ok(&["start", "steady"]);
    let mut terminal = Terminal::new();
    let mut command = tokio::process::Command::from(manman.client(&["console", "steady"]));
    command.env("TERM", "xterm").kill_on_drop(true);
    let mut console = terminal.run(command);
    terminal.until("> ").await;
    let pid = Pid::from_raw(i32::try_from(manman.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    terminal.types("say one\rsay two\rsay three\r\u{1d}");
    terminal.until("not all that was typed was written in time").await;
    for line in ["may be written or not: say one", "not written: say two", "not written: say three"] {
        terminal.until(line).await;
    }
    kill_process(pid, Signal::CONT).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), console.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
}

#[test]
fn a_demo_that_ended_while_manman_was_away_is_started_again() {
    let mut manman = Installation::new();
    manman.spawn_with(&["--demo"]);
    let said = |manman: &Installation, text: &str, times: usize| {
        let so = || (manman.log().matches(text).count() == times).then_some(());
        until(text, Duration::from_secs(60), so);
    };
    said(&manman, "demo: session 1 runs", 1);
    let sgc = manman.json(&["deployment", "show", "demo"])["server_game_config_id"].as_i64().unwrap();
    let attempt = manman.attempt(sgc);
    manman.kill_9();
    kill(attempt.supervisor);
    kill(attempt.game);
    until("all is gone", Duration::from_secs(20), || manman.processes().is_empty().then_some(()));
    manman.spawn_with(&["--demo"]);
    said(&manman, "demo: session 1 has ended (", 1);
    said(&manman, "demo: session 2 runs", 1);
    assert_eq!(manman.session("1")["state"], "crashed");
    assert_eq!(manman.log().matches("session 1 runs").count(), 1, "{}", manman.log());
    // One that goes on is shown at once.
    assert_eq!(manman.interrupt(), 0);
    manman.spawn_with(&["--demo"]);
    said(&manman, "demo: session 2 runs", 2);
    // An end that was noticed before the next one comes up is told as well.
    manman.ok(&["send", "demo", "crash 3"]);
    said(&manman, "demo: its session has ended", 1);
    assert_eq!(manman.interrupt(), 0);
    manman.spawn_with(&["--demo"]);
    said(&manman, "demo: session 2 has ended (", 1);
    said(&manman, "demo: session 3 runs", 1);
    manman.ok(&["down"]);
    manman.await_nothing_left();
}
