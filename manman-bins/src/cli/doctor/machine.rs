//! The program and the machine that it runs on.

use std::{env, fs, path::Path, thread};

use rustix::process::{getegid, geteuid};

use super::report::{Check, Section};
use crate::cli::{
    look::{Look, blocking, owner},
    output::size,
};

/// Below this nothing is prepared for a game any more (`min_free_bytes` of the engine's
/// configuration).
const LEAST_FREE: u64 = 256 << 20;

/// Below this it is said.
const LITTLE_FREE: u64 = 2 << 30;

/// The program.
pub fn program() -> Section {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let version =
        format!("{}, {build} build for {} {}", env!("CARGO_PKG_VERSION"), env::consts::ARCH, env::consts::OS);
    let place = match env::current_exe() {
        Ok(path) => Check::ok("program", path.display().to_string()),
        Err(error) => Check::unknown("program", error.to_string()),
    };
    Section { title: "manman", checks: vec![Check::ok("version", version), place] }
}

/// The machine.
pub async fn section(look: &Look) -> Section {
    let mut checks = vec![
        told("system", system()),
        told("kernel", first_line("/proc/sys/kernel/osrelease")),
        told("cpu", thread::available_parallelism().ok().map(|cores| format!("{cores} cores"))),
        told("memory", memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default())),
        user(),
        systemd(Path::new("/run/systemd/system"), &units()),
    ];
    let dir = look.data_dir.clone();
    let free = blocking(move || {
        // The directory is made later, on the disk of the nearest one that is there.
        let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
        let disk = rustix::fs::statvfs(there).map_err(|errno| errno.to_string())?;
        Ok((disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize, disk.f_favail))
    });
    checks.push(match free.await {
        Ok((free, all, files)) => disk(free, all, files),
        Err(why) => Check::unknown("disk", why),
    });
    Section { title: "machine", checks }
}

fn told(name: &str, text: Option<String>) -> Check {
    match text {
        Some(text) => Check::ok(name, text),
        None => Check::unknown(name, "the kernel does not tell"),
    }
}

fn first_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

/// os-release(5).
fn system() -> Option<String> {
    let text =
        fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release")).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// proc_meminfo(5).
fn memory(meminfo: &str) -> Option<String> {
    let of = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    };
    let (all, free) = (of("MemTotal")?, of("MemAvailable")?);
    Some(format!("{}, {} available", size(all), size(free)))
}

fn user() -> Check {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    Check::ok("user", format!("{}, uid {uid}, gid {gid}", owner(uid)))
}

/// Places of units of ours, the system's before the user's (systemd.unit(5)).
pub fn units() -> Vec<std::path::PathBuf> {
    let system = [
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ];
    let mut dirs: Vec<std::path::PathBuf> = system.into_iter().map(Into::into).collect();
    dirs.extend(env::var_os("HOME").map(|home| Path::new(&home).join(".config/systemd/user")));
    let mut units: Vec<_> =
        dirs.into_iter().map(|dir| dir.join("manman.service")).filter(|unit| unit.exists()).collect();
    // /lib may be /usr/lib.
    units.dedup_by_key(|unit| fs::canonicalize(&*unit).unwrap_or_else(|_| unit.clone()));
    units
}

fn systemd(runs: &Path, units: &[std::path::PathBuf]) -> Check {
    let units: Vec<_> = units.iter().map(|unit| unit.display().to_string()).collect();
    match (runs.exists(), units.is_empty()) {
        (true, true) => Check::ok("systemd", "runs here; manman is no unit of it"),
        (true, false) => Check::ok("systemd", format!("runs here, with {}", units.join(", "))),
        (false, true) => Check::ok("systemd", "does not run here"),
        (false, false) => {
            Check::note("systemd", format!("does not run here, but there is {}", units.join(", ")))
        }
    }
}

fn disk(free: u64, all: u64, files: u64) -> Check {
    let text = format!("{} of {} free where the data directory is", size(free), size(all));
    let remedy = "make room, or choose a --data-dir on another disk";
    match free {
        0..LEAST_FREE => Check::problem("disk", text, remedy),
        LEAST_FREE..LITTLE_FREE => Check::note("disk", text).remedy(remedy),
        // Some file systems do not count files.
        _ if files == 0 => Check::note("disk", format!("{text}; no further files are told to fit")),
        _ => Check::ok("disk", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_pages_are_read() {
        let text = "MemTotal:        8000000 kB\nMemFree: 1 kB\nMemAvailable:    4000000 kB\n";
        assert_eq!(memory(text).unwrap(), "7.6 GiB, 3.8 GiB available");
        assert_eq!(memory("nonsense"), None);
    }

    #[test]
    fn a_full_disk_is_a_problem() {
        assert!(format!("{:?}", disk(1 << 20, 1 << 40, 7)).contains("Problem"));
        assert!(format!("{:?}", disk(1 << 30, 1 << 40, 7)).contains("Note"));
        assert!(format!("{:?}", disk(1 << 39, 1 << 40, 7)).contains("Ok"));
    }
}
