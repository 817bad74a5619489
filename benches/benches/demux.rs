//! How long does it take to turn an attach stream into lines, in memory, on one thread?
//!
//! Beside bollard's decoder with the usual assembly of lines, and beside the limit: one
//! copy and one search for newlines. What counts are lines that can be kept, as those of a
//! batch can; what bollard's would cost if they were only looked at in passing stands
//! beside it. `cargo bench -p manman-benches --bench demux`; with
//! `-- --gate` it fails where a gate is missed.
#![expect(clippy::print_stdout, reason = "a bench reports to whoever ran it")]

use std::{hint::black_box, process::ExitCode};

use manman_benches::{
    Asked, Candidate, in_turns,
    peer::{Found, bollard_lines, bollard_passing, copy_and_count},
    streams::{READ, Stream, workloads},
};
use manman_core::{clock::Timestamp, console::Position};
use manman_docker::console::{Demux, Scratch};

/// bollard's time over ours, at least (`None`: not held to one).
const AT_LEAST: [(&str, Option<f64>); 6] = [
    ("w64", Some(4.0)),
    ("w120", Some(3.0)),
    ("k1", None),
    ("k16", Some(1.6)),
    ("mc", Some(2.4)),
    ("split", Some(2.0)),
];

/// Our time over the limit's, at most.
const AT_MOST: f64 = 2.3;

fn main() -> ExitCode {
    let asked = Asked::from_arguments();
    let (size, rounds) = if asked.whole { (64 << 20, 9) } else { (1 << 20, 1) };
    let mut missed = Vec::new();
    println!(
        "{:6} {:>20} {:>20} {:>20} {:>10}",
        "", "bollard / ours", "in passing / ours", "ours / limit", "ours"
    );
    for (stream, (name, least)) in workloads(size).iter().zip(AT_LEAST) {
        assert_eq!(stream.name, name);
        let mut candidates = [
            Candidate::new("ours", || Some(our_lines(stream))),
            Candidate::new("bollard", || Some(bollard_lines(stream))),
            Candidate::new("passing", || Some(bollard_passing(stream))),
            Candidate::new("limit", || {
                black_box(copy_and_count(stream));
                None
            }),
        ];
        let mut expected = None;
        let times = in_turns(rounds, &mut candidates, |name, found| {
            if let Some(found) = found {
                assert_eq!(*expected.get_or_insert(found), found, "{name} has found other lines");
            }
        });
        let (over, under) = (times.ratio("bollard", "ours"), times.ratio("ours", "limit"));
        let speed = stream.bytes.len() as f64 / times.median("ours").as_secs_f64() / 1e9;
        let passing = times.ratio("passing", "ours");
        println!("{name:6} {over:>20} {passing:>20} {under:>20} {speed:>5.2} GB/s");
        if !asked.whole {
            continue;
        }
        if let Some(least) = least
            && over.median < least
        {
            missed.push(format!("{name}: bollard / ours is {:.2}, not {least}", over.median));
        }
        if under.median > AT_MOST {
            missed.push(format!("{name}: ours / limit is {:.2}, not {AT_MOST}", under.median));
        }
    }
    for miss in &missed {
        println!("below the gate: {miss}");
    }
    if asked.whole && asked.gate && !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn our_lines(stream: &Stream) -> Found {
    let mut buffer = vec![0; READ];
    let (mut demux, mut scratch) = (Demux::new(false), Scratch::default());
    let mut found = Found::default();
    let (mut from, mut read) = (0, 0);
    while from < stream.bytes.len() {
        let here = (stream.bytes.len() - from).min(stream.reads[read % stream.reads.len()]);
        buffer[..here].copy_from_slice(&stream.bytes[from..from + here]);
        if let Some(pieces) = demux.feed(&buffer[..here], &mut scratch) {
            let batch = pieces.into_batch(Position::START, Timestamp::default());
            for (channel, line) in batch.pieces() {
                found.line(channel.index(), line);
            }
        }
        from += here;
        read += 1;
    }
    found
}
