//! What a game prints is kept within its bound, and nothing that somebody has not read goes
//! without a word.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::{os::unix::fs::MetadataExt as _, time::Duration};

use futures::StreamExt as _;
use manman_core::{
    console::{Channel, Output},
    model::config::EngineLog,
    testkit::runtime::Screen,
};
use support::{Ground, ended, script, spec, started, until};

fn megabytes() -> u64 {
    if std::env::var("MANMAN_TESTS").is_ok_and(|it| it == "full") { 2000 } else { 120 }
}

/// Bytes that a file takes on the disk.
fn on_disk(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |it| it.blocks() * 512)
}

/// Prints so many lines of a kilobyte, numbered, then waits for a line.
fn kilobytes(count: u64) -> String {
    format!(
        "awk 'BEGIN {{ p = sprintf(\"%1000s\", \"x\"); for (i = 1; i <= {count}; i++) print i p }}'; read x; exit 0"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_is_bounded_and_its_loss_is_said() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let lines = 40_000;
    let mut spec = spec(1, 1, script(&kilobytes(lines)));
    spec.log = EngineLog { max_size_bytes: 5 << 20, max_files: 2, ..EngineLog::default() };
    started(&runtime, &spec).await;
    let file = ground.run(spec.run).join("stdout");
    let len: u64 = (1..=lines).map(|number: u64| number.to_string().len() as u64 + 1001).sum();
    until("all is printed", async || std::fs::metadata(&file).is_ok_and(|it| it.len() == len)).await;
    // To where it ends up, within the 64 KiB in which it is cut: nothing goes while it is read.
    let trimmed =
        async || std::fs::read_to_string(file.with_extension("trimmed")).unwrap().parse::<u64>().unwrap();
    until("all that is too old is cut off", async || trimmed().await >= len - (10 << 20) - (64 << 10)).await;
    until("it is within its bound", async || on_disk(&file) <= (10 << 20) + (256 << 10)).await;

    let mut screen = Screen::open(&runtime, spec.run).await;
    let last = format!("{lines}{:>1000}\n", "x").into_bytes();
    screen.until(|screen| screen.pieces.last().is_some_and(|(_, piece)| piece.ends_with(&last))).await;
    assert_eq!(screen.gaps.len(), 1, "{:?}", screen.gaps);
    let (gap, kept) = (&screen.gaps[0], screen.text(Channel::Stdout).len() as u64);
    assert_eq!((gap.channel, gap.uncertain), (Some(Channel::Stdout), false));
    assert_eq!(gap.bytes.unwrap() + kept, std::fs::metadata(&file).unwrap().len(), "to the byte");
    screen.say("").await;
    assert_eq!(ended(&runtime, spec.run).await.code, 0);
    runtime.remove(spec.run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_goes_from_the_disk_and_nothing_is_lost() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let count = megabytes() * 1000;
    // So fast that files are punched out while they are read and written, with room for all
    // that is printed faster than it is read.
    let mut spec = spec(1, 1, script(&kilobytes(count)));
    spec.log = EngineLog { max_files: 100, ..EngineLog::default() };
    started(&runtime, &spec).await;
    let file = ground.run(spec.run).join("stdout");
    let mut console = runtime.console(spec.run, None).await.unwrap();
    let (mut next, mut part) = (1u64, Vec::new());
    while next <= count {
        let output = tokio::time::timeout(Duration::from_secs(60), console.output.next()).await;
        match output.unwrap().unwrap() {
            Output::Batch(batch) => {
                for (_, piece) in batch.pieces() {
                    part.extend_from_slice(piece);
                    if part.ends_with(b"\n") {
                        let number = String::from_utf8_lossy(&part);
                        assert_eq!(number.split(' ').next().unwrap(), next.to_string());
                        assert_eq!(part.len(), next.to_string().len() + 1001);
                        next += 1;
                        part.clear();
                    }
                }
            }
            other => panic!("{other:?} after line {next}"),
        }
    }
    // What was taken is known once more is asked for.
    let more = tokio::spawn(async move {
        console.output.next().await;
        console
    });
    until("what was taken is punched out", async || on_disk(&file) <= 24 << 20).await;
    runtime.kill(spec.run).await.unwrap();
    ended(&runtime, spec.run).await;
    drop(more.await.unwrap());
    runtime.remove(spec.run).await.unwrap();
}

/// `> /dev/stderr` opens the file anew: it must not be emptied by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_game_cannot_empty_its_own_output() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let text = "echo one; echo two > /dev/stdout; echo three > /proc/self/fd/1; echo four >&1; exit 0";
    let spec = spec(1, 1, script(text));
    started(&runtime, &spec).await;
    assert_eq!(ended(&runtime, spec.run).await.code, 0);
    let mut screen = Screen::open(&runtime, spec.run).await;
    screen.to_end().await;
    let lines = screen.lines(Channel::Stdout);
    assert_eq!((lines.first().unwrap().as_str(), lines.last().unwrap().as_str()), ("one", "four"));
    runtime.remove(spec.run).await.unwrap();
}
