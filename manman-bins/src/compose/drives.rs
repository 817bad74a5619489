//! What drives the games of this machine: chosen once, said, and kept to.

use std::{fmt, fs, io, path::Path, str::FromStr, sync::Arc, time::Duration};

use manman_core::{
    error::Result,
    id::{ClusterId, ServerId},
    runtime::{Owner, Runtime},
    store::Store,
};
use manman_docker::{DockerConfig, DockerRuntime};
use manman_process::{ProcessConfig, ProcessRuntime};

use super::UpError;
use crate::config::{MachineConfig, Places, RuntimeAsk};

/// How long a Docker Engine may take to answer before games are run without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes the runtime of whoever this host turned out to be.
pub type MakeRuntime = Box<dyn FnOnce(&MachineConfig, Owner) -> Result<Arc<dyn Runtime>> + Send>;

/// A runtime of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// Containers of a Docker Engine.
    Docker,
    /// Plain processes.
    Process,
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Process => "process",
        })
    }
}

impl FromStr for RuntimeKind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "docker" => Ok(Self::Docker),
            "process" => Ok(Self::Process),
            _ => Err(format!("{text:?} is not docker or process")),
        }
    }
}

/// The runtime that was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which one.
    pub kind: RuntimeKind,
    /// Why, for people.
    pub why: String,
}

/// What drives the games of an installation.
pub struct Drives {
    /// One of this program's own, unless somebody else brings one.
    pub chosen: Option<Chosen>,
    /// Makes it.
    pub make: MakeRuntime,
}

impl fmt::Debug for Drives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drives").field("chosen", &self.chosen).finish_non_exhaustive()
    }
}

impl From<MakeRuntime> for Drives {
    fn from(make: MakeRuntime) -> Self {
        Self { chosen: None, make }
    }
}

impl From<Chosen> for Drives {
    fn from(chosen: Chosen) -> Self {
        let make: MakeRuntime = match chosen.kind {
            RuntimeKind::Docker => Box::new(docker),
            RuntimeKind::Process => Box::new(process),
        };
        Self { chosen: Some(chosen), make }
    }
}

/// Chooses what drives the games: what was asked for, else what drove them before, else
/// Docker if it answers, else plain processes. Changes nothing.
pub async fn choose(config: &MachineConfig) -> Chosen {
    let kind = match config.runtime {
        RuntimeAsk::Docker => RuntimeKind::Docker,
        RuntimeAsk::Process => RuntimeKind::Process,
        RuntimeAsk::Auto => {
            // What cannot be read is refused by whoever comes to rely on it.
            if let Ok(Some(kind)) = recorded(&Places(&config.data_dir).runtime()) {
                return Chosen { kind, why: "as before".to_owned() };
            }
            let socket = config.docker_socket.display();
            return match answers(config).await {
                Ok(version) => {
                    Chosen { kind: RuntimeKind::Docker, why: format!("{version} answers at {socket}") }
                }
                Err(why) => Chosen {
                    kind: RuntimeKind::Process,
                    why: format!("no Docker answers at {socket}: {why}; `--runtime docker` waits for it"),
                },
            };
        }
    };
    Chosen { kind, why: "as asked".to_owned() }
}

/// The version of the Docker Engine, or why it does not answer.
async fn answers(config: &MachineConfig) -> std::result::Result<String, String> {
    // Asks the engine, and looks at nothing of anybody's.
    let nobody =
        Owner { cluster: ClusterId::random(), server: ServerId(0), environment: config.environment.clone() };
    let asked = async { docker(config, nobody)?.engine().await };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(engine)) => Ok(engine.version),
        Ok(Err(error)) => Err(error.message().to_owned()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What drove the games of an installation before, by the file that says so.
///
/// # Errors
/// If it is there and cannot be understood.
pub fn recorded(path: &Path) -> io::Result<Option<RuntimeKind>> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes down what drives the games of an installation.
fn record(path: &Path, kind: RuntimeKind) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{kind}\n"))?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(beside, path)
}

/// Keeps to what drove the games before for as long as one of them lives: another runtime
/// would neither see nor stop it.
pub(super) async fn keep_to(
    kind: RuntimeKind,
    places: &Places<'_>,
    store: &dyn Store,
) -> Result<(), UpError> {
    let path = places.runtime();
    let unusable = |error| UpError::DataDir { dir: path.clone(), error };
    let recorded = recorded(&path).map_err(unusable)?;
    if recorded == Some(kind) {
        return Ok(());
    }
    // There was a time when nothing else drove games, and nothing was written down.
    let before = recorded.unwrap_or(RuntimeKind::Docker);
    if before != kind {
        let counted = store.session_live_count().await;
        let live =
            counted.map_err(|error| UpError::Store { what: "of this installation".to_owned(), error })?;
        if live > 0 {
            return Err(UpError::OtherRuntime { before, now: kind, live });
        }
    }
    record(&path, kind).map_err(unusable)
}

/// The Docker Engine that the configuration names. Contacts nobody.
///
/// # Errors
/// `Config` with all that is wrong.
pub fn docker(config: &MachineConfig, owner: Owner) -> Result<Arc<dyn Runtime>> {
    let mut docker = DockerConfig::new(&config.data_dir);
    docker.socket = config.docker_socket.clone();
    docker.host_data_dir = config.host_data_dir.clone();
    Ok(Arc::new(DockerRuntime::new(owner, docker)?))
}

/// Plain processes of this machine, each beneath this program as its supervisor.
///
/// # Errors
/// `Config` with all that is wrong.
pub fn process(config: &MachineConfig, owner: Owner) -> Result<Arc<dyn Runtime>> {
    let mut process = ProcessConfig::new(&config.data_dir);
    if let Some(user) = &config.process_user {
        process.user = user.clone();
    }
    process.cgroup = config.process_cgroup.clone();
    Ok(Arc::new(ProcessRuntime::new(owner, process)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{UpConfig, UpGiven, tests::Fixed};

    async fn chosen(dir: &Path, runtime: Option<&str>) -> Chosen {
        let given = UpGiven {
            data_dir: Some(dir.display().to_string()),
            docker_socket: Some(dir.join("no-docker.sock").display().to_string()),
            runtime: runtime.map(str::to_owned),
            ..UpGiven::default()
        };
        choose(&UpConfig::read(&given, &Fixed::default()).unwrap().machine).await
    }

    #[tokio::test]
    async fn what_was_asked_for_or_used_before_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let first = chosen(dir.path(), None).await;
        assert_eq!(first.kind, RuntimeKind::Process);
        assert!(first.why.contains("no-docker.sock") && first.why.contains("--runtime docker"), "{first:?}");
        assert_eq!(chosen(dir.path(), Some("docker")).await.kind, RuntimeKind::Docker);
        record(&Places(dir.path()).runtime(), RuntimeKind::Docker).unwrap();
        assert_eq!(chosen(dir.path(), None).await.kind, RuntimeKind::Docker, "as before, though it is away");
        assert_eq!(chosen(dir.path(), Some("process")).await.kind, RuntimeKind::Process);
    }
}
