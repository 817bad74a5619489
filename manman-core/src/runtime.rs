//! The seam to whatever runs games on a machine.

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    console::{Console, Resume},
    error::Result,
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    model::{
        CapProfile, ContainerPath, EnvironmentName, ImageRef, Limits, Name, PortBinding, Signal, SubPath,
        config::EngineLog,
    },
};

/// Whose games a runtime runs: everything it makes carries this, and it sees and
/// touches nothing that does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The installation.
    pub cluster: ClusterId,
    /// The machine, as the installation knows it.
    pub server: ServerId,
    /// The environment in names of containers and directories.
    pub environment: EnvironmentName,
}

impl Owner {
    /// The name of a deployment on its machine, `gsc-prod-3`: of its directory, and where
    /// its games have a host name, that.
    pub fn deployment_name(&self, sgc: SgcId) -> String {
        format!("gsc-{}-{sgc}", self.environment)
    }
}

/// What a backend offers beyond the calls; each because some caller takes another
/// road by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Games run from images, which can be pulled and may be missing.
    pub images: bool,
    /// Games have networks of their own.
    pub networks: bool,
}

/// What drives the games here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Tells this engine from every other one.
    pub id: String,
    /// Tells one run of this engine from the next one; empty where that cannot be told.
    /// What ended between two of them ended with the engine, unless games outlive it.
    pub boot: String,
    /// Product and version, for people.
    pub version: String,
    /// Whether games outlive a restart of the engine.
    pub survives_restart: bool,
    /// Processor cores.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// What an operator should know: no seccomp, no limits, …
    pub warnings: Vec<String>,
}

/// An image that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its digest or id.
    pub digest: String,
    /// The user its processes run as: `Config.User`, resolved by the image's passwd;
    /// `None` where it cannot be told.
    pub uid: Option<u32>,
    /// The group, likewise.
    pub gid: Option<u32>,
}

/// How far a pull is, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullProgress {
    /// `12 of 80 MB`, `extracting` …
    pub text: String,
}

/// Where progress goes. Called often; must not block.
pub type ProgressSink = Box<dyn Fn(PullProgress) + Send + Sync>;

/// A directory that a game sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The place beneath the deployment's directory; `None` is that directory itself.
    pub source: Option<SubPath>,
    /// Where the game sees it.
    pub target: ContainerPath,
    /// Whether it may not write there.
    pub read_only: bool,
}

/// The network a container is put into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkSpec {
    /// The session's own one.
    Session,
    /// One shared by name.
    Shared(Name),
}

/// What a container is made from. Cannot express privileges, host namespaces,
/// devices or mounts from outside the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Which attempt of which session it is.
    pub run: AttemptId,
    /// The deployment it belongs to; names its container, host name and directory.
    pub sgc: SgcId,
    /// The image.
    pub image: ImageRef,
    /// Replaces the image's entrypoint unless empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's command unless empty.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Directories of the deployment.
    pub mounts: Vec<Mount>,
    /// Ports of the machine.
    pub ports: Vec<PortBinding>,
    /// Its network.
    pub network: NetworkSpec,
    /// What it may use.
    pub limits: Limits,
    /// The kernel capabilities it keeps.
    pub capabilities: CapProfile,
    /// `uid` or `uid:gid`; the image's if absent.
    pub user: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// The signal that asks it to end.
    pub stop_signal: Signal,
    /// The engine's log.
    pub log: EngineLog,
    /// The keyed digest of the session's spec, for a label.
    pub spec_hash: String,
    /// When it was asked for, for a label.
    pub created_at: Timestamp,
}

impl ContainerSpec {
    /// An attempt that runs `image` as it is, in a network of its own, with every default:
    /// no directories, no ports, no limits of its own.
    pub fn new(run: AttemptId, sgc: SgcId, image: ImageRef) -> Self {
        Self {
            run,
            sgc,
            image,
            entrypoint: Vec::new(),
            command: Vec::new(),
            env: BTreeMap::new(),
            mounts: Vec::new(),
            ports: Vec::new(),
            network: NetworkSpec::Session,
            limits: Limits::default(),
            capabilities: CapProfile::Strict,
            user: None,
            tty: false,
            stop_signal: Signal::Term,
            log: EngineLog::default(),
            spec_hash: "00".to_owned(),
            created_at: Timestamp::default(),
        }
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code; 128 + n after signal n; [`Exit::UNKNOWN`] where nobody saw it.
    pub code: i32,
    /// Whether the kernel killed something in it for lack of memory. A note, not the
    /// cause: the code may be 0 all the same.
    pub out_of_memory: bool,
    /// When it ended, by the engine's clock, if that is known.
    pub at: Option<Timestamp>,
    /// What the engine says of it, empty as a rule.
    pub error: String,
}

impl Exit {
    /// The code of an exit that nobody saw: `error` says how that came about.
    pub const UNKNOWN: i32 = -1;

    /// The exit code, if somebody saw it.
    pub fn known_code(&self) -> Option<i32> {
        (self.code != Self::UNKNOWN).then_some(self.code)
    }
}

/// What one attempt is at, as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// Created and never started (or its start failed).
    Created,
    /// Its process lives.
    Running {
        /// When it was started, by the engine's clock.
        started_at: Option<Timestamp>,
        /// The process, where it can be told.
        pid: Option<i64>,
        /// Whether it is suspended.
        paused: bool,
    },
    /// Its process is gone and this is how.
    Exited(Exit),
    /// It is being removed, or stuck doing so: neither alive nor to be used again.
    Removing,
}

impl AttemptState {
    /// Whether a process of it lives.
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// A container of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which attempt of which session it is.
    pub run: AttemptId,
    /// Its deployment.
    pub sgc: SgcId,
    /// What it is at.
    pub state: AttemptState,
    /// The keyed digest of the spec that it was made from.
    pub spec_hash: String,
    /// When it was created, by its label.
    pub created_at: Option<Timestamp>,
    /// The engine's id of it, for people.
    pub engine_id: String,
}

/// Something that carries our mark and that we leave alone all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The engine's name or id of it.
    pub name: String,
    /// Why it is left alone: another cluster, another server, unreadable labels.
    pub why: String,
}

/// All that a look at the engine shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Ours.
    pub found: Vec<Found>,
    /// Not ours, or not readably so.
    pub foreign: Vec<Foreign>,
    /// Sessions that have a network of their own here.
    pub networks: Vec<SessionId>,
}

/// Something happened to a container of ours. A hint: events get lost, so whoever
/// listens looks for itself, now and from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// This attempt changed.
    Attempt(AttemptId),
    /// Events may have been missed: look at everything.
    Resync,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Memory in bytes, page cache excluded.
    pub memory_bytes: u64,
    /// Processor time used so far.
    pub cpu: Duration,
    /// Processes and threads.
    pub pids: u64,
}

/// Runs the games of one machine for one owner.
///
/// # Contract
/// - Containers are addressed by (session, attempt); at most one of a deployment is
///   alive: a `create` while another attempt of the deployment exists unretired is a
///   `Conflict`.
/// - Every call may be repeated: the second `create`, `start`, `stop`, `kill`,
///   `retire` or `remove` with the same arguments succeeds and changes nothing; the last
///   three do so too when there is no container (any more), the others are `NotFound`.
/// - `create` of an attempt that exists with another spec hash is a `Conflict`; a
///   `start` of one that has ended is a `Conflict` too: an attempt runs once.
/// - Every call but `pull`, `stop` and the streams answers within ten seconds, or fails
///   with `Timeout`. No call retries. Whether waiting can help is said by
///   [`Error::is_temporary`](crate::error::Error::is_temporary); the caller owns the waiting.
/// - `list` shows what this owner created, also before its last restart, and nothing
///   else as its own; what it cannot read or does not own is in `foreign`.
/// - What has ended keeps its exit until it is removed.
/// - Nothing here touches what another owner made.
///
/// `testkit::runtime` checks each of these against every implementation.
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// What this backend offers beyond the calls below.
    fn capabilities(&self) -> Capabilities;

    /// Whose games it runs.
    fn owner(&self) -> &Owner;

    /// What drives the games, freshly asked: also the way to learn whether it answers.
    ///
    /// Asked over a connection of its own: an engine that is going down takes the games
    /// with it while it still answers on the old ones.
    async fn engine(&self) -> Result<EngineInfo>;

    /// Brings the image here unless it is, and tells what it is.
    ///
    /// An image that is here is used, whether or not its registry answers. Dropping the
    /// future cancels the pull.
    ///
    /// # Errors
    /// `NotFound` if no such image exists; `Denied` if the registry wants other
    /// credentials; `Unavailable` if it does not answer.
    async fn pull(&self, image: &ImageRef, progress: ProgressSink) -> Result<ImageInfo>;

    /// Makes the deployment's directory and those of its mounts, owned by `user`
    /// (uid, gid), and proves that they are ours. What is there stays as it is.
    ///
    /// # Errors
    /// `Conflict` if the directory belongs to another cluster; `Denied` if it cannot be
    /// given to `user`, with the remedy in the message; `Busy` if the disk is full.
    async fn prepare(&self, spec: &ContainerSpec, user: Option<(u32, u32)>) -> Result<()>;

    /// Makes the container exist without running it, and its network if it has one of
    /// its own. The image is here, the directories are made.
    ///
    /// # Errors
    /// `NotFound` if the image is not here; `Conflict` as the contract says; `Invalid` if
    /// the engine refuses the spec.
    async fn create(&self, spec: &ContainerSpec) -> Result<()>;

    /// Starts the process.
    ///
    /// # Errors
    /// `Conflict` with the port in the message if one is held by somebody else, or if the
    /// attempt has ended or was retired; `NotFound` if there is no container, or `Invalid` if the image
    /// has no such command.
    async fn start(&self, run: AttemptId) -> Result<()>;

    /// Asks the process to end by its stop signal, kills it after `grace`, and waits
    /// until it is gone. One that never ran is not an error: its exit has code 128.
    ///
    /// `grace` counts from the request, rounded up to whole seconds: that is all Docker
    /// takes (Engine API `POST /containers/{id}/stop`, parameter `t`).
    ///
    /// # Errors
    /// `NotFound` if there is no container of it; `Unavailable` or `Timeout` if the engine
    /// does not answer.
    async fn stop(&self, run: AttemptId, grace: Duration) -> Result<Exit>;

    /// Kills the process at once. Does not wait; one that is gone is no error.
    async fn kill(&self, run: AttemptId) -> Result<()>;

    /// Takes the deployment's name from an ended attempt, so that the next one can have
    /// it while this one is kept for its exit and its output.
    ///
    /// # Errors
    /// `Conflict` if it is alive.
    async fn retire(&self, run: AttemptId) -> Result<()>;

    /// Removes an ended or never started attempt, its anonymous volumes too. Never the
    /// deployment's directory.
    ///
    /// # Errors
    /// `Conflict` if it is alive; `Busy` if the engine is still at it.
    async fn remove(&self, run: AttemptId) -> Result<()>;

    /// Removes the session's own network; one that is not there is no error.
    ///
    /// # Errors
    /// `Conflict` if something is still in it.
    async fn remove_network(&self, session: SessionId) -> Result<()>;

    /// All that is there, running or not.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` if the engine does not answer; nothing is told then.
    async fn list(&self) -> Result<Inventory>;

    /// One attempt, or `None` if there is no container of it.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` if the engine does not answer.
    async fn inspect(&self, run: AttemptId) -> Result<Option<Found>>;

    /// What a running attempt uses now.
    ///
    /// # Errors
    /// `NotFound` if there is no container of it, or it does not run; `Unavailable` or
    /// `Timeout` if the engine does not answer.
    async fn stats(&self, run: AttemptId) -> Result<Stats>;

    /// Hints from now on. The stream ends when the engine goes; ask again then.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` if the engine does not answer.
    async fn events(&self) -> Result<BoxStream<'static, RuntimeEvent>>;

    /// The attempt's console from just after `after`, or from its beginning.
    ///
    /// Opened between `create` and `start`, it shows every byte. Opened later, also by
    /// another process, it shows what came after the position: nothing lost, nothing
    /// doubled, as far as the engine still has it; what is missing is a gap. Of one that
    /// has ended it shows the rest and ends. A console that nobody reads does not hold
    /// the game up. A second console of the same attempt is allowed.
    ///
    /// # Errors
    /// `NotFound` if there is no container of it; `Corrupt` if `after` is no position that
    /// this backend understands.
    async fn console(&self, run: AttemptId, after: Option<Resume>) -> Result<Console>;
}
