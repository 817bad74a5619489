//! What the parts of a fleet use: CPU time and memory, as the kernel tells them.

use std::{collections::BTreeMap, fs, time::Duration};

/// A part: some processes with all that descend from them; this process if there are none.
#[derive(Debug)]
pub struct Part {
    pub name: &'static str,
    roots: Vec<u32>,
}

/// What a part has used so far, and holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    /// Memory that is its own alone.
    pub anonymous_kib: u64,
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    parent: u32,
    /// Its own, and that of children that have ended; in ticks.
    ticks: u64,
}

impl Part {
    pub fn new(name: &'static str, roots: Vec<u32>) -> Self {
        Self { name, roots }
    }

    /// What it uses now.
    pub fn usage(&self) -> Usage {
        let all = processes();
        let own = [std::process::id()];
        let is_ours = |mut pid: u32| {
            if self.roots.is_empty() {
                return pid == own[0];
            }
            loop {
                if self.roots.contains(&pid) {
                    return true;
                }
                match all.get(&pid) {
                    Some(stat) if stat.parent > 1 => pid = stat.parent,
                    _ => return false,
                }
            }
        };
        let mut usage = Usage::default();
        for (&pid, stat) in all.iter().filter(|(pid, _)| is_ours(**pid)) {
            // Linux tells in ticks of 10 ms on every machine that we know.
            usage.cpu += Duration::from_millis(stat.ticks * 10);
            usage.anonymous_kib += anonymous_kib(pid);
        }
        usage
    }
}

fn processes() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; then come the state and the parent.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Children of this process are parts of their own.
    let last = if pid == std::process::id() { 12 } else { 14 };
    let ticks = (11..=last).map(number).sum::<Option<u64>>()?;
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks })
}

fn anonymous_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
