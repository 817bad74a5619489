//! A cgroup of its own for each game (version 2), where a part of the hierarchy is ours to
//! divide.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use manman_core::model::Limits;

/// How our own cgroup is called where systemd has made one for us within what it delegates
/// (systemd.resource-control(5), `DelegateSubgroup=`).
const OWN: &str = "manager";

/// Controllers that the limits of a game take.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// The period of a processor limit in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// The limit of swap, which not every kernel has (`CONFIG_SWAP`, `swapaccount=0`).
const SWAP: &str = "memory.swap.max";

/// A cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup(PathBuf);

/// The part of the hierarchy that is ours, made ready to be divided, or why there is none.
pub fn delegated(configured: Option<&Path>) -> Result<Cgroup, String> {
    let Cgroup(path) = find(configured)?;
    let enable = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
    fs::write(path.join("cgroup.subtree_control"), enable)
        .map_err(|error| format!("{} is not ours to divide: {error}", path.display()))?;
    Ok(Cgroup(path))
}

/// The part of the hierarchy that should be ours, as it is.
pub fn find(configured: Option<&Path>) -> Result<Cgroup, String> {
    let path = match configured {
        Some(path) => path.to_owned(),
        None => of_systemd()?,
    };
    let shown = path.display();
    let offered = fs::read_to_string(path.join("cgroup.controllers"))
        .map_err(|error| format!("{shown} is no cgroup of version 2: {error}"))?;
    let missing: Vec<_> =
        CONTROLLERS.into_iter().filter(|name| offered.split_whitespace().all(|it| it != *name)).collect();
    if !missing.is_empty() {
        return Err(format!("{shown} has no controllers {}", missing.join(", ")));
    }
    Ok(Cgroup(path))
}

/// The parent of our own cgroup, if it is the one that was made for that.
fn of_systemd() -> Result<PathBuf, String> {
    let of_us = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = of_us.lines().find_map(|line| line.strip_prefix("0::"));
    let own = path.map(|path| Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/')));
    match own {
        Some(own) if own.ends_with(OWN) => Ok(own.parent().unwrap_or(&own).to_owned()),
        _ => Err("no cgroup is delegated to manman".to_owned()),
    }
}

impl Cgroup {
    /// The one at this path.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes one of its own for a game within it, with the game's limits.
    pub fn make(&self, name: &str, limits: &Limits) -> io::Result<Self> {
        let child = Self(self.0.join(name));
        match fs::create_dir(&child.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        for (file, value) in values(limits) {
            // A kernel that does not account for swap has no file for it, and makes none.
            if file == SWAP && !child.0.join(file).exists() {
                continue;
            }
            if let Err(error) = fs::write(child.0.join(file), value) {
                let _ = child.remove();
                return Err(error);
            }
        }
        Ok(child)
    }

    /// Puts this process into it.
    pub fn enter(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), "0")
    }

    /// Whether the kernel has killed something in it for lack of memory.
    pub fn has_killed(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }

    /// Kills all that is in it, where the kernel can (5.14).
    pub fn kill(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.kill"), "1")
    }

    /// Removes it once nothing is in it.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What is written where for these limits (cgroup-v2.rst of the kernel). Swap counts as memory.
fn values(limits: &Limits) -> Vec<(&'static str, String)> {
    let mut values = Vec::new();
    if let Some(bytes) = limits.memory_bytes {
        values.push(("memory.max", bytes.to_string()));
        values.push((SWAP, "0".to_owned()));
    }
    if let Some(millis) = limits.cpu_millis {
        values.push(("cpu.max", format!("{} {PERIOD}", u64::from(millis) * PERIOD / 1000)));
    }
    if let Some(pids) = limits.pids {
        values.push(("pids.max", pids.to_string()));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(controllers: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), controllers).unwrap();
        dir
    }

    #[test]
    fn limits_are_written_as_the_kernel_takes_them() {
        let dir = hierarchy("cpuset cpu io memory pids\n");
        let ours = delegated(Some(dir.path())).unwrap();
        let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
        assert_eq!(read("cgroup.subtree_control"), "+cpu +memory +pids");
        let limits = Limits { memory_bytes: Some(1 << 30), cpu_millis: Some(1500), pids: Some(64) };
        fs::create_dir(dir.path().join("game")).unwrap();
        fs::write(dir.path().join("game/memory.swap.max"), "max\n").unwrap();
        let game = ours.make("game", &limits).unwrap();
        assert_eq!(read("game/memory.max"), "1073741824");
        assert_eq!(read("game/memory.swap.max"), "0");
        assert_eq!(read("game/cpu.max"), "150000 100000");
        assert_eq!(read("game/pids.max"), "64");
        assert!(!game.has_killed());
        fs::write(dir.path().join("game/memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        assert!(game.has_killed());
    }

    #[test]
    fn a_kernel_without_swap_accounting_is_asked_for_none() {
        let dir = hierarchy("cpu memory pids\n");
        let ours = delegated(Some(dir.path())).unwrap();
        let limits = Limits { memory_bytes: Some(1 << 30), ..Limits::default() };
        let game = ours.make("game", &limits).unwrap();
        assert_eq!(fs::read_to_string(game.path().join("memory.max")).unwrap(), "1073741824");
        assert!(!game.path().join(SWAP).exists(), "that is refused where the kernel has none");
    }

    #[test]
    fn what_is_not_ours_to_divide_is_said() {
        let dir = hierarchy("hugetlb\n");
        let said = delegated(Some(dir.path())).unwrap_err();
        assert!(said.contains("cpu, memory, pids"), "{said}");
        assert!(delegated(Some(&dir.path().join("none"))).unwrap_err().contains("no cgroup"));
    }
}
