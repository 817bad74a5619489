//! Where an installation is on disk.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::Environment;

/// A directory, made absolute.
pub(super) fn parse(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character in it".to_owned());
    }
    std::path::absolute(text).map_err(|error| format!("{text:?} cannot be made absolute: {error}"))
}

/// `/var/lib/manman` for root, else `$XDG_DATA_HOME/manman`, else `~/.local/share/manman`.
pub(super) fn default_data_dir(environment: &impl Environment) -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/manman");
    }
    // The XDG base directory specification: a relative path there is to be ignored.
    let absolute = |name| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (absolute("XDG_DATA_HOME"), absolute("HOME")) {
        (Some(data), _) => data.join("manman"),
        (None, Some(home)) => home.join(".local/share/manman"),
        (None, None) => PathBuf::from("/var/lib/manman"),
    }
}

/// What is in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places<'a>(pub &'a Path);

impl Places<'_> {
    /// Makes the directory; what is secret in it has a mode of its own.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(&self) -> io::Result<()> {
        if self.0.exists() {
            return Ok(());
        }
        fs::create_dir_all(self.0)?;
        // Games of other users come through, whatever the umask says.
        fs::set_permissions(self.0, fs::Permissions::from_mode(0o755))
    }

    /// The token of a host whose control plane is elsewhere.
    pub fn host_token(&self) -> PathBuf {
        self.0.join("host-token")
    }

    /// The Unix socket of the API.
    pub fn socket(&self) -> PathBuf {
        self.0.join("manman.sock")
    }

    /// The token.
    pub fn token(&self) -> PathBuf {
        self.0.join("token")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.0.join("manman.db")
    }

    /// What is put by hosts, unless it is kept elsewhere.
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.0.join("manman.toml")
    }

    /// What drives the games, one word.
    pub fn runtime(&self) -> PathBuf {
        self.0.join("runtime")
    }

    /// Held by the process that serves this directory.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What this machine is known by where the system has no name for it.
    pub fn machine_id(&self) -> PathBuf {
        self.0.join("machine-id")
    }

    /// What the host manager has written down.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The consoles that it keeps.
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }
}
