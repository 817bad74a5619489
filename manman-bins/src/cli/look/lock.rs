//! Who serves a data directory, without asking for its lock: whoever tries to take it is in
//! the way of a `manman up` that begins just then.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

/// The process that holds the lock `file`; `None` if nobody does.
///
/// # Errors
/// What the system says of the file.
pub fn holder(file: &Path) -> io::Result<Option<u32>> {
    let found = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let (device, inode) = (found.dev(), found.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut holders = locks.lines().filter_map(|line| held(line, inode));
    // Files of several file systems may have the same number; of some the device is told otherwise
    // there, and then whoever may have it open has it.
    let holder = holders.find(|(on, pid)| {
        *on == (rustix::fs::major(device), rustix::fs::minor(device)) || opens(*pid, file) != Some(false)
    });
    if let Some((_, pid)) = holder {
        return Ok(Some(pid));
    }
    // Some file systems number a file otherwise there, and a container's kernel may show no
    // locks: then what the file says counts, if that process has it open.
    let said = fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u32>().ok());
    Ok(said.filter(|pid| opens(*pid, file) == Some(true)))
}

/// The device and the process of a line of /proc/locks (proc_locks(5)), if it is about a file of
/// this number: `1: FLOCK  ADVISORY  WRITE 5069 fe:00:5890052 0 EOF`.
fn held(line: &str, inode: u64) -> Option<((u32, u32), u32)> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", pid, place, ..] = words[..] else { return None };
    let parts: Vec<_> = place.split(':').collect();
    let [major, minor, number] = parts[..] else { return None };
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    // A process that cannot be seen from here is 0.
    let pid = pid.parse().ok().filter(|&pid| pid > 0)?;
    (number.parse() == Ok(inode)).then_some((device, pid))
}

/// Whether a process has a file open; `None` if that may not be seen.
fn opens(pid: u32, file: &Path) -> Option<bool> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    Some(open.any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::DataLock;

    #[test]
    fn whoever_has_it_is_named_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lock");
        assert_eq!(holder(&file).unwrap(), None);
        assert!(!file.exists());
        let lock = DataLock::take(&file).unwrap();
        assert_eq!(holder(&file).unwrap(), Some(std::process::id()));
        drop(lock);
        assert_eq!(holder(&file).unwrap(), None);
    }

    #[test]
    fn the_kernels_lines_are_read() {
        assert_eq!(held("1: FLOCK  ADVISORY  WRITE 5069 fe:00:77 0 EOF", 77), Some(((0xfe, 0), 5069)));
        for other in
            ["1: FLOCK ADVISORY WRITE 5069 fe:00:78 0 EOF", "2: OFDLCK ADVISORY READ -1 00:06:77 0 EOF", ""]
        {
            assert_eq!(held(other, 77), None, "{other}");
        }
    }
}
