//! Processes, as the kernel tells them: the truth that manman is held against.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// A process that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its pid.
    pub pid: i32,
    /// Its words.
    pub command: String,
    /// The attempt that it belongs to, as its environment is marked.
    pub mark: Option<String>,
}

/// Ends a process with SIGKILL, if it is there.
pub fn kill(pid: i32) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// Whether a process runs.
pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn read(pid: i32, what: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|&pid| lives(pid))
}

/// The supervisors and games of an installation, and what games have started: a supervisor
/// names its attempt's directory, and the home of a game is its deployment's.
pub fn of(data: &Path) -> Vec<Found> {
    let data = data.to_str().unwrap();
    let home = format!("HOME={data}/");
    let found = |pid| {
        let (command, environment) = (read(pid, "cmdline").replace('\0', " "), read(pid, "environ"));
        let is_supervisor =
            command.starts_with("manman-supervise ") || command.contains(" manman-supervise ");
        let variable = |name: &str| environment.split('\0').find_map(|it| it.strip_prefix(name));
        let is_games = environment.split('\0').any(|it| it.starts_with(&home));
        let mark = variable("MANMAN_ATTEMPT=").map(str::to_owned);
        (is_games || is_supervisor && command.contains(data)).then_some(Found { pid, command, mark })
    };
    all().filter_map(found).collect()
}

/// How many processes have words like these.
pub fn count(like: impl Fn(&str) -> bool) -> usize {
    all().filter(|&pid| like(&read(pid, "cmdline").replace('\0', " "))).count()
}

/// The supervisor of the attempt in `directory`.
pub fn supervisor_of(directory: &Path) -> Option<i32> {
    let directory = directory.to_str().unwrap();
    all().find(|&pid| {
        let command = read(pid, "cmdline");
        let words: Vec<&str> = command.trim_end_matches('\0').split('\0').collect();
        words.windows(3).any(|words| words == ["manman-supervise", "run", directory])
    })
}
