//! The configuration of `manman up`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _},
};

use manman_store::blob::BlobConfig;

use super::{BrokerUrl, ConfigError, DatabaseUrl, Environment, MachineConfig, Reader, backends, blobs};
use crate::telemetry::LogFormat;

/// How `manman up` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpConfig {
    /// This machine, and what runs games on it.
    pub machine: MachineConfig,
    /// Where the API is served over TCP.
    pub listen: SocketAddr,
    /// What carries the messages.
    pub broker: BrokerUrl,
    /// What keeps the store.
    pub database: DatabaseUrl,
    /// Where blobs are kept.
    pub blobs: BlobConfig,
    /// Whether this process drives no games itself.
    pub no_host: bool,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What the operator should know about the above.
    pub warnings: Vec<String>,
    /// Where each value was found: flag, variable or place in the file, by the name of its
    /// flag. What is not among them is a default.
    pub found: BTreeMap<String, String>,
}

/// Where the API is served over TCP unless said otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);

/// What can be said in the configuration file, beside the table `[host]`.
const SETTINGS: [&str; 12] = [
    "listen",
    "broker",
    "database",
    "blobs",
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
    /// `--broker`, `BROKER_URL` and so on; within this process if absent.
    pub broker: Option<String>,
    /// `--database`, `DATABASE_URL` and so on; a file in the data directory if absent.
    pub database: Option<String>,
    /// `--blobs` or `BLOB_URL`; a directory in the data directory if absent.
    pub blobs: Option<String>,
    /// `--no-host`: drive no games in this process.
    pub no_host: bool,
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
        if ["TLS_CERT", "TLS_KEY"].iter().any(|name| environment.get(name).is_some()) {
            // Not refused: whoever has them for control-api may read the rest here too.
            warnings.push(
                "TLS_CERT and TLS_KEY are not used: `manman up` does not encrypt its API; put a proxy before it that \
                 does, or serve the API with control-api"
                    .to_owned(),
            );
        }
        let mut of_machine = Vec::new();
        let machine = MachineConfig::read(&mut reader, given, data_dir.clone(), &mut of_machine);
        // A machine that drives no games need not be named.
        warnings.extend(of_machine.into_iter().filter(|_| !given.no_host));
        let log_format =
            reader.read("log-format", given.log_format.as_deref(), &[], "say human or json", |text| {
                text.parse::<LogFormat>()
            });
        let broker = backends::broker(&mut reader, given.broker.as_deref()).unwrap_or(BrokerUrl::Memory);
        let database = backends::database(&mut reader, given.database.as_deref());
        let database = database.unwrap_or_else(|| backends::own_database(&data_dir));
        let blobs = blobs::blobs(&mut reader, given.blobs.as_deref());
        let blobs = blobs.unwrap_or_else(|| blobs::own_blobs(&data_dir));
        warnings.extend(blobs::warning(&blobs));
        if given.no_host && broker == BrokerUrl::Memory {
            reader.refuse(
                "--no-host",
                "no host manager of another machine could be reached: messages stay within this process",
                "say --broker too, with a broker that those machines reach",
            );
        }
        let found = reader.found.clone();
        reader.finish()?;
        Ok(Self {
            machine,
            listen,
            broker,
            database,
            blobs,
            no_host: given.no_host,
            log_format: log_format.unwrap_or_default(),
            warnings,
            found,
        })
    }
}

pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let problem = || format!("{text:?} is not a valid address and port");
    text.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::tests::Fixed;

    #[test]
    fn defaults_suit_one_machine() {
        let config = UpConfig::read(&UpGiven::default(), &Fixed::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
        assert_eq!(config.machine.environment.as_str(), "prod");
        assert_eq!(config.machine.docker_socket, PathBuf::from("/var/run/docker.sock"));
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
                ("DATABASE_URL", "mysql://me:hunter2@db/x"),
                ("BROKER_URL", "redis://me:hunter2@mq"),
                ("BLOB_URL", "ftp://me:hunter2@host"),
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
    fn a_certificate_that_is_not_used_is_said() {
        for name in ["TLS_CERT", "TLS_KEY"] {
            let config = UpConfig::read(&UpGiven::default(), &Fixed([(name, "/x.pem")].into())).unwrap();
            assert!(
                config.warnings.iter().any(|it| it.contains("does not encrypt")),
                "{:?}",
                config.warnings
            );
        }
        let config = UpConfig::read(&UpGiven::default(), &Fixed::default()).unwrap();
        assert!(!config.warnings.iter().any(|it| it.contains("TLS_CERT")), "{:?}", config.warnings);
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
