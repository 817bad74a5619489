//! A game that floods its console with numbered lines, `kill -9` of manman under it, and the
//! comparison of every line with what was written.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Installation, scaled, until};

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

/// From one kill to the next one at most.
const LONGEST_ROUND: Duration = Duration::from_secs(4);

/// The settings of all of these installations: all of a console is compared in the end, and at
/// full length that is more than is kept by default. Nor does a disk that hangs for a second cost
/// a line.
pub const ALL_KEPT: &str =
    "[host.console]\nunkept_bytes = 1_000_000_000\n[host.console.spool]\nsession_bytes = 8_000_000_000";

/// The arguments of a flooder that writes until it is told to quit.
pub fn endless(mode: &str, rate: u32) -> String {
    format!("--lines endless --rate {rate} --mode {mode} --streams both --end idle")
}

/// The arguments of a flooder that writes 10,000 lines to each stream in a second, says that it
/// is [`DONE`] and waits to be told to quit.
pub const BRIEF: &str = "--lines 20000 --rate 20000 --mode numbered --streams both --end idle";

/// The last line of a flooder of [`BRIEF`].
pub const DONE: &str = "done out=10000 err=10000";

/// A flood that runs.
pub struct Flood<'a> {
    /// Its deployment.
    pub name: &'a str,
    /// Lines a second.
    pub rate: u32,
    /// How often manman is killed.
    pub kills: u32,
    /// How many lines are kept for a manman that is away.
    pub kept_lines: f64,
    /// Whether lines carry their numbers.
    pub is_numbered: bool,
    /// The game's process.
    pub pid: &'a dyn Fn() -> i64,
    /// The newest lines of its stdout, as they are before manman has them.
    pub printed: &'a dyn Fn() -> Vec<String>,
}

impl Flood<'_> {
    /// Kills manman so many times at random moments, ends the game, and returns its console.
    pub fn through_kills(&self, manman: &mut Installation) -> Console {
        let Self { name, .. } = *self;
        let (pid, revision) = ((self.pid)(), manman.session(name)["revision"].clone());
        let mut random = fastrand::Rng::new();
        let seed = random.u64(..);
        random.seed(seed);
        eprintln!("{name}: seed {seed}");
        // Exactness is promised to whoever is away for at most half of what is kept.
        let rate = f64::from(self.rate);
        let away = Duration::from_secs_f64(self.kept_lines / rate / 2.0);
        let mut present = Instant::now();
        for _ in 0..self.kills {
            std::thread::sleep(Duration::from_millis(random.u64(50..1_500)));
            manman.kill_9();
            std::thread::sleep(Duration::from_millis(random.u64(0..700)));
            manman.spawn();
            if self.is_numbered && present.elapsed() + LONGEST_ROUND > away {
                until("the console is at the present", Duration::from_secs(60), || {
                    // What was printed first: it goes on while the console is asked for.
                    let printed = newest(&(self.printed)())?;
                    let shown = newest(&lines(manman, name))?;
                    (shown as f64 + rate / 2.0 >= printed as f64).then_some(())
                });
                present = Instant::now();
            }
        }
        until("the host manager is back", Duration::from_secs(60), || {
            (manman.run(&["send", name, "count"]).code == 0).then_some(())
        });
        assert_eq!((self.pid)(), pid, "the game went on");
        let session = manman.session(name);
        assert_eq!(session["state"], "running");
        assert_eq!(session["revision"], revision, "no change was reported: {session:#}");
        manman.ok(&["send", name, "quit"]);
        manman.await_state(name, "completed");
        Console::of(manman, name)
    }
}

/// What the game says that it wrote: `done out=N err=M`.
#[track_caller]
pub fn written(console: &Console) -> (u64, u64) {
    let done =
        console.out.iter().rev().find_map(|line| line.strip_prefix("done out=")).expect("its last line");
    let (out, err) = done.split_once(" err=").unwrap();
    (out.parse().unwrap(), err.parse().unwrap())
}

/// Under numbered lines no kill of manman loses, doubles or renumbers one. `through_kills` is
/// given a name, a mode, how often, and lines a second.
pub fn numbered_through_kills(through_kills: impl FnOnce(&str, &str, u32, u32) -> Console) {
    let begun = Instant::now();
    let (kills, rate) = (scaled(10, 100), scaled(20_000, 50_000));
    let console = through_kills("flood", "numbered", kills, rate);
    let counts = assert_whole(&console, numbered);
    assert_eq!(counts, written(&console));
    eprintln!("{kills} kills in {:?}: {counts:?} lines compared", begun.elapsed());
}

/// Under identical lines none is lost or doubled either: few enough that the start of them is
/// still kept when the last kill is over.
pub fn identical_through_kills(through_kills: impl FnOnce(&str, &str, u32, u32) -> Console) {
    let console = through_kills("same", "identical", scaled(4, 10), 20_000);
    assert_eq!(assert_whole(&console, identical), written(&console));
}
