//! The configuration of the separate programs: environment variables alone.

use std::net::SocketAddr;

use manman_store::blob::BlobConfig;

use super::{
    BrokerUrl, ConfigError, DEFAULT_LISTEN, DatabaseUrl, Environment, MachineConfig, Reader, UpGiven,
    backends::{self, yes_or_no},
    blobs, dirs,
    up::parse_listen,
};
use crate::{api::dial::Address, secret::Secret, telemetry::LogFormat};

/// Where a program says how it is, unless said otherwise.
pub const DEFAULT_HEALTH_LISTEN: SocketAddr = SocketAddr::new(DEFAULT_LISTEN.ip(), 8000);

/// A certificate and its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with those between it and its authority.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Secret,
}

/// What every one of the programs is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonConfig {
    /// Where it says how it is.
    pub health_listen: SocketAddr,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// How `control-api` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlApiConfig {
    /// What every program is told.
    pub common: CommonConfig,
    /// Where the API is served.
    pub listen: SocketAddr,
    /// Encrypts it.
    pub tls: Option<TlsFiles>,
    /// What carries the messages.
    pub broker: BrokerUrl,
    /// What keeps the store.
    pub database: DatabaseUrl,
    /// Where blobs are kept, if they are.
    pub blobs: Option<BlobConfig>,
    /// A token that is put on record at the start, for the first operator.
    pub admin_token: Option<Secret>,
    /// The same for the first host.
    pub join_token: Option<Secret>,
}

/// How `event-processor` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessorConfig {
    /// What every program is told.
    pub common: CommonConfig,
    /// What carries the messages.
    pub broker: BrokerUrl,
    /// What keeps the store.
    pub database: DatabaseUrl,
}

/// How `host-manager` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostManagerConfig {
    /// What every program is told.
    pub common: CommonConfig,
    /// The machine, and what runs games on it.
    pub machine: MachineConfig,
    /// The API of the control plane.
    pub api: Address,
    /// The authorities that it is known by instead of the system's, as PEM.
    pub api_ca: Option<Vec<u8>>,
    /// Makes this machine a host, the first time.
    pub join_token: Option<Secret>,
    /// What carries the messages.
    pub broker: BrokerUrl,
}

impl CommonConfig {
    fn read<E: Environment>(reader: &mut Reader<'_, E>) -> Self {
        let remedy = "write it as 127.0.0.1:8000";
        let health_listen = reader.read("", None, &["HEALTH_LISTEN"], remedy, parse_listen);
        let log_format = reader.read("", None, &["LOG_FORMAT"], "say human or json", str::parse);
        Self {
            health_listen: health_listen.unwrap_or(DEFAULT_HEALTH_LISTEN),
            log_format: log_format.unwrap_or_default(),
            warnings: Vec::new(),
        }
    }
}

/// A broker that other processes reach.
fn shared_broker<E: Environment>(reader: &mut Reader<'_, E>) -> Option<BrokerUrl> {
    let remedy = "write amqp://user:password@host:5672/vhost or nats://user:password@host:4222";
    let before = reader.problems.len();
    match backends::broker(reader, None) {
        Some(BrokerUrl::Memory) => {
            reader.refuse("BROKER_URL", "is memory:, which no other process reaches", remedy);
        }
        Some(broker) => return Some(broker),
        None if reader.problems.len() == before => reader.refuse("BROKER_URL", "is not set", remedy),
        None => {}
    }
    None
}

fn needed_database<E: Environment>(reader: &mut Reader<'_, E>) -> Option<DatabaseUrl> {
    let before = reader.problems.len();
    let database = backends::database(reader, None);
    if database.is_none() && reader.problems.len() == before {
        reader.refuse("DATABASE_URL", "is not set", "write postgres://user:password@host:5432/name");
    }
    database
}

/// Where blobs are kept: as it was said, or in the data directory if one was given. A program
/// that was given neither has no place of its own: none of its replicas would find the others'.
fn shared_blobs<E: Environment>(reader: &mut Reader<'_, E>) -> Option<BlobConfig> {
    blobs::blobs(reader, None).or_else(|| {
        let remedy = "give a directory that is there or can be made";
        let data_dir = reader.read("", None, &["DATA_DIR"], remedy, dirs::parse)?;
        Some(blobs::own_blobs(&data_dir))
    })
}

/// A token, if it looks like one.
fn token<E: Environment>(reader: &mut Reader<'_, E>, name: &str) -> Option<Secret> {
    let remedy = "make one: echo mm_$(openssl rand -hex 32)";
    reader.read_secret("", None, &[name], remedy, |text| match crate::api::Token::parse(text) {
        Some(_) => Ok(Secret::new(text)),
        None => Err("is no token: mm_ and 64 hex digits are expected".to_owned()),
    })
}

fn pem<E: Environment>(reader: &mut Reader<'_, E>, name: &str) -> Option<Vec<u8>> {
    reader.read("", None, &[name], "name a PEM file that can be read", |path| {
        let bytes = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
        if is_pem { Ok(bytes) } else { Err(format!("{path} is no PEM file")) }
    })
}

impl ControlApiConfig {
    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn read(environment: &impl Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let mut common = CommonConfig::read(&mut reader);
        let remedy = "write it as 127.0.0.1:50051";
        let listen = reader.read("", None, &["LISTEN"], remedy, parse_listen).unwrap_or(DEFAULT_LISTEN);
        let plaintext = reader.read("", None, &["PLAINTEXT"], "say true or false", yes_or_no);
        let certificate = pem(&mut reader, "TLS_CERT");
        let key = pem(&mut reader, "TLS_KEY").and_then(|key| String::from_utf8(key).ok());
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key: Secret::new(key) }),
            (Some(_), None) => {
                reader.refuse("TLS_KEY", "is not set, and TLS_CERT is", "name the file of its key");
                None
            }
            (None, Some(_)) => {
                reader.refuse("TLS_CERT", "is not set, and TLS_KEY is", "name the file of the certificate");
                None
            }
            (None, None) => None,
        };
        if !listen.ip().is_loopback() && tls.is_none() {
            if plaintext == Some(true) {
                let warning = format!("the API on {listen} is not encrypted: tokens can be read on the way");
                common.warnings.push(warning);
            } else {
                reader.refuse(
                    "LISTEN",
                    format!("{listen} is not loopback, and the API is served without encryption"),
                    "set TLS_CERT and TLS_KEY, or PLAINTEXT=true if the network is trusted",
                );
            }
        }
        let (broker, database) = (shared_broker(&mut reader), needed_database(&mut reader));
        let blobs = shared_blobs(&mut reader);
        common.warnings.extend(blobs.as_ref().and_then(blobs::warning));
        let admin_token = token(&mut reader, "ADMIN_TOKEN");
        let join_token = token(&mut reader, "JOIN_TOKEN");
        let (Some(broker), Some(database)) = (broker, database) else { return Err(reader.wrong()) };
        reader.finish()?;
        Ok(Self { common, listen, tls, broker, database, blobs, admin_token, join_token })
    }
}

impl ProcessorConfig {
    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn read(environment: &impl Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let common = CommonConfig::read(&mut reader);
        let (broker, database) = (shared_broker(&mut reader), needed_database(&mut reader));
        let (Some(broker), Some(database)) = (broker, database) else { return Err(reader.wrong()) };
        reader.finish()?;
        Ok(Self { common, broker, database })
    }
}

impl HostManagerConfig {
    /// Reads it: the machine as `manman up` does, its configuration file included.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn read(environment: &impl Environment) -> Result<Self, ConfigError> {
        const SETTINGS: [&str; 7] = [
            "environment",
            "server_name",
            "runtime",
            "docker_socket",
            "host_data_dir",
            "process_user",
            "process_cgroup",
        ];
        let mut reader = Reader::new(environment);
        let mut common = CommonConfig::read(&mut reader);
        let data_dir = reader.data_dir(None);
        reader.read_file(None, &data_dir, &SETTINGS);
        let given = UpGiven::default();
        let mut machine = MachineConfig::read(&mut reader, &given, data_dir, &mut common.warnings);
        machine.host.public_address = reader.read(
            "",
            None,
            &["PUBLIC_ADDRESS"],
            "give an address or a name of at most 255 bytes",
            |text| {
                let checked = manman_core::model::text::check("public_address", text, 255);
                checked.map(|()| text.to_owned()).map_err(|invalid| invalid.problem)
            },
        );
        let take_over = reader.read("", None, &["TAKE_OVER"], "say true or false", yes_or_no);
        machine.host.take_over = take_over.unwrap_or(false);
        let remedy = "write host:port, http://host:port or https://host:port";
        let api = reader.read("", None, &["API_ADDRESS"], remedy, str::parse::<Address>);
        let api = api.unwrap_or_else(Address::local);
        let api_ca = pem(&mut reader, "API_CA");
        if !api.is_encrypted(api_ca.is_some()) && !api.is_loopback() {
            if api.tls == Some(false) {
                let warning = format!("calls to {api} are not encrypted: the token can be read on the way");
                common.warnings.push(warning);
            } else {
                reader.refuse(
                    "API_ADDRESS",
                    format!("the token would go to {api} without encryption"),
                    "say https://, or http:// if the network is trusted",
                );
            }
        }
        let join_token = token(&mut reader, "JOIN_TOKEN");
        let Some(broker) = shared_broker(&mut reader) else { return Err(reader.wrong()) };
        reader.finish()?;
        Ok(Self { common, machine, api, api_ca, join_token, broker })
    }
}

/// The database that `control-migration` changes.
///
/// # Errors
/// What is wrong.
pub fn database(environment: &impl Environment, given: Option<&str>) -> Result<DatabaseUrl, ConfigError> {
    let mut reader = Reader::new(environment);
    let database = match given {
        Some(_) => backends::database(&mut reader, given),
        None => needed_database(&mut reader),
    };
    let Some(database) = database else { return Err(reader.wrong()) };
    reader.finish().map(|()| database)
}
