//! Whoever gives a command goes away, or manman does: nothing is dropped without a word.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    support::{Installation, until},
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
