//! Whoever gives a command goes away, or manman does: nothing is dropped without a word.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    support::{Installation, processes::kill, until},
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
    assert_eq!(manman.log().matches("session 1 runs").count(), 1, "{}", manman.log());
    // One that goes on is shown at once.
    assert_eq!(manman.interrupt(), 0);
    manman.spawn_with(&["--demo"]);
    said(&manman, "demo: session 2 runs", 2);
    manman.ok(&["down"]);
    manman.await_nothing_left();
}
