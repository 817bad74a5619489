//! A look at what runs here as plain processes, for whoever wants to know what is wrong. Reads,
//! and makes nothing.

use std::{fs, io};

use manman_core::{
    error::Result,
    id::{ClusterId, SessionId},
    runtime::AttemptState,
};

use crate::{
    cgroup,
    config::ProcessConfig,
    holes::unbounded,
    lifecycle::root_of,
    machine,
    observe::{Look, look_at_any},
    translate::of_file,
};

/// What runs here as plain processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// The machine: system and kernel.
    pub system: String,
    /// Why limits of memory, processor and processes do not hold, if they do not.
    pub unlimited: Option<String>,
    /// Why the output of games is not bounded, if it is known not to be.
    pub unbounded: Option<String>,
    /// What is in the directory of all attempts.
    pub attempts: Vec<Attempt>,
}

/// A directory of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its name.
    pub name: String,
    /// Whose it is, if it can be read.
    pub cluster: Option<ClusterId>,
    /// The session that it is of, if it can be read.
    pub session: Option<SessionId>,
    /// Whether its game lives.
    pub alive: bool,
}

/// Looks at the machine and at the attempts of `config`. Blocks.
///
/// # Errors
/// If the directory of attempts cannot be read.
pub fn examine(config: &ProcessConfig) -> Result<Examination> {
    let root = root_of(config);
    let boot = config.boot_id.clone().unwrap_or_else(machine::boot_id);
    let failed = |error| of_file("examine processes", "read", &root, error);
    let mut attempts = Vec::new();
    let entries = match fs::read_dir(&root) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        match look_at_any(&boot, &entry.path())? {
            Look::Ours(seen) => attempts.push(Attempt {
                name,
                cluster: Some(seen.plan.owner.cluster),
                session: Some(seen.plan.run.session),
                alive: matches!(seen.state, AttemptState::Running { .. }),
            }),
            Look::Foreign(_) => attempts.push(Attempt { name, cluster: None, session: None, alive: false }),
            Look::Nothing => {}
        }
    }
    attempts.sort_by(|one, other| one.name.cmp(&other.name));
    let unlimited = cgroup::find(config.cgroup.as_deref()).err();
    let unbounded =
        [&root, &config.data_dir].into_iter().find(|dir| dir.exists()).and_then(|dir| unbounded(dir));
    Ok(Examination { system: machine::system(), unlimited, unbounded, attempts })
}
