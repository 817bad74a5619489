//! A fleet: hundreds of hosts in one process, on real brokers and PostgreSQL, and what it costs.
//!
//! API and event processors are processes of their own. Host managers are the real ones, each
//! with its own connection to the broker, its own token and its own connection to the API;
//! their engines, journals and consoles are in memory, so that what is measured is what they
//! say and hear. Lines a second are those of the consoles that are followed, each through the
//! API and by its number; the other games print nothing of their own. The generator, whose
//! share is shown apart, is all of that and the callers of the API.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stderr, reason = "figures, and what a failed test shows")]

mod client;
mod cost;
mod figures;
mod games;
mod hosts;
mod judge;
mod load;
mod plane;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../cluster/support/process.rs"]
mod process;
#[path = "../installation/ran.rs"]
mod ran;
mod viewers;

use std::time::Duration;

use figures::{Figures, table};
use plane::{Kind, Plane};
use ran::Ran;

/// How large a fleet is, and how long it is held.
#[derive(Clone, Copy, Debug)]
struct Size {
    hosts: usize,
    /// Sessions of each host.
    sessions: usize,
    /// How many of them, one on each host in turn, print [`LINES_EACH`] lines a second.
    followed: usize,
    lasts: Duration,
    processors: usize,
    /// Lines typed a second.
    inputs: u32,
    /// Games that are stopped and started again, a minute.
    restarts: u32,
}

/// How many lines a second a followed game prints.
const LINES_EACH: u32 = 200;

const fn fleet(hosts: usize, sessions: usize, followed: usize, secs: u64) -> Size {
    let lasts = Duration::from_secs(secs);
    Size { hosts, sessions, followed, lasts, processors: 1, inputs: 5, restarts: 60 }
}

/// The fleets of this run; `MANMAN_TESTS` says how large.
fn sizes() -> Vec<Size> {
    match std::env::var("MANMAN_TESTS").as_deref() {
        Ok("full") => vec![
            Size { processors: 2, inputs: 20, ..fleet(200, 20, 50, 600) },
            fleet(20, 4, 5, 30),
            fleet(200, 4, 5, 30),
            fleet(1_000, 4, 5, 30),
        ],
        _ => vec![fleet(20, 5, 5, 20)],
    }
}

fn held(kind: Kind, size: Size) -> Figures {
    eprintln!("{kind:?}, {size:?}");
    let plane = Plane::up(kind, size.processors);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let figures = runtime.block_on(load::hold(&plane, size));
    runtime.shutdown_timeout(Duration::from_secs(10));
    figures
}

/// Nothing lost, nothing doubled, nobody taken for dead; what it cost is printed.
#[test]
fn a_fleet_is_held() {
    let mut all = Vec::new();
    for size in sizes() {
        for kind in [Kind::RabbitMq, Kind::Nats] {
            all.push(held(kind, size));
            eprintln!("{}", table(&all));
        }
    }
}
