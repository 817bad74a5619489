//! From create to remove: what is done to the directories and processes of attempts. Blocks.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use manman_core::{
    error::{Error, ErrorKind, Result},
    id::AttemptId,
    machine::{DataDir, first_held, port_holder},
    model::PortBinding,
    runtime::{AttemptState, ContainerSpec, Inventory, Owner},
};
use rustix::{
    fs::{CWD, FlockOperation, Gid, Mode, Uid, chown, flock, mkfifoat},
    process::Signal,
};

use crate::{
    cgroup::{self, Cgroup},
    config::ProcessConfig,
    directory::{self, RunDir, private, write_record},
    holes::unbounded_beside,
    machine, map,
    observe::{Look, Seen, look},
    process,
    record::{Launched, Plan},
    supervisors::Supervisors,
    translate::{of_file, of_load},
};

/// How long another process may hold the lock on all attempts; it does so for milliseconds.
const LOCKED_FOR: Duration = Duration::from_secs(8);

/// Where the directories of all attempts are.
pub fn root_of(config: &ProcessConfig) -> PathBuf {
    config.data_dir.join("process").join("runs")
}

/// The attempts of a machine.
#[derive(Debug)]
pub struct Runs {
    pub owner: Owner,
    pub config: ProcessConfig,
    data: DataDir,
    supervisors: Supervisors,
    /// Why output is not bounded; found out once.
    unbounded: OnceLock<Option<String>>,
}

impl Runs {
    pub fn new(owner: Owner, config: ProcessConfig) -> Self {
        let data = DataDir::new(&config.data_dir, &owner, config.min_free_bytes);
        let supervisors = Supervisors::new(config.supervisor.clone());
        Self { owner, config, data, supervisors, unbounded: OnceLock::new() }
    }

    /// Where the directories of all attempts are.
    pub fn root(&self) -> PathBuf {
        root_of(&self.config)
    }

    /// The present run of the machine.
    pub fn boot(&self) -> String {
        self.config.boot_id.clone().unwrap_or_else(machine::boot_id)
    }

    /// Makes the directory of all attempts, which is nobody else's business.
    pub fn make_root(&self) -> Result<()> {
        let (root, operation) = (self.root(), "make the directory of attempts");
        let make = || {
            if !self.config.data_dir.exists() {
                fs::create_dir_all(&self.config.data_dir)?;
                // Games of other users come through, whatever the umask says.
                fs::set_permissions(&self.config.data_dir, fs::Permissions::from_mode(0o755))?;
            }
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)
        };
        make().map_err(|error| of_file(operation, "make", &root, error))
    }

    /// Why the output of games is not bounded, if it is not.
    pub fn unbounded(&self) -> Option<String> {
        // Without a place for attempts there is nothing to be told of it.
        self.make_root().ok()?;
        self.unbounded.get_or_init(|| unbounded_beside(&self.root())).clone()
    }

    pub fn prepare(&self, spec: &ContainerSpec) -> Result<()> {
        self.config.policy.check(spec)?;
        // Who cannot be is refused before anything is given to them.
        let user = map::user(spec, &self.config.user)?;
        let us = || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        self.data.prepare(spec, user.unwrap_or_else(us))
    }

    /// One attempt of ours.
    pub fn seen(&self, run: AttemptId) -> Result<Option<Seen>> {
        let path = self.root().join(directory::name(&self.owner, run));
        self.supervisors.bury();
        match look(&self.owner, &self.boot(), &path)? {
            Look::Ours(seen) => Ok(Some(*seen)),
            Look::Foreign(_) | Look::Nothing => Ok(None),
        }
    }

    /// One attempt of ours that has to be there.
    pub fn existing(&self, operation: &'static str, run: AttemptId) -> Result<Seen> {
        let absent = || Error::new(ErrorKind::NotFound, operation, format!("there is no process of {run}"));
        self.seen(run)?.ok_or_else(absent)
    }

    /// All that is there.
    pub fn inventory(&self) -> Result<Inventory> {
        let (ours, foreign) = self.all()?;
        let found = ours.iter().map(Seen::found).collect();
        Ok(Inventory { found, foreign, networks: Vec::new() })
    }

    fn all(&self) -> Result<(Vec<Seen>, Vec<manman_core::runtime::Foreign>)> {
        let (root, boot) = (self.root(), self.boot());
        let failed = |error| of_file("list attempts", "read", &root, error);
        self.supervisors.bury();
        let entries = match fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(failed(error)),
        };
        let (mut ours, mut foreign) = (Vec::new(), Vec::new());
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // Attempts in the making, and those on their way out.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match look(&self.owner, &boot, &entry.path())? {
                Look::Ours(seen) => ours.push(*seen),
                Look::Foreign(found) => foreign.push(found),
                Look::Nothing => {}
            }
        }
        Ok((ours, foreign))
    }

    pub fn create(&self, spec: &ContainerSpec) -> Result<()> {
        let operation = "create a process";
        let conflict = |message: String| Err(Error::new(ErrorKind::Conflict, operation, message));
        map::check(spec)?;
        self.config.policy.check(spec)?;
        let user = map::user(spec, &self.config.user)?;
        self.data.places(spec)?;
        let _lock = self.lock(operation)?;
        self.clear_away();
        let path = self.root().join(directory::name(&self.owner, spec.run));
        match look(&self.owner, &self.boot(), &path)? {
            Look::Ours(seen) if seen.plan.spec_hash == spec.spec_hash => return Ok(()),
            Look::Ours(_) => return conflict(format!("{} was made from another spec", spec.run)),
            Look::Foreign(foreign) => {
                return conflict(format!("{} is in the way: {}", foreign.name, foreign.why));
            }
            Look::Nothing => {}
        }
        let rival = self.all()?.0.into_iter().find(|seen| seen.plan.sgc == spec.sgc && !seen.is_retired());
        if let Some(rival) = rival {
            return conflict(format!("{} of the same deployment is still there", rival.plan.run));
        }
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let place = self.data.root().join(self.owner.deployment_name(spec.sgc));
        let mut plan = map::plan(&self.owner, spec, user, &place, mark);
        plan.cgroup = self.cgroup(operation, spec)?.map(|cgroup| cgroup.path().to_owned());
        self.write(&plan, &path).map_err(|error| {
            if let Some(cgroup) = &plan.cgroup {
                let _ = Cgroup::at(cgroup).remove();
            }
            of_file(operation, "write", &path, error)
        })
    }

    /// Removes what a crash has left half made or half removed.
    fn clear_away(&self) {
        let entries = fs::read_dir(self.root()).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            if [&b".new-"[..], b".gone-"].iter().any(|half| name.as_encoded_bytes().starts_with(half)) {
                // What cannot be removed now is tried again with the next attempt.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Writes the directory of an attempt, whole or not at all.
    fn write(&self, plan: &Plan, path: &Path) -> io::Result<()> {
        let aside = self.root().join(format!(".new-{}", plan.mark()));
        fs::DirBuilder::new().mode(0o700).create(&aside)?;
        let dir = RunDir::new(aside.clone());
        let written = write_record(&dir.plan(), plan)
            .and_then(|()| Ok(mkfifoat(CWD, dir.stdin(), Mode::from_raw_mode(0o600))?))
            .and_then(|()| match plan.user {
                Some((uid, gid)) => {
                    Ok(chown(dir.stdin(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
                }
                None => Ok(()),
            })
            .and_then(|()| fs::rename(&aside, path));
        if written.is_err() {
            let _ = fs::remove_dir_all(&aside);
        }
        written
    }

    fn cgroup(&self, operation: &'static str, spec: &ContainerSpec) -> Result<Option<Cgroup>> {
        let Ok(ours) = cgroup::delegated(self.config.cgroup.as_deref()) else { return Ok(None) };
        let name = directory::name(&self.owner, spec.run);
        let made = ours.make(&name, &spec.limits);
        made.map(Some).map_err(|error| of_file(operation, "make", &ours.path().join(&name), error))
    }

    pub fn start(&self, run: AttemptId) -> Result<()> {
        let operation = "start a process";
        let conflict = |message: String| Err(Error::new(ErrorKind::Conflict, operation, message));
        let seen = self.existing(operation, run)?;
        match &seen.state {
            AttemptState::Running { .. } => return Ok(()),
            AttemptState::Created if seen.is_retired() => return conflict(format!("{run} was retired")),
            AttemptState::Created => {}
            AttemptState::Exited(_) | AttemptState::Removing => return conflict(format!("{run} has ended")),
        }
        if let Some(port) = first_held(&seen.plan.ports, None) {
            return Err(held(operation, &port));
        }
        match self.supervisors.start(&seen.dir, &self.boot()).map_err(|error| {
            let message = "its supervisor cannot be started";
            Error::new(ErrorKind::Unavailable, operation, message).because(error)
        })? {
            Launched::Running => Ok(()),
            Launched::NotLoaded { errno, what } => Err(of_load(operation, errno, &what)),
            Launched::Failed(why) => Err(Error::new(ErrorKind::Unexpected, operation, why)),
            Launched::Again => match self.existing(operation, run)?.state {
                AttemptState::Running { .. } => Ok(()),
                AttemptState::Created => {
                    Err(Error::new(ErrorKind::Busy, operation, format!("{run} is being started already")))
                }
                _ => conflict(format!("{run} has ended")),
            },
        }
    }

    /// Sends a signal to the main process of a game that runs.
    pub fn signal(&self, operation: &'static str, seen: &Seen, signal: Signal) -> Result<()> {
        // What is being loaded too: from a bad disk it may never be.
        let (AttemptState::Running { .. } | AttemptState::Created, Some(started)) =
            (&seen.state, &seen.started)
        else {
            return Ok(());
        };
        // One that has gone meanwhile needs no signal.
        process::signal(started.game, signal).map(drop).map_err(|error| {
            let message = format!("the process {} cannot be signalled", started.game.pid);
            Error::new(ErrorKind::Denied, operation, message).because(error)
        })
    }

    /// Ends what an attempt has left behind that nobody supervised.
    pub fn sweep(&self, seen: &Seen) {
        if seen.is_supervised || seen.started.is_none() || seen.state.is_alive() {
            return;
        }
        if let Some(cgroup) = &seen.plan.cgroup {
            let _ = Cgroup::at(cgroup).kill();
        }
        for left in process::marked(Plan::MARK, seen.plan.mark()) {
            let _ = process::signal(left, Signal::KILL);
        }
    }

    pub fn retire(&self, run: AttemptId) -> Result<()> {
        let operation = "retire a process";
        let Some(seen) = self.seen(run)? else { return Ok(()) };
        if seen.state.is_alive() {
            return Err(Error::new(ErrorKind::Conflict, operation, format!("{run} is alive")));
        }
        self.sweep(&seen);
        let _lock = self.lock(operation)?;
        let path = seen.dir.retired();
        directory::write_whole(&path, b"").map_err(|error| of_file(operation, "write", &path, error))
    }

    pub fn remove(&self, run: AttemptId) -> Result<()> {
        let operation = "remove a process";
        let Some(seen) = self.seen(run)? else { return Ok(()) };
        if seen.state.is_alive() {
            return Err(Error::new(ErrorKind::Conflict, operation, format!("{run} is alive")));
        }
        if seen.is_supervised {
            return Err(Error::new(ErrorKind::Busy, operation, format!("{run} is being started")));
        }
        self.sweep(&seen);
        let aside = self.root().join(format!(".gone-{}", uuid::Uuid::new_v4().simple()));
        let removed = fs::rename(seen.dir.path(), &aside).and_then(|()| fs::remove_dir_all(&aside));
        if let Some(cgroup) = &seen.plan.cgroup {
            // Busy while the kernel buries the last of it; an empty one that stays costs nothing.
            let _ = Cgroup::at(cgroup).remove();
        }
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(of_file(operation, "remove", seen.dir.path(), error))
            }
            _ => Ok(()),
        }
    }

    /// Held while it is decided whether an attempt may come into being, by whichever process.
    fn lock(&self, operation: &'static str) -> Result<fs::File> {
        self.make_root()?;
        let path = self.root().join(".lock");
        let failed = |error| of_file(operation, "lock", &path, error);
        let file = private().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let until = Instant::now() + LOCKED_FOR;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let message = format!("{} is held by another process", path.display());
                    return Err(Error::new(ErrorKind::Busy, operation, message));
                }
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }
}

/// Says who holds a port.
fn held(operation: &'static str, port: &PortBinding) -> Error {
    let (number, holder) = (port.host_port, port_holder(port));
    let message = format!("port {number}/{} is held by {holder}", port.protocol.lower());
    Error::new(ErrorKind::Conflict, operation, message)
}
