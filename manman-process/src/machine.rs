//! This machine, as what drives the games here.

use std::fs;

use manman_core::runtime::EngineInfo;

/// Tells one run of the machine from the next one; empty where the kernel does not say.
pub fn boot_id() -> String {
    first_line("/proc/sys/kernel/random/boot_id")
}

/// What this machine is, apart from its warnings.
pub fn info(boot: String) -> EngineInfo {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
    EngineInfo {
        id: format!("machine-{}", first_line("/etc/machine-id")),
        boot,
        version: format!("plain processes on {}", system()),
        survives_restart: false,
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        warnings: Vec::new(),
    }
}

/// What the machine runs: `Debian GNU/Linux 12 (bookworm), Linux 6.1.0`.
pub fn system() -> String {
    let kernel = first_line("/proc/sys/kernel/osrelease");
    match pretty_name(&fs::read_to_string("/etc/os-release").unwrap_or_default()) {
        Some(name) => format!("{name}, Linux {kernel}"),
        None => format!("Linux {kernel}"),
    }
}

/// The name in os-release(5).
fn pretty_name(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name: String = name.trim_matches('"').chars().filter(|c| !c.is_control()).take(80).collect();
    (!name.is_empty()).then_some(name)
}

/// All memory of the machine in bytes (proc_meminfo(5)).
fn memory(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_told() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:       2048 kB\n"), 2 << 20);
        assert_eq!(pretty_name("ID=debian\nPRETTY_NAME=\"Debian \x1b12\"\n").as_deref(), Some("Debian 12"));
        assert_eq!(pretty_name("ID=x"), None);
        let info = info(boot_id());
        assert!(info.cpus > 0 && info.memory_bytes > 0 && !info.boot.is_empty());
    }
}
