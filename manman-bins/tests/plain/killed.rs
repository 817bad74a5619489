//! `kill -9` of manman at random moments: the game does not notice, and its console is whole.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    time::Duration,
};

use crate::{
    installation::flood::{self, BRIEF, Console, DONE, Flood, assert_whole, endless, numbered},
    support::{Installation, record, until},
};

/// The lines of a flooder that are kept: 100 MB, and so many bytes of them for each.
const KEPT_LINES: f64 = 100e6 / 65.0;

/// The newest lines in the file that a game prints to.
fn printed(output: &Path) -> Vec<String> {
    let file = File::open(output).unwrap();
    let mut text = [0; 2048];
    let from = file.metadata().unwrap().len().saturating_sub(text.len() as u64);
    let read = file.read_at(&mut text, from).unwrap();
    String::from_utf8_lossy(&text[..read]).lines().map(str::to_owned).collect()
}

/// Kills manman so many times while a game floods, and returns its console after the end.
fn flood_through_kills(name: &str, mode: &str, kills: u32, rate: u32) -> Console {
    let mut manman = Installation::new();
    manman.configure(flood::ALL_KEPT);
    manman.start();
    let sgc = manman.deploy_flooder(name, &endless(mode, rate));
    manman.ok(&["start", name]);
    let attempt = manman.attempt(sgc);
    let flood = Flood {
        name,
        rate,
        kills,
        kept_lines: KEPT_LINES,
        is_numbered: mode == "numbered",
        pid: &|| {
            let started = record(&attempt.directory, "started.json").unwrap();
            started["game"]["pid"].as_i64().unwrap()
        },
        printed: &|| printed(&attempt.directory.join("stdout")),
    };
    let console = flood.through_kills(&mut manman);
    manman.await_nothing_left();
    console
}

#[test]
fn no_line_is_lost_doubled_or_renumbered() {
    flood::numbered_through_kills(flood_through_kills);
}

#[test]
fn identical_lines_are_counted_right() {
    flood::identical_through_kills(flood_through_kills);
}

#[test]
fn a_game_that_ended_meanwhile_is_told_as_it_ended() {
    let mut manman = Installation::up();
    let sgc = manman.deploy_flooder("brief", BRIEF);
    manman.ok(&["start", "brief"]);
    let attempt = manman.attempt(sgc).directory;
    manman.kill_9();
    until("all is printed", Duration::from_secs(60), || {
        (printed(&attempt.join("stdout")).last()? == DONE).then_some(())
    });
    fs::write(attempt.join("stdin"), "quit 7\n").unwrap();
    until("the game has ended", Duration::from_secs(60), || record(&attempt, "exit.json"));
    manman.start();
    let session = manman.await_state("brief", "crashed");
    assert_eq!(session["exit_code"], 7, "{session:#}");
    let console = Console::of(&manman, "brief");
    assert_eq!(assert_whole(&console, numbered), (10_000, 10_000));
    manman.await_nothing_left();
}
