//! Random histories of a whole installation on the memory backends under virtual time:
//! users ask for things at once, games end, engines, brokers, stores and managers fail and
//! die at any moment. Whatever happens, the invariants hold, and when nothing fails any
//! more everything comes to its end and leaves nothing behind.
//!
//! Each history follows from its seed. One that fails prints it; `MANMAN_SEED=n` tells that
//! one again. `MANMAN_TESTS=full` tells as many as fit in twenty minutes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic here is a failed test")]

mod history;
#[path = "../host/world.rs"]
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// How many histories are told at least, however long that takes.
const LEAST: u64 = 10_000;

/// How many histories are told, and for how long at most beyond the least.
fn scale() -> (u64, Duration) {
    match std::env::var("MANMAN_TESTS").as_deref() {
        Ok("full") => (1_000_000, Duration::from_secs(20 * 60)),
        _ => (LEAST, Duration::ZERO),
    }
}

fn tell(seed: u64) -> Result<String, String> {
    let told = catch_unwind(AssertUnwindSafe(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(history::tell(seed))
    }));
    told.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

#[test]
fn a_history_follows_from_its_seed() {
    for seed in 0..200 {
        assert_eq!(tell(seed), tell(seed), "seed {seed}");
    }
}

#[test]
fn every_history_keeps_the_invariants() {
    if let Some(seed) = std::env::var("MANMAN_SEED").ok().and_then(|seed| seed.parse().ok()) {
        tell(seed).unwrap();
        return;
    }
    let (count, longest) = scale();
    let begun = Instant::now();
    let (next, told) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failed.lock().unwrap().len() < 5 {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= count || (seed >= LEAST && begun.elapsed() >= longest) {
                        return;
                    }
                    if let Err(why) = tell(seed) {
                        failed.lock().unwrap().push(format!("MANMAN_SEED={seed}: {why}"));
                    }
                    told.fetch_add(1, SeqCst);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let told = told.into_inner();
    println!("{told} histories in {:?}", begun.elapsed());
    assert!(failed.is_empty(), "{} of {told} histories failed:\n{}", failed.len(), failed.join("\n"));
    // What is claimed everywhere is what every machine has to tell; beyond that it is time
    // that ends it.
    assert!(told >= LEAST, "{told} histories in {:?}, {LEAST} were to be told", begun.elapsed());
}
