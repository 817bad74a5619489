//! What a machine is, and what runs games on it.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use manman_core::{
    host::HostConfig,
    model::{EnvironmentName, Invalid, Name, RunAs},
};

use super::{Environment, Reader, up::UpGiven};

/// What is to drive the games of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeAsk {
    /// What drove them before; else Docker if it answers, else plain processes.
    #[default]
    Auto,
    /// A Docker Engine, whether or not it answers yet.
    Docker,
    /// Plain processes.
    Process,
}

impl FromStr for RuntimeAsk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "process" => Ok(Self::Process),
            _ => Err(format!("{text:?} is not auto, docker or process")),
        }
    }
}

/// A machine and its host manager.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineConfig {
    /// Journal, consoles, and the games' directories; with `manman up` database, token and
    /// socket too.
    pub data_dir: PathBuf,
    /// The same directory as the engine sees it, where that differs and was said.
    pub host_data_dir: Option<PathBuf>,
    /// The environment in the names of containers and directories.
    pub environment: EnvironmentName,
    /// What is to drive the games.
    pub runtime: RuntimeAsk,
    /// The engine's socket.
    pub docker_socket: PathBuf,
    /// Whom plain processes run as where this process is root (`uid:gid`), if it was said.
    pub process_user: Option<String>,
    /// The cgroup that is ours to divide among plain processes, if it was said.
    pub process_cgroup: Option<PathBuf>,
    /// The name of this machine.
    pub server_name: Name,
    /// How the host manager behaves, but for what stands above.
    pub host: HostConfig,
}

/// The engine's socket unless said otherwise.
pub const DEFAULT_DOCKER_SOCKET: &str = "/var/run/docker.sock";

impl MachineConfig {
    /// Reads it; what the operator should know goes to `warnings`.
    pub(super) fn read<E: Environment>(
        reader: &mut Reader<'_, E>,
        given: &UpGiven,
        data_dir: PathBuf,
        warnings: &mut Vec<String>,
    ) -> Self {
        let name = reader.read(
            "environment",
            given.environment.as_deref(),
            &["ENVIRONMENT", "APP_ENV"],
            "take a name such as production or staging",
            |text| text.parse().map_err(|invalid: Invalid| invalid.problem),
        );
        let runtime = reader.read(
            "runtime",
            given.runtime.as_deref(),
            &["MANMAN_RUNTIME"],
            "say auto, docker or process",
            str::parse,
        );
        let process_user = reader.read(
            "process-user",
            None,
            &["PROCESS_USER"],
            "give a user that is not root as uid:gid",
            parse_user,
        );
        let process_cgroup = reader.read(
            "process-cgroup",
            None,
            &["PROCESS_CGROUP"],
            "give the absolute path of a cgroup that is delegated to manman",
            absolute,
        );
        let docker_socket = reader.read(
            "docker-socket",
            given.docker_socket.as_deref(),
            &["DOCKER_SOCKET"],
            "give the absolute path of the engine's socket",
            |text| absolute(text.strip_prefix("unix://").unwrap_or(text)),
        );
        let host_data_dir = reader.read(
            "host-data-dir",
            given.host_data_dir.as_deref(),
            &["HOST_DATA_DIR"],
            "give the absolute path that the engine's machine has for the data directory",
            absolute,
        );
        let server_name = reader.read(
            "server-name",
            given.server_name.as_deref(),
            &["SERVER_NAME"],
            "take letters, digits, '-', '_' and '.'",
            |text| text.parse::<Name>().map_err(|invalid| invalid.problem),
        );
        let server_name = server_name.unwrap_or_else(|| {
            let name = hostname();
            warnings
                .push(format!("SERVER_NAME is not set: this machine is called {name}, after its hostname"));
            name
        });
        Self {
            data_dir,
            host_data_dir,
            environment: name.unwrap_or_default(),
            runtime: runtime.unwrap_or_default(),
            docker_socket: docker_socket.unwrap_or_else(|| PathBuf::from(DEFAULT_DOCKER_SOCKET)),
            process_user,
            process_cgroup,
            server_name,
            host: reader.file.host.clone(),
        }
    }
}

/// A user that games may run as; as text, for whoever runs them.
fn parse_user(text: &str) -> Result<String, String> {
    match text.parse::<RunAs>() {
        Ok(RunAs { uid: 0, .. }) => Err("games are not run as root".to_owned()),
        Ok(_) => Ok(text.to_owned()),
        Err(invalid) => Err(invalid.problem),
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() { Ok(path.to_owned()) } else { Err(format!("{text:?} is not absolute")) }
}

/// The machine's name, as far as it is a name for us.
fn hostname() -> Name {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).take(63).collect();
    let named = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).parse::<Name>();
    named
        .or_else(|_| format!("host-{name}").parse())
        .or_else(|_| "this-machine".parse())
        .expect("a constant name parses")
}
