//! Processes as the kernel shows them, and signals that reach none but the one meant.

use std::{fs, io};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::record::Process;

/// A line of `/proc/{pid}/stat` (proc_pid_stat(5)), as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub state: char,
    pub parent: i32,
    /// Clock ticks, its ended and awaited children's included.
    pub ticks: u64,
    pub threads: u64,
    pub start: u64,
    /// Pages of memory.
    pub resident: u64,
}

impl Stat {
    /// Whether its program still runs: not if it only waits to be buried.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses and may have any character in it.
        let (pid, rest) = text.split_once(' ')?;
        let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(14)? + number(15)? + number(16)? + number(17)?,
            threads: number(20)?,
            start: number(22)?,
            resident: number(24)?,
        })
    }
}

/// A process, or `None` if there is none. That it cannot be told is an error, not an end.
pub fn stat(pid: i32) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        // A name is any bytes, and is cut after 15 of them, through a character if need be.
        Ok(line) => match Stat::parse(&String::from_utf8_lossy(&line)) {
            Some(stat) => Ok(Some(stat)),
            None => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is no such line")))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All processes that can be seen.
pub fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?).ok()?).collect()
}

/// Those of `all` that descend from `ancestor`, it itself left out.
pub fn descendants(all: &[Stat], ancestor: i32) -> Vec<Stat> {
    let mut found: Vec<Stat> = Vec::new();
    let mut next = vec![ancestor];
    while let Some(parent) = next.pop() {
        let children = all.iter().filter(|stat| stat.parent == parent && stat.pid != parent);
        for child in children {
            if found.iter().all(|stat| stat.pid != child.pid) {
                found.push(*child);
                next.push(child.pid);
            }
        }
    }
    found
}

/// The process of this pid as it is now.
pub fn identify(pid: i32) -> io::Result<Option<Process>> {
    Ok(stat(pid)?.map(|stat| Process { pid, start: stat.start }))
}

/// The process as it is now, unless it has gone and its pid is another's.
pub fn look(process: Process) -> io::Result<Option<Stat>> {
    Ok(stat(process.pid)?.filter(|stat| stat.start == process.start))
}

/// Sends a signal to this process and no other: `false` if it has gone.
pub fn signal(process: Process, signal: Signal) -> io::Result<bool> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(false) };
    // Held first and looked at then: what is held cannot become another one.
    let held = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(held) => held,
        Err(Errno::SRCH) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    if look(process)?.is_none() {
        return Ok(false);
    }
    match pidfd_send_signal(held, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Holds this process as [`signal`] holds others: fails where the kernel cannot.
pub fn identify_self() -> io::Result<()> {
    Ok(pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map(|_| ())?)
}

/// Processes whose environment was marked at their start, and that live. What cannot be read
/// is not ours.
pub fn marked(name: &str, value: &str) -> Vec<Process> {
    if value.is_empty() {
        return Vec::new();
    }
    let mark = format!("{name}={value}").into_bytes();
    let has_mark = |stat: &Stat| {
        let environ = fs::read(format!("/proc/{}/environ", stat.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == mark)
    };
    let living = all().into_iter().filter(Stat::is_alive).filter(has_mark);
    living.map(|stat| Process { pid: stat.pid, start: stat.start }).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 3 0 123456 1000 77 18446744073709551615 1";
        let stat = Stat::parse(line).unwrap();
        let wanted =
            Stat { pid: 42, state: 'S', parent: 7, ticks: 100, threads: 3, start: 123_456, resident: 77 };
        assert_eq!(stat, wanted);
        assert!(stat.is_alive());
        for bad in ["", "42", "42 (x", "x (y) S 1", "42 (x) S 1 2 3"] {
            assert_eq!(Stat::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_process_is_seen_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        // The kernel cuts this name through its eighth letter.
        let program = dir.path().join("\u{43c}\u{43e}\u{439}\u{441}\u{435}\u{440}\u{432}\u{435}\u{440}");
        // By a process of its own: what this one has open for writing, its children have too for
        // a moment, and then it cannot be run.
        assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
        let mut child = Command::new(&program).arg("600").spawn().unwrap();
        let process = identify(child.id() as i32).unwrap().unwrap();
        let cut = |name: &[u8]| name.starts_with("\u{43c}".as_bytes()) && std::str::from_utf8(name).is_err();
        while !cut(fs::read(format!("/proc/{}/comm", process.pid)).unwrap().trim_ascii_end()) {
            std::thread::yield_now();
        }
        assert!(look(process).unwrap().is_some_and(|stat| stat.is_alive()));
        let ours = descendants(&all(), std::process::id() as i32);
        assert!(ours.iter().any(|stat| stat.pid == process.pid));
        assert!(signal(process, Signal::KILL).unwrap());
        child.wait().unwrap();
    }

    #[test]
    fn a_signal_reaches_none_but_the_one_meant() {
        let mut child = Command::new("sleep").arg("600").env("MANMAN_TEST_MARK", "u7").spawn().unwrap();
        let process = identify(child.id() as i32).unwrap().unwrap();
        let other = Process { start: process.start + 1, ..process };
        assert!(!signal(other, Signal::KILL).unwrap(), "the pid of another one");
        assert!(look(process).unwrap().is_some_and(|stat| stat.is_alive()));
        let ours = descendants(&all(), std::process::id() as i32);
        assert!(ours.iter().any(|stat| stat.pid == process.pid));
        // The mark is there once the program is loaded.
        while marked("MANMAN_TEST_MARK", "u7") != [process] {
            std::thread::yield_now();
        }
        assert!(signal(process, Signal::KILL).unwrap());
        child.wait().unwrap();
        assert!(!signal(process, Signal::KILL).unwrap());
        assert_eq!(look(process).unwrap(), None);
    }
}
