//! What is shown while somebody waits at a terminal, and in which colours.

use std::time::Duration;

use tokio::process::{Child, Command};

use super::{
    exits::interrupt,
    house::{House, STUBBORN},
    terminal::Terminal,
};

async fn end(mut child: Child) -> Option<i32> {
    tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap().code()
}

fn with(mut command: Command, variable: Option<(&str, &str)>) -> Command {
    command.envs(variable);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_at_a_terminal_ticks_and_leaves_no_trace() {
    let house = House::up().await;
    house.deploy_image("rock", STUBBORN).await;
    house.ok("start rock").await;
    let mut terminal = Terminal::new();
    let stop = terminal.run(house.command("stop rock"));
    // A machine that stands still for a moment shows one less.
    let mut before = 0;
    for _ in 0..3 {
        terminal.until("\r\u{1b}[Ksession 1: stopping (").await;
        let seconds: u32 = terminal.word("s)").await.parse().unwrap();
        assert!(seconds > before, "{:?}", terminal.all());
        before = seconds;
    }
    interrupt(&stop);
    // The line goes before anything else is said.
    terminal.until("\r\u{1b}[K\u{1b}[31merror:").await;
    assert_eq!(end(stop).await, Some(130));

    let mut dumb = Terminal::new();
    let stop = dumb.run(with(house.command("stop rock --timeout 3s"), Some(("TERM", "dumb"))));
    dumb.until("error: session 1 is still stopping").await;
    assert_eq!(end(stop).await, Some(1));
    assert!(!dumb.all().contains('\u{1b}'), "{:?}", dumb.all());

    let mut plain = Terminal::new();
    let down = plain.run(with(house.command("down"), Some(("NO_COLOR", "1"))));
    plain.until("\r\u{1b}[Krock: stopping session 1 (").await;
    interrupt(&down);
    plain.until("\r\u{1b}[Kerror: interrupted").await;
    assert_eq!(end(down).await, Some(130));
    assert!(!plain.all().contains("\u{1b}[3"), "{:?}", plain.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_that_want_them() {
    let house = House::up().await;
    house.deploy("trains").await;
    house.ok("start trains").await;
    let up = format!("up --listen 127.0.0.1:0 --docker-socket relative --data-dir {}", house.dir().display());
    for line in ["--help", "start --help", "nonsense", "status", "doctor", "uninstall", "start nobody", &up] {
        for (variable, coloured) in [
            (None, true),
            (Some(("NO_COLOR", "")), true),
            (Some(("NO_COLOR", "1")), false),
            (Some(("TERM", "dumb")), false),
        ] {
            let terminal = Terminal::new();
            end(terminal.run(with(house.command(line), variable))).await;
            let mut settled = Terminal::all(&terminal);
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let now = terminal.all();
                if !now.is_empty() && now == settled {
                    break;
                }
                settled = now;
            }
            assert_eq!(settled.contains("\u{1b}["), coloured, "{line} with {variable:?}: {settled:?}");
        }
        let ran = house.run(line).await;
        assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{line}: {ran}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_have_no_colours_where_none_are_wanted() {
    for (variable, coloured) in
        [(None, true), (Some(("NO_COLOR", "1")), false), (Some(("TERM", "dumb")), false)]
    {
        let house = House::empty();
        let mut terminal = Terminal::new();
        let line = "up --listen 127.0.0.1:0 --docker-socket /nowhere/docker.sock --server-name box";
        let mut command = with(house.command(line), variable);
        command.env("RUST_LOG", "debug");
        let up = terminal.run(command);
        terminal.until("Ctrl-C ends manman").await;
        interrupt(&up);
        assert_eq!(end(up).await, Some(0));
        assert_eq!(terminal.all().contains("\u{1b}["), coloured, "{variable:?}");
    }
}
