//! What an attempt is at, from its records and the kernel.

use std::path::Path;

use manman_core::{
    error::{Chain, ErrorKind, Result},
    runtime::{AttemptState, Exit, Foreign, Found, Owner},
};

use crate::{
    directory::{RunDir, read_record},
    process,
    record::{Plan, Started, VERSION},
    translate::of_file,
};

/// An attempt of ours, as it is now.
#[derive(Clone, Debug)]
pub struct Seen {
    pub dir: RunDir,
    pub plan: Plan,
    /// Its process, once it was started.
    pub started: Option<Started>,
    pub state: AttemptState,
    /// Whether its supervisor lives.
    pub is_supervised: bool,
}

impl Seen {
    pub fn found(&self) -> Found {
        Found {
            run: self.plan.run,
            sgc: self.plan.sgc,
            state: self.state.clone(),
            spec_hash: self.plan.spec_hash.clone(),
            created_at: Some(self.plan.created_at),
            engine_id: self.dir.name(),
        }
    }

    pub fn is_retired(&self) -> bool {
        self.dir.retired().exists()
    }
}

/// What lies in a directory.
#[derive(Debug)]
pub enum Look {
    Ours(Box<Seen>),
    Foreign(Foreign),
    /// Nothing, or it has just gone.
    Nothing,
}

/// Looks at the directory of an attempt of `owner`; `boot` is the machine's present run. Whose
/// it is, installation and server say: an environment only gives names, and may be changed
/// while games run.
pub fn look(owner: &Owner, boot: &str, path: &Path) -> Result<Look> {
    let seen = match look_at_any(boot, path)? {
        Look::Ours(seen) => seen,
        other => return Ok(other),
    };
    let theirs = &seen.plan.owner;
    let why = if theirs.cluster != owner.cluster {
        format!("it belongs to the installation {}", theirs.cluster)
    } else if theirs.server != owner.server {
        format!("it belongs to server {} of this installation", theirs.server)
    } else if seen.dir.name() != crate::directory::name(owner, seen.plan.run) {
        "it is not called what its plan says".to_owned()
    } else {
        return Ok(Look::Ours(seen));
    };
    Ok(Look::Foreign(Foreign { name: seen.dir.name(), why }))
}

/// Looks at the directory of an attempt, whoever its owner is.
pub fn look_at_any(boot: &str, path: &Path) -> Result<Look> {
    let dir = RunDir::new(path.to_owned());
    let foreign = |why: String| Ok(Look::Foreign(Foreign { name: dir.name(), why }));
    let plan = match read_record::<serde_json::Value>(&dir.plan()) {
        Ok(Some(plan)) => plan,
        Ok(None) if !path.exists() => return Ok(Look::Nothing),
        Ok(None) => return foreign("it has no plan".to_owned()),
        Err(error) => return foreign(format!("its plan cannot be read: {error}")),
    };
    // The version first: a newer one may have another form.
    match plan.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        version => {
            let version = version.map_or("no version".to_owned(), |version| format!("version {version}"));
            return foreign(format!("its plan has {version}, this manman knows {VERSION}"));
        }
    }
    let plan: Plan = match serde_json::from_value(plan) {
        Ok(plan) => plan,
        Err(error) => return foreign(format!("its plan cannot be read: {error}")),
    };
    let (started, state, is_supervised) = match state(&dir, boot) {
        Ok(state) => state,
        // One that is damaged must not hide the others. Whatever passes is no damage.
        Err(error) if error.kind() == ErrorKind::Corrupt => return foreign(Chain(&error).to_string()),
        Err(error) => return Err(error),
    };
    Ok(Look::Ours(Box::new(Seen { dir, plan, started, state, is_supervised })))
}

fn state(dir: &RunDir, boot: &str) -> Result<(Option<Started>, AttemptState, bool)> {
    let operation = "look at an attempt";
    let failed = |path: &Path, error| of_file(operation, "read", path, error);
    let read_exit = || read_record::<Exit>(&dir.exit()).map_err(|error| failed(&dir.exit(), error));
    let begun = || begun(dir).map_err(|error| failed(&dir.started(), error));
    if let Some(exit) = read_exit()? {
        return Ok((begun()?.map(|(started, _)| started), AttemptState::Exited(exit), false));
    }
    let is_supervised = dir.is_supervised().map_err(|error| failed(&dir.lock(), error))?;
    let Some((started, is_loaded)) = begun()? else {
        return Ok((None, AttemptState::Created, is_supervised));
    };
    // Of another run of the machine nothing is left, whatever a lock or a pid looks like.
    let is_of_this_boot = started.boot == boot;
    let is_supervised = is_supervised && is_of_this_boot;
    // Who loads it tells whether it can be; what nobody tells of any more is seen below.
    if !is_loaded && is_supervised {
        return Ok((Some(started), AttemptState::Created, true));
    }
    let stat = if is_of_this_boot {
        process::look(started.game).map_err(|error| failed(Path::new("/proc"), error))?
    } else {
        None
    };
    let lives = stat.filter(process::Stat::is_alive);
    let state = if is_supervised || lives.is_some() {
        // What has ended and is supervised is about to have its exit written down.
        AttemptState::Running {
            started_at: Some(started.at),
            pid: Some(i64::from(started.game.pid)),
            paused: lives.is_some_and(|stat| stat.state == 'T'),
        }
    } else if let Some(exit) = read_exit()? {
        // Written between the two looks.
        AttemptState::Exited(exit)
    } else {
        let error = if is_of_this_boot {
            "nobody saw how it ended: its supervisor was killed before"
        } else {
            "the machine was restarted while it ran"
        };
        AttemptState::Exited(Exit {
            code: Exit::UNKNOWN,
            out_of_memory: false,
            at: None,
            error: error.to_owned(),
        })
    };
    Ok((Some(started), state, is_supervised))
}

/// The process of an attempt that was begun, and whether its program was loaded. A process is
/// on record as being loaded first: so nothing is missed between the two looks.
fn begun(dir: &RunDir) -> std::io::Result<Option<(Started, bool)>> {
    if let Some(starting) = read_record::<Started>(&dir.starting())? {
        return Ok(Some((starting, false)));
    }
    Ok(read_record::<Started>(&dir.started())?.map(|started| (started, true)))
}

/// Whether nothing is going to be printed any more.
pub fn has_ended(dir: &RunDir, boot: &str) -> std::io::Result<bool> {
    if dir.exit().exists() {
        return Ok(true);
    }
    let Some((started, _)) = begun(dir)? else { return Ok(false) };
    if started.boot != boot {
        return Ok(true);
    }
    let lives = process::look(started.game)?.is_some_and(|stat| stat.is_alive());
    Ok(!lives && !dir.is_supervised()?)
}
