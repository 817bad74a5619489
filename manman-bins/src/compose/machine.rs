//! What this machine says about itself.

use manman_core::{
    error::Result,
    host::{
        HostConfig,
        journal::{FileDisk, Journal},
        spool::FileSpool,
    },
};

use crate::config::{MachineConfig, Places};

/// How the host manager of this machine behaves.
pub(super) fn host_config(config: &MachineConfig) -> HostConfig {
    let mut host = config.host.clone();
    host.name = config.server_name.clone();
    host.environment = config.environment.clone();
    host.machine_id = first_line("/etc/machine-id");
    host.boot_id = first_line("/proc/sys/kernel/random/boot_id");
    host
}

/// What it has written down.
pub(super) fn journal(config: &MachineConfig) -> Result<Journal> {
    Journal::open(FileDisk::open(Places(&config.data_dir).journal())?)
}

/// The consoles that it keeps.
pub(super) fn spool(config: &MachineConfig) -> Result<FileSpool> {
    FileSpool::new(Places(&config.data_dir).spool(), config.host.console.spool.clone())
}

/// The first line of a small file, or nothing.
fn first_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().chars().take(64).collect()
}
