//! What the processes of a game use.

use std::time::Duration;

use manman_core::runtime::Stats;

use crate::{process, record::Process};

/// What this process and its descendants use.
pub fn of(game: Process) -> Option<Stats> {
    let all = process::all();
    let main = all.iter().find(|stat| stat.pid == game.pid && stat.start == game.start)?;
    let (page, ticks) = (rustix::param::page_size() as u64, rustix::param::clock_ticks_per_second().max(1));
    let mut stats = Stats::default();
    let mut used = 0;
    for stat in process::descendants(&all, game.pid).iter().chain([main]) {
        stats.memory_bytes += stat.resident * page;
        stats.pids += stat.threads;
        used += stat.ticks;
    }
    stats.cpu = Duration::from_secs_f64(used as f64 / ticks as f64);
    Some(stats)
}
