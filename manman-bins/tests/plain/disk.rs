//! A full disk under a game that prints: the game does not stop because of us.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    installation::flood::Console,
    support::{Attempt, Installation, Ran, can_make, processes::lives, until},
};

/// A small file system of its own.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Self {
        // More than has to be free before a game is prepared.
        Self::of("tmpfs", "size=320m,mode=0755")
    }

    fn of(kind: &str, options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options, "manman-plain"]).arg(directory.path());
        let ran = Ran::of(&mut mount);
        assert_eq!(ran.code, 0, "{ran}");
        Self(directory)
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let piece = vec![0; 1 << 20];
        for length in [1 << 20, 4 << 10, 1] {
            while file.write_all(&piece[..length]).is_ok() {}
        }
    }

    /// Frees what filling it took.
    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Ran::of(Command::new("umount").arg("-l").arg(self.path()));
    }
}

/// Prints numbered lines at a pace, and counts those that the disk did not take from it.
const PRINTER: &str = "exec 2>/dev/null; i=0; lost=0
    while :; do
        n=0; while [ $n -lt 50 ]; do
            n=$((n+1)); i=$((i+1)); echo \"line $i\" || { lost=$((lost+1)); [ -e refused ] || mkdir refused; }
        done
        if [ -e told ]; then echo; echo \"printed $i of which $lost were refused\"; exit 7; fi
        sleep 0.02
    done";

/// A disk that has become full under a game that prints, and has been for a while.
struct Full {
    manman: Installation,
    sgc: i64,
    attempt: Attempt,
    // The last to go.
    disk: Disk,
}

impl Full {
    fn new() -> Self {
        let disk = Disk::mount();
        let mut manman = Installation::beneath(disk.path());
        manman.start();
        let sgc = manman.deploy_script("printer", PRINTER, &[]);
        manman.ok(&["start", "printer"]);
        let attempt = manman.attempt(sgc);
        let full = Self { manman, sgc, attempt, disk };
        until("it prints", Duration::from_secs(60), || full.newest().filter(|&newest| newest > 1_000));
        // What becomes free meanwhile is filled again.
        let begun = Instant::now();
        until("the disk was full for a while", Duration::from_secs(60), || {
            full.disk.fill();
            assert!(lives(full.attempt.game), "the game goes on");
            let refused = full.manman.game_directory(sgc).join("refused").exists();
            (refused && begun.elapsed() > Duration::from_secs(6)).then_some(())
        });
        full
    }

    /// The newest line that the console shows.
    fn newest(&self) -> Option<u64> {
        let tail = self.manman.run(&["logs", "printer", "-n", "20", "--raw"]).out;
        tail.lines().rev().find_map(|line| line.strip_prefix("line ")?.parse().ok())
    }

    /// Tells the game to end.
    fn tell(&self) {
        fs::create_dir(self.manman.game_directory(self.sgc).join("told")).unwrap();
    }
}

/// The numbers among the lines of a console.
fn numbers(lines: &[String]) -> Vec<u64> {
    // Before one may stand the part of another that the disk took before it was full.
    lines.iter().filter_map(|line| line.rsplit_once("line ")?.1.parse().ok()).collect()
}

#[test]
fn a_full_disk_stops_no_game_and_loses_only_what_the_game_was_refused() {
    if !can_make("a full disk") {
        return;
    }
    let full = Full::new();
    let Full { manman, attempt, .. } = &full;
    let session = manman.session("printer");
    assert_eq!(session["state"], "running", "{session:#}");
    full.disk.free();

    let then = full.newest().unwrap_or_default();
    until("the console goes on", Duration::from_secs(60), || {
        full.newest().filter(|&newest| newest > then + 1_000)
    });
    assert!(lives(attempt.game) && lives(attempt.supervisor));
    full.tell();
    let session = manman.await_state("printer", "crashed");
    assert_eq!(session["exit_code"], 7, "{session:#}");
    // No gap: what the disk took is there, each line once and in its place.
    let console = Console::of(manman, "printer");
    let printed = numbers(&console.out);
    assert!(printed.is_sorted_by(|a, b| a < b));
    let last = console.out.last().unwrap();
    let words: Vec<u64> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [all, refused] = words[..] else { panic!("{last}") };
    assert!(refused > 0, "{last}");
    assert_eq!(printed.len() as u64, all - refused, "{last}");
    manman.await_nothing_left();
}

#[test]
fn a_game_that_ends_on_a_full_disk_is_told_as_it_ended() {
    if !can_make("a full disk") {
        return;
    }
    let full = Full::new();
    full.tell();
    until("the game has ended", Duration::from_secs(60), || (!lives(full.attempt.game)).then_some(()));
    until("its supervisor too", Duration::from_secs(60), || (!lives(full.attempt.supervisor)).then_some(()));
    full.disk.free();
    let session = full.manman.await_state("printer", "crashed");
    assert_eq!(session["exit_code"], 7, "{session:#}");
    full.manman.await_nothing_left();
}

#[test]
fn a_disk_that_gives_no_room_back_is_said() {
    if !can_make("a file system without holes") {
        return;
    }
    let disk = Disk::of("ramfs", "mode=0755");
    let mut manman = Installation::beneath(disk.path());
    manman.start();
    let note = "what games print is kept as a whole until they end: ";
    until("manman says it", Duration::from_secs(20), || manman.log().contains(note).then_some(()));
    let page = manman.run(&["doctor"]).out;
    assert!(page.contains("is kept as a whole: ") && page.contains("gives no room back"), "{page}");
    assert!(manman.left().is_empty(), "{:?}", manman.left());

    let sound = Installation::up();
    assert!(!sound.log().contains(note) && !sound.run(&["doctor"]).out.contains("gives no room back"));
}
