//! `kill -9` of manman at random moments: the game does not notice, and its console is whole.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Installation, docker, scaled, until};

/// Lines by channel, in order, as `manman logs` tells them; and whether the numbers that
/// manman gave them are 1, 2, 3, …
pub struct Console {
    pub out: Vec<String>,
    pub err: Vec<String>,
}

impl Console {
    #[track_caller]
    pub fn of(manman: &Installation, name: &str) -> Self {
        let mut console = Self { out: Vec::new(), err: Vec::new() };
        let (mut open, mut expected) = ([String::new(), String::new()], 1);
        // To its very end: what the engine still holds is read after the game has ended.
        let mut holes = Vec::new();
        for line in manman.ok(&["logs", name, "-f", "-o", "json"]).out.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            if entry["kind"] != "output" {
                holes.push(format!("before line {expected}: {entry}"));
                expected += 1;
                continue;
            }
            assert_eq!(entry["sequence"], expected, "numbers follow one another; {holes:#?}");
            expected += 1;
            let channel = usize::from(entry["channel"] == "stderr");
            open[channel].push_str(entry["text"].as_str().unwrap());
            if entry["newline"] == true {
                let lines = if channel == 0 { &mut console.out } else { &mut console.err };
                lines.push(std::mem::take(&mut open[channel]));
            }
        }
        assert!(holes.is_empty(), "{holes:#?}");
        console
    }
}

/// The highest number among some lines of the flooder's stdout.
fn newest(lines: &[String]) -> Option<u64> {
    lines.iter().filter_map(|line| line.strip_prefix("out ")?.split(' ').next()?.parse().ok()).max()
}

/// A line that the flooder writes by itself, as long as all of them.
fn flooded(what: &str) -> String {
    format!("{what:.<64}")
}

/// How many lines a flooder wrote to each stream: nothing but those, each as it was written,
/// one after the other, and its answers.
#[track_caller]
pub fn assert_whole(console: &Console, line: impl Fn(&str, usize) -> String) -> (u64, u64) {
    let answer = |line: &&String| line.starts_with("done ") || line.starts_with("count ");
    let streams = [("out", &console.out), ("err", &console.err)];
    let counts = streams.map(|(name, lines)| {
        let lines: Vec<_> = lines.iter().filter(|line| !answer(line)).collect();
        for (index, got) in lines.iter().enumerate() {
            let expected = line(name, index + 1);
            assert_eq!(**got, expected, "std{name}: line {} of {}", index + 1, lines.len());
        }
        lines.len() as u64
    });
    counts.into()
}

/// With each line numbered.
pub fn numbered(name: &str, number: usize) -> String {
    flooded(&format!("{name} {number:06} "))
}

/// With all lines the same.
fn identical(name: &str, _: usize) -> String {
    flooded(&format!("{name} identical "))
}

/// The newest lines of stdout.
fn lines(manman: &Installation, name: &str) -> Vec<String> {
    manman.ok(&["logs", name, "-n", "20", "--raw"]).out.lines().map(str::to_owned).collect()
}

/// What the engine keeps of a console: five files of 20 MB, …
const KEPT_BYTES: f64 = 100e6;
/// … in which a line of the flooder takes about so much.
const ENTRY_BYTES: f64 = 100.0;
/// From one kill to the next one at most.
const LONGEST_ROUND: Duration = Duration::from_secs(4);

/// Kills manman so many times while a game floods, and returns its console after the end.
fn flood_through_kills(name: &str, mode: &str, kills: u32, rate: u32) -> (Installation, Console) {
    let mut manman = Installation::new(Path::new("/var/run/docker.sock"));
    // All of it is compared in the end: at full length that is more than is kept by default.
    manman.configure("[host.console.spool]\nsession_bytes = 8_000_000_000");
    manman.start();
    let (rate, paced) = (f64::from(rate), rate.to_string());
    let config = [
        "--image",
        "manman-fixture/flooder:1",
        "--",
        "--lines",
        "endless",
        "--rate",
        &paced,
        "--mode",
        mode,
        "--streams",
        "both",
        "--end",
        "idle",
    ];
    let sgc = manman.deploy(name, &config, &[]);
    manman.ok(&["start", name]);
    let container = manman.container(sgc);
    let pid = docker::pid(&container);
    let revision = manman.session(name)["revision"].clone();

    let mut random = fastrand::Rng::new();
    let seed = random.u64(..);
    random.seed(seed);
    eprintln!("{name}: seed {seed}");
    // Exactness is promised to whoever is away for at most half of what the engine keeps.
    let away = Duration::from_secs_f64(KEPT_BYTES / ENTRY_BYTES / rate / 2.0);
    let mut present = Instant::now();
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(random.u64(50..1_500)));
        manman.kill_9();
        std::thread::sleep(Duration::from_millis(random.u64(0..700)));
        manman.spawn();
        if mode == "numbered" && present.elapsed() + LONGEST_ROUND > away {
            until("the console is at the present", Duration::from_secs(60), || {
                let shown = newest(&lines(&manman, name))?;
                // What the engine has by now.
                let logged = docker::lines(&["logs", "--tail", "20", &container]);
                let logged = newest(&logged)?;
                (shown as f64 + rate / 2.0 >= logged as f64).then_some(())
            });
            present = Instant::now();
        }
    }
    until("the host manager is back", Duration::from_secs(30), || {
        (manman.run(&["send", name, "count"]).code == 0).then_some(())
    });
    assert_eq!(docker::pid(&container), pid, "the game went on");
    let session = manman.session(name);
    assert_eq!(session["state"], "running");
    assert_eq!(session["revision"], revision, "no change was reported: {session:#}");
    manman.ok(&["send", name, "quit"]);
    manman.await_state(name, "completed");
    let console = Console::of(&manman, name);
    (manman, console)
}

/// What the game says that it wrote: `done out=N err=M`.
#[track_caller]
fn written(console: &Console) -> (u64, u64) {
    let done =
        console.out.iter().rev().find_map(|line| line.strip_prefix("done out=")).expect("its last line");
    let (out, err) = done.split_once(" err=").unwrap();
    (out.parse().unwrap(), err.parse().unwrap())
}

#[test]
fn no_line_is_lost_doubled_or_renumbered() {
    let (manman, console) = flood_through_kills("flood", "numbered", scaled(10, 100), scaled(20_000, 50_000));
    assert_eq!(assert_whole(&console, numbered), written(&console));
    manman.await_nothing_left();
}

#[test]
fn identical_lines_are_counted_right() {
    // Few enough that the engine's log still holds the start when the last kill is over.
    let (manman, console) = flood_through_kills("same", "identical", scaled(4, 10), 20_000);
    assert_eq!(assert_whole(&console, identical), written(&console));
    manman.await_nothing_left();
}

#[test]
fn a_game_that_ended_meanwhile_is_told_as_it_ended() {
    let mut manman = Installation::up();
    let config = [
        "--image",
        "manman-fixture/flooder:1",
        "--",
        "--lines",
        "20000",
        "--rate",
        "20000",
        "--mode",
        "numbered",
        "--streams",
        "both",
        "--end",
        "exit",
        "7",
    ];
    let sgc = manman.deploy("brief", &config, &[]);
    manman.ok(&["start", "brief", "--no-wait"]);
    manman.await_state("brief", "running");
    let container = manman.container(sgc);
    manman.kill_9();
    until("the game has ended", Duration::from_secs(30), || {
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
    until("its console takes input", Duration::from_secs(30), || {
        (manman.run(&["send", "kept", "list"]).code == 0).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    manman.ok(&["kill", "kept"]);
}
