//! The configuration of `manman up`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use manman_core::{
    host::HostConfig,
    model::{EnvironmentName, Invalid, Name, RunAs},
};

use super::{ConfigError, Environment, Places, Reader};
use crate::telemetry::LogFormat;

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

/// How `manman up` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpConfig {
    /// Database, journal, consoles, token and socket, and the games' directories.
    pub data_dir: PathBuf,
    /// The same directory as the engine sees it, where that differs and was said.
    pub host_data_dir: Option<PathBuf>,
    /// Where the API is served over TCP.
    pub listen: SocketAddr,
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
    /// How log lines are written.
    pub log_format: LogFormat,
    /// How the host manager behaves, but for what stands above.
    pub host: HostConfig,
    /// What the operator should know about the above.
    pub warnings: Vec<String>,
    /// Where each value was found: flag, variable or place in the file, by the name of its
    /// flag. What is not among them is a default.
    pub found: BTreeMap<String, String>,
}

/// Where the API is served over TCP unless said otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);

/// The engine's socket unless said otherwise.
pub const DEFAULT_DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// What can be said in the configuration file, beside the table `[host]`.
const SETTINGS: [&str; 9] = [
    "listen",
    "environment",
    "server_name",
    "runtime",
    "docker_socket",
    "host_data_dir",
    "process_user",
    "process_cgroup",
    "log_format",
];

/// What was given on the command line; what is absent is looked for in the environment,
/// then in the configuration file.
#[derive(Clone, Debug, Default)]
pub struct UpGiven {
    /// `--config` or `MANMAN_CONFIG`; `manman.toml` in the data directory if absent.
    pub config: Option<String>,
    /// `--data-dir` or `DATA_DIR`.
    pub data_dir: Option<String>,
    /// `--listen` or `LISTEN`; 127.0.0.1:50051 if absent.
    pub listen: Option<String>,
    /// `--plaintext`: serve without encryption off loopback too.
    pub plaintext: bool,
    /// `--environment`, `ENVIRONMENT` or `APP_ENV`; `production` if absent.
    pub environment: Option<String>,
    /// `--server-name` or `SERVER_NAME`; the hostname if absent, with a warning.
    pub server_name: Option<String>,
    /// `--runtime` or `MANMAN_RUNTIME`; `auto` if absent.
    pub runtime: Option<String>,
    /// `--docker-socket` or `DOCKER_SOCKET`; `/var/run/docker.sock` if absent.
    pub docker_socket: Option<String>,
    /// `--host-data-dir` or `HOST_DATA_DIR`; found out if absent.
    pub host_data_dir: Option<String>,
    /// `--log-format`: human (the default) or json.
    pub log_format: Option<String>,
}

impl UpConfig {
    /// Reads it from what was given, from the environment and from the file.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn read(given: &UpGiven, environment: &impl Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let mut warnings = Vec::new();
        let data_dir = reader.data_dir(given.data_dir.as_deref());
        reader.read_file(given.config.as_deref(), &data_dir, &SETTINGS);
        let remedy = "write it as 127.0.0.1:50051";
        let (place, listen) = reader
            .read_placed("listen", given.listen.as_deref(), &["LISTEN"], remedy, parse_listen)
            .unwrap_or_else(|| (String::new(), DEFAULT_LISTEN));
        if !listen.ip().is_loopback() {
            if given.plaintext {
                warnings.push(format!(
                    "the API on {listen} is not encrypted: tokens and consoles can be read on the way"
                ));
            } else {
                reader.refuse(
                    &place,
                    format!("{listen} is not loopback, and the API is served without encryption"),
                    "listen on 127.0.0.1, or say --plaintext if the network is trusted",
                );
            }
        }
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
        let log_format =
            reader.read("log-format", given.log_format.as_deref(), &[], "say human or json", |text| {
                text.parse::<LogFormat>()
            });
        reader.unsupported(
            "BROKER_URL",
            |url| url.starts_with("memory:"),
            "unset it: `manman up` carries its messages within the process",
        );
        reader.unsupported(
            "RABBITMQ_URL",
            |url| url.starts_with("memory:"),
            "unset it: `manman up` carries its messages within the process",
        );
        let own = format!("sqlite://{}", Places(&data_dir).database().display());
        reader.unsupported("DATABASE_URL", |url| url == own, "unset it: `manman up` keeps {data}/manman.db");
        let (host, found) = (reader.file.host.clone(), reader.found.clone());
        reader.finish()?;
        let server_name = server_name.unwrap_or_else(|| {
            let name = hostname();
            warnings
                .push(format!("SERVER_NAME is not set: this machine is called {name}, after its hostname"));
            name
        });
        Ok(Self {
            data_dir,
            host_data_dir,
            listen,
            environment: name.unwrap_or_default(),
            runtime: runtime.unwrap_or_default(),
            process_user,
            process_cgroup,
            docker_socket: docker_socket.unwrap_or_else(|| PathBuf::from(DEFAULT_DOCKER_SOCKET)),
            server_name,
            log_format: log_format.unwrap_or_default(),
            host,
            warnings,
            found,
        })
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let problem = || format!("{text:?} is not a valid address and port");
    text.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(problem)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Fixed;

    #[test]
    fn defaults_suit_one_machine() {
        let config = UpConfig::read(&UpGiven::default(), &Fixed::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
        assert_eq!(config.environment.as_str(), "prod");
        assert_eq!(config.docker_socket, PathBuf::from("/var/run/docker.sock"));
        assert!(config.warnings[0].contains("SERVER_NAME"), "{:?}", config.warnings);
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let environment = Fixed(
            [
                ("LISTEN", "nowhere"),
                ("ENVIRONMENT", "Prod!"),
                ("SERVER_NAME", "42"),
                ("DOCKER_SOCKET", "docker.sock"),
                ("HOST_DATA_DIR", "data"),
                ("DATABASE_URL", "postgres://me:hunter2@db/x"),
                ("BROKER_URL", "amqp://me:hunter2@mq"),
            ]
            .into(),
        );
        let error = UpConfig::read(&UpGiven::default(), &environment).unwrap_err();
        let places: Vec<_> = error.0.iter().map(|problem| problem.place.as_str()).collect();
        for place in environment.0.keys() {
            assert!(places.contains(place), "{place}: {error}");
        }
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn plaintext_off_loopback_has_to_be_said() {
        let given = UpGiven { listen: Some("0.0.0.0:1".into()), ..UpGiven::default() };
        let place = |given: &UpGiven, environment: &Fixed| {
            UpConfig::read(given, environment).unwrap_err().0[0].place.clone()
        };
        assert_eq!(place(&given, &Fixed::default()), "--listen");
        let environment = Fixed([("LISTEN", "0.0.0.0:1")].into());
        assert_eq!(place(&UpGiven::default(), &environment), "LISTEN");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("manman.toml");
        std::fs::write(&file, "listen = '0.0.0.0:1'").unwrap();
        let in_file = UpGiven { config: Some(file.display().to_string()), ..UpGiven::default() };
        assert_eq!(place(&in_file, &Fixed::default()), format!("{}: listen", file.display()));

        let given = UpGiven { plaintext: true, ..given };
        let config = UpConfig::read(&given, &Fixed::default()).unwrap();
        assert!(config.warnings.iter().any(|warning| warning.contains("not encrypted")));
    }
}
