//! `kill -9` of manman at random moments: the game does not notice, and its console is whole.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    installation::flood::{self, BRIEF, Console, DONE, Flood, assert_whole, endless, numbered},
    support::{Installation, docker, until},
};

/// The lines of a flooder that the engine keeps: five files of 20 MB, and about so many bytes
/// of them for each.
const KEPT_LINES: f64 = 100e6 / 100.0;

/// Kills manman so many times while a game floods, and returns its console after the end.
fn flood_through_kills(name: &str, mode: &str, kills: u32, rate: u32) -> Console {
    let mut manman = Installation::new(Path::new("/var/run/docker.sock"));
    manman.configure(flood::ALL_KEPT);
    manman.start();
    let arguments = endless(mode, rate);
    let mut config = vec!["--image", "manman-fixture/flooder:1", "--"];
    config.extend(arguments.split(' '));
    let sgc = manman.deploy(name, &config, &[]);
    manman.ok(&["start", name]);
    let container = manman.container(sgc);
    let flood = Flood {
        name,
        rate,
        kills,
        kept_lines: KEPT_LINES,
        is_numbered: mode == "numbered",
        pid: &|| docker::pid(&container),
        printed: &|| docker::lines(&["logs", "--tail", "20", &container]),
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
    let mut config = vec!["--image", "manman-fixture/flooder:1", "--"];
    config.extend(BRIEF.split(' '));
    let sgc = manman.deploy("brief", &config, &[]);
    manman.ok(&["start", "brief"]);
    let container = manman.container(sgc);
    manman.kill_9();
    until("all is printed", Duration::from_secs(60), || {
        (docker::lines(&["logs", &container]).last()? == DONE).then_some(())
    });
    docker::say_last(&container, "quit 7");
    until("the game has ended", Duration::from_secs(60), || {
        (docker::inspect(&container)["State"]["Status"] == "exited").then_some(())
    });
    manman.start();
    let session = manman.await_state("brief", "crashed");
    assert_eq!(session["exit_code"], 7, "{session:#}");
    let console = Console::of(&manman, "brief");
    assert_eq!(assert_whole(&console, numbered), (10_000, 10_000));
    manman.await_nothing_left();
}

#[test]
fn a_running_game_is_adopted_quickly() {
    let mut manman = Installation::up();
    manman.deploy("kept", &["--image", "manman-fixture/testgame:1"], &[]);
    manman.ok(&["start", "kept"]);
    manman.kill_9();
    let start = Instant::now();
    manman.start();
    until("its console takes input", Duration::from_secs(60), || {
        (manman.run(&["send", "kept", "list"]).code == 0).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    manman.ok(&["kill", "kept"]);
}
