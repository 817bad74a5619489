//! The same over and over: nothing is left of it in manman.

use std::{fs, time::Duration};

use super::{Installation, scaled, until};

/// Open descriptors and threads of a process, and its memory in KiB. Threads of tokio's pool come
/// and go by its own rules, and are left out.
fn held(pid: u32) -> (usize, usize, usize) {
    let entries = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    let threads = entries("task").map(name).filter(|name| !name.starts_with("tokio-")).count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    (entries("fd").count(), threads, memory.trim().trim_end_matches(" kB").parse().unwrap())
}

/// What so many sessions may add to memory, in KiB: each stays on record in the database's
/// caches for a while, none may keep a task, a ring or a spool.
const MEMORY: usize = 16 << 10;

/// Does something over and over, and waits each time it counts until nothing is left at what
/// runs the games: manman holds no more than before.
#[track_caller]
pub fn leak_nothing(manman: &Installation, once: impl Fn(), await_nothing_left: impl Fn()) {
    // What is made once and kept (connections, threads of pools) is there after these.
    for _ in 0..3 {
        once();
    }
    await_nothing_left();
    let before = held(manman.pid());
    for _ in 0..scaled(10, 1_000) {
        once();
    }
    await_nothing_left();
    until("descriptors and threads are as before", Duration::from_secs(20), || {
        let after = held(manman.pid());
        (after.0 <= before.0 + 4 && after.1 <= before.1 + 4).then_some(())
    });
    let after = held(manman.pid());
    assert!(after.2 <= before.2 + MEMORY, "memory went from {} to {} KiB", before.2, after.2);
}
