//! What this machine says about itself.

use std::{fs, io, path::Path};

use manman_core::{
    error::{Error, ErrorKind, Result},
    host::{
        HostConfig,
        journal::{FileDisk, Journal},
        spool::FileSpool,
    },
};

use crate::config::{MachineConfig, Places};

/// How the host manager of this machine behaves.
pub(super) fn host_config(config: &MachineConfig) -> Result<HostConfig> {
    let mut host = config.host.clone();
    host.name = config.server_name.clone();
    host.environment = config.environment.clone();
    host.machine_id = machine_id(Path::new("/etc/machine-id"), &Places(&config.data_dir).machine_id())?;
    host.boot_id = first_line(Path::new("/proc/sys/kernel/random/boot_id"));
    Ok(host)
}

/// What tells this machine from others: what the system says, or else, as in an image, which
/// is the same everywhere, what is made once and kept beside the journal.
fn machine_id(of_system: &Path, kept: &Path) -> Result<String> {
    for known in [of_system, kept] {
        let id = first_line(known);
        if !id.is_empty() {
            return Ok(id);
        }
    }
    let id = uuid::Uuid::new_v4().simple().to_string();
    write_whole(kept, &id).map_err(|error| {
        let message = format!("{} cannot be written", kept.display());
        Error::new(ErrorKind::Config, "name this machine", message).because(error)
    })?;
    Ok(id)
}

fn write_whole(path: &Path, line: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{line}\n"))?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(beside, path)
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
fn first_line(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_the_system_does_not_name_keeps_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (of_system, kept) = (dir.path().join("system"), dir.path().join("kept"));
        let first = machine_id(&of_system, &kept).unwrap();
        assert_eq!(first.len(), 32);
        assert_eq!(machine_id(&of_system, &kept).unwrap(), first);
        let other = machine_id(&of_system, &dir.path().join("of-another")).unwrap();
        assert_ne!(other, first);
        fs::write(&of_system, "0123\n").unwrap();
        assert_eq!(machine_id(&of_system, &kept).unwrap(), "0123");
        fs::remove_file(&of_system).unwrap();
        let error = machine_id(&of_system, &dir.path().join("not/there")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
