//! What an engine in memory holds, and what its calls do to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    container::{Container, Life},
    engine::{Deed, Deeds},
    script::{Ending, Image, play},
    shared::Shared,
    tape::Tape,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    model::{EnvironmentName, ImageRef, PortBinding, Protocol},
    runtime::{ContainerSpec, Exit, Foreign, Inventory, NetworkSpec, Owner},
    watched::Watched,
};

/// How many writes fit into the stdin of a game that does not read.
const STDIN: usize = 64;

/// Names a container: whose it is, and which attempt.
pub(super) type Key = (ClusterId, ServerId, AttemptId);

pub(super) fn key(owner: &Owner, run: AttemptId) -> Key {
    (owner.cluster, owner.server, run)
}

/// Something that happens to the state later.
pub(super) type Effect = Box<dyn FnOnce(&Arc<Shared>, &mut State) + Send>;

#[derive(Default)]
pub(super) struct State {
    pub(super) images: BTreeMap<ImageRef, Image>,
    pub(super) containers: BTreeMap<Key, Container>,
    pub(super) networks: BTreeSet<(ClusterId, ServerId, SessionId)>,
    pub(super) held_ports: BTreeMap<(u16, Protocol), String>,
    pub(super) directories: BTreeMap<(EnvironmentName, SgcId), ClusterId>,
    pub(super) unreadable: Vec<String>,
    pub(super) late: Vec<Effect>,
    pub(super) violations: Vec<String>,
    pub(super) deeds: Vec<Deed>,
    pub(super) disk_full: bool,
    /// What has ended is neither renamed nor removed.
    pub(super) stuck: bool,
    made: u64,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("containers", &self.containers).finish_non_exhaustive()
    }
}

fn fail<T>(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Result<T> {
    Err(Error::new(kind, operation, message))
}

impl State {
    /// The container, or what is said of one that is not there.
    pub(super) fn get(&mut self, key: &Key, operation: &'static str) -> Result<&mut Container> {
        match self.containers.get_mut(key) {
            Some(container) => Ok(container),
            None => fail(ErrorKind::NotFound, operation, format!("there is no container of {}", key.2)),
        }
    }

    pub(super) fn prepare(&mut self, owner: &Owner, spec: &ContainerSpec) -> Result<()> {
        const OPERATION: &str = "prepare a directory";
        if self.disk_full {
            return fail(ErrorKind::Busy, OPERATION, "the disk is full");
        }
        let place = (owner.environment.clone(), spec.sgc);
        let whose = self.directories.entry(place).or_insert(owner.cluster);
        if *whose != owner.cluster {
            let message = format!("the directory of deployment {} belongs to cluster {whose}", spec.sgc);
            return fail(ErrorKind::Conflict, OPERATION, message);
        }
        Ok(())
    }

    /// Makes a container, under another name if those that hold its own are all `clinging` to it.
    pub(super) fn create(
        &mut self,
        shared: &Arc<Shared>,
        owner: &Owner,
        spec: ContainerSpec,
        clinging: &BTreeSet<Key>,
    ) -> Result<()> {
        const OPERATION: &str = "create a container";
        let key = key(owner, spec.run);
        if let Some(there) = self.containers.get(&key) {
            if there.spec.spec_hash == spec.spec_hash {
                return Ok(());
            }
            let message = format!("{} exists already, made from another spec", spec.run);
            return fail(ErrorKind::Conflict, OPERATION, message);
        }
        let rival = self
            .containers
            .iter()
            .find(|(key, it)| same_name(it, owner, spec.sgc) && !it.retired && !clinging.contains(key));
        if let Some((_, rival)) = rival {
            let message = format!("the name of deployment {} is taken by {}", spec.sgc, rival.spec.run);
            return fail(ErrorKind::Conflict, OPERATION, message);
        }
        if self.images.get(&spec.image).is_none_or(|image| image.pull.is_some()) {
            return fail(ErrorKind::NotFound, OPERATION, format!("no such image: {}", spec.image));
        }
        if !self.directories.contains_key(&(owner.environment.clone(), spec.sgc)) {
            let message = format!("the directory of deployment {} does not exist", spec.sgc);
            return fail(ErrorKind::Invalid, OPERATION, message);
        }
        if spec.network == NetworkSpec::Session {
            self.networks.insert((owner.cluster, owner.server, spec.run.session));
        }
        self.made += 1;
        let (stdin, stdin_end) = mpsc::channel(STDIN);
        let (signals, signals_end) = mpsc::unbounded_channel();
        let container = Container {
            owner: owner.clone(),
            engine_id: format!("{:016x}", self.made),
            number: self.made,
            retired: false,
            life: Life::Created,
            tape: Arc::new(Tape::new(spec.tty)),
            changed: Watched::new(()),
            stdin,
            signals,
            pipes: Some((stdin_end, signals_end)),
            reapers: Vec::new(),
            spec,
        };
        self.containers.insert(key, container);
        self.happened(shared, key, Deeds::Created);
        Ok(())
    }

    pub(super) fn start(&mut self, shared: &Arc<Shared>, key: Key) -> Result<()> {
        const OPERATION: &str = "start a container";
        let container = self.get(&key, OPERATION)?;
        match &container.life {
            Life::Running { .. } => return Ok(()),
            Life::Exited(exit) => {
                let message = format!("{} has ended with code {}", key.2, exit.code);
                return fail(ErrorKind::Conflict, OPERATION, message);
            }
            Life::Created if container.retired => {
                return fail(ErrorKind::Conflict, OPERATION, format!("{} was retired", key.2));
            }
            Life::Created => {}
        }
        let spec = container.spec.clone();
        for port in &spec.ports {
            if let Some(holder) = self.holder(port) {
                let message =
                    format!("port {}/{} is held by {holder}", port.host_port, port.protocol.lower());
                return fail(ErrorKind::Conflict, OPERATION, message);
            }
        }
        let Some(script) = self.images.get(&spec.image).and_then(|image| (image.casting)(&spec)) else {
            let message = format!("{} has no command {:?}", spec.image, spec.command);
            return fail(ErrorKind::Invalid, OPERATION, message);
        };
        let owner = self.get(&key, OPERATION)?.owner.clone();
        let alive = self.containers.values().filter(|it| same_name(it, &owner, spec.sgc) && it.is_alive());
        if let Some(rival) = alive.map(|it| it.spec.run).next() {
            self.violations.push(format!("{} was started while {rival} of its deployment lives", spec.run));
        }
        let container = self.get(&key, OPERATION)?;
        let Some((stdin, signals)) = container.pipes.take() else {
            return fail(ErrorKind::Unexpected, OPERATION, "a process has its pipes once");
        };
        let process = supervise(shared, key, play(script, container.tape.clone(), stdin, signals));
        container.life = Life::Running { started_at: shared.now(), paused: false, _process: process };
        self.happened(shared, key, Deeds::Started);
        Ok(())
    }

    fn holder(&self, port: &PortBinding) -> Option<String> {
        let wanted = (port.host_port.get(), port.protocol);
        let bound = |it: &&Container| {
            it.spec.ports.iter().any(|port| (port.host_port.get(), port.protocol) == wanted)
        };
        let ours = self.containers.values().filter(|it| it.is_alive()).find(bound);
        let held = self.held_ports.get(&wanted).cloned();
        held.or_else(|| ours.map(|it| format!("the container of {}", it.spec.run)))
    }

    /// Sends the stop signal, and kills when `grace` is over.
    pub(super) fn signal(&mut self, shared: &Arc<Shared>, key: Key, grace: Duration) {
        let Some(container) = self.containers.get_mut(&key).filter(|it| it.is_alive()) else { return };
        // Who reads signals lives as long as the process.
        let _ = container.signals.send(());
        let weak = Arc::downgrade(shared);
        let reaper = async move {
            tokio::time::sleep(grace).await;
            let Some(shared) = weak.upgrade() else { return };
            shared.thawed().await;
            shared.lock().end(&shared, key, Ending::code(137));
        };
        container.reapers.push(AbortOnDropHandle::new(tokio::spawn(reaper)));
    }

    /// The process is gone.
    pub(super) fn end(&mut self, shared: &Arc<Shared>, key: Key, ending: Ending) {
        let Some(container) = self.containers.get_mut(&key).filter(|it| it.is_alive()) else { return };
        container.life = Life::Exited(Exit {
            code: ending.code,
            out_of_memory: ending.out_of_memory,
            at: Some(shared.now()),
            error: String::new(),
        });
        container.reapers.clear();
        container.tape.close();
        container.changed.replace(());
        self.happened(shared, key, Deeds::Ended(ending.code));
    }

    /// `false` if it clings to its name.
    pub(super) fn retire(&mut self, shared: &Arc<Shared>, key: Key) -> Result<bool> {
        match self.containers.get_mut(&key) {
            Some(container) if container.is_alive() => {
                fail(ErrorKind::Conflict, "retire a container", format!("{} is alive", key.2))
            }
            Some(container) if !container.retired => {
                if self.stuck {
                    return Ok(false);
                }
                container.retired = true;
                self.happened(shared, key, Deeds::Retired);
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    pub(super) fn remove(&mut self, shared: &Arc<Shared>, key: Key) -> Result<()> {
        if self.containers.get(&key).is_some_and(Container::is_alive) {
            return fail(ErrorKind::Conflict, "remove a container", format!("{} is alive", key.2));
        }
        if self.stuck && self.containers.contains_key(&key) {
            return fail(ErrorKind::Unexpected, "remove a container", "device or resource busy");
        }
        if let Some(container) = self.containers.remove(&key) {
            container.tape.close();
            self.happened(shared, key, Deeds::Removed);
        }
        Ok(())
    }

    pub(super) fn remove_network(&mut self, owner: &Owner, session: SessionId) -> Result<()> {
        let network = (owner.cluster, owner.server, session);
        let inside = self.containers.iter().any(|((cluster, server, run), it)| {
            (*cluster, *server, run.session) == network
                && it.is_alive()
                && it.spec.network == NetworkSpec::Session
        });
        if inside {
            let message = format!("the network of session {session} is in use");
            return fail(ErrorKind::Conflict, "remove a network", message);
        }
        self.networks.remove(&network);
        Ok(())
    }

    pub(super) fn list(&self, owner: &Owner) -> Inventory {
        let mut inventory = Inventory::default();
        for ((cluster, server, run), container) in &self.containers {
            if (*cluster, *server) == (owner.cluster, owner.server) {
                inventory.found.push(container.found());
            } else {
                let why = if *cluster == owner.cluster {
                    format!("belongs to server {server}")
                } else {
                    format!("belongs to cluster {cluster}")
                };
                inventory.foreign.push(Foreign { name: foreign_name(container, *run), why });
            }
        }
        for name in &self.unreadable {
            inventory
                .foreign
                .push(Foreign { name: name.clone(), why: "its labels cannot be read".to_owned() });
        }
        let ours = |(cluster, server, _): &&(_, _, _)| (*cluster, *server) == (owner.cluster, owner.server);
        inventory.networks = self.networks.iter().filter(ours).map(|(.., session)| *session).collect();
        inventory
    }

    fn happened(&mut self, shared: &Arc<Shared>, key: Key, what: Deeds) {
        self.deeds.push(Deed { at: shared.now(), run: key.2, what });
        shared.tell(key);
    }
}

/// Whether a container has, or had, the name of this deployment.
fn same_name(container: &Container, owner: &Owner, sgc: SgcId) -> bool {
    container.spec.sgc == sgc && container.owner == *owner
}

/// What a container of somebody else is called.
pub(super) fn foreign_name(container: &Container, run: AttemptId) -> String {
    let Owner { cluster, environment, .. } = &container.owner;
    format!("gsc-{environment}-{}-{}-{run}", container.spec.sgc, cluster.short())
}

/// Plays a game and notes its end.
fn supervise(
    shared: &Arc<Shared>,
    key: Key,
    game: impl Future<Output = Ending> + Send + 'static,
) -> AbortOnDropHandle<()> {
    let weak: Weak<Shared> = Arc::downgrade(shared);
    AbortOnDropHandle::new(tokio::spawn(async move {
        let ending = game.await;
        if let Some(shared) = weak.upgrade() {
            shared.lock().end(&shared, key, ending);
        }
    }))
}
