//! The separate programs: each reads its configuration from the environment, composes its
//! parts, runs until it is told to end, and says how it is.

mod control_api;
mod control_migration;
mod event_processor;
pub mod health;
mod host_manager;
mod parts;

pub use control_migration::main as control_migration;

use std::{future::Future, io::Write as _, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use manman_core::error::{Chain, Error, ErrorKind};

use crate::{
    cli::Exit,
    compose::{Signals, Tasks},
    config::{CommonConfig, ConfigError, ControlApiConfig, HostManagerConfig, Process, ProcessorConfig},
    telemetry,
};
use health::Parts;

/// How long what is being done may take when the process is told to end.
const END_WITHIN: Duration = Duration::from_secs(8);

/// Why a program ended before it was told to.
#[derive(Debug)]
enum Died {
    Config(ConfigError),
    Part(&'static str, Error),
    Listen(SocketAddr, std::io::Error),
    Said(String),
}

impl From<ConfigError> for Died {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl Died {
    /// The sentence, and the exit code that tells a supervisor whether to try again.
    fn tell(&self) -> (String, Exit) {
        match self {
            Self::Config(error) => (error.to_string(), Exit::Config),
            Self::Part(part, error) => {
                let exit = match error.kind() {
                    ErrorKind::Config | ErrorKind::Invalid => Exit::Config,
                    ErrorKind::Denied => Exit::NotPermitted,
                    ErrorKind::Unavailable | ErrorKind::Timeout => Exit::Unreachable,
                    _ => Exit::Failed,
                };
                (format!("{part}: {}", Chain(error)), exit)
            }
            Self::Listen(address, error) => (format!("cannot listen on {address}: {error}"), Exit::Failed),
            Self::Said(sentence) => (sentence.clone(), Exit::Failed),
        }
    }
}

/// What runs of a program.
struct Running {
    tasks: Tasks,
    stop: CancellationToken,
    parts: Arc<dyn Parts>,
}

/// Serves the API of the control plane; any number of them may.
pub fn control_api() -> ExitCode {
    main(
        "control-api",
        "Serves manman's API. Several may run beside each other.",
        &CONTROL_API,
        || ControlApiConfig::read(&Process).map(|config| (config.common.clone(), config)),
        |config, stop, _| control_api::start(config, stop),
    )
}

/// Applies what hosts report, sends what is to be sent, and sees to what is overdue.
pub fn event_processor() -> ExitCode {
    main(
        "event-processor",
        "Applies what hosts report and sends what they are to know. Several may run beside each other.",
        &EVENT_PROCESSOR,
        || ProcessorConfig::read(&Process).map(|config| (config.common.clone(), config)),
        |config, stop, _| event_processor::start(config, stop),
    )
}

/// Drives the games of one machine for a control plane elsewhere.
pub fn host_manager() -> ExitCode {
    main(
        "host-manager",
        "Drives the games of this machine for a control plane elsewhere.",
        &HOST_MANAGER,
        || HostManagerConfig::read(&Process).map(|config| (config.common.clone(), config)),
        |config, stop, late| async move { host_manager::start(config, stop, late.line()).await },
    )
}

/// A variable, and what it is for.
type Variable = (&'static str, &'static str);

const BACKENDS: [Variable; 3] = [
    (
        "BROKER_URL",
        "amqp://user:password@host:5672/vhost or nats://user:password@host:4222 (RABBITMQ_URL too)",
    ),
    RABBITMQ_IN_PARTS,
    ("DATABASE_URL", "postgres://user:password@host:5432/name (MANMAN_POSTGRES_URL too)"),
];

const RABBITMQ_IN_PARTS: Variable =
    ("MANMAN_RABBITMQ_HOST", "instead, with _PORT, _USER, _PASSWORD, _ENABLE_SSL and _SSL_HOSTNAME");

const COMMON: [Variable; 3] = [
    ("HEALTH_LISTEN", "where /health and /ready are served; 127.0.0.1:8000 unless set"),
    ("LOG_FORMAT", "human (unless set) or json"),
    ("RUST_LOG", "which log lines; info unless set"),
];

const CONTROL_API: [Variable; 9] = [
    ("LISTEN", "where the API is served; 127.0.0.1:50051 unless set"),
    ("TLS_CERT", "PEM file of the API's certificate"),
    ("TLS_KEY", "PEM file of its key"),
    ("PLAINTEXT", "true serves without encryption off loopback too"),
    ("ADMIN_TOKEN", "put on record at the start: mm_ and 64 hex digits"),
    ("JOIN_TOKEN", "the same for the first host"),
    (
        "BLOB_URL",
        "where what hosts put is kept: s3://bucket?endpoint=https://host&region=name or fs:///dir; DATA_DIR/blobs \
         if there is a DATA_DIR, else nothing is kept",
    ),
    ("AWS_ACCESS_KEY_ID", "who asks for the bucket, unless BLOB_URL says s3://KEY:SECRET@bucket"),
    ("AWS_SECRET_ACCESS_KEY", "its secret; AWS_SESSION_TOKEN too"),
];

const EVENT_PROCESSOR: [Variable; 0] = [];

const HOST_MANAGER: [Variable; 16] = [
    ("SERVER_NAME", "the name of this machine; its host name unless set"),
    ("API_ADDRESS", "the control plane's API; localhost:50051 unless set, https:// encrypts"),
    ("API_CA", "PEM file of the authorities that it is known by, instead of the system's"),
    ("JOIN_TOKEN", "makes this machine a host, the first time"),
    ("BROKER_URL", "amqp://… or nats://… (RABBITMQ_URL too)"),
    RABBITMQ_IN_PARTS,
    ("DATA_DIR", "journal, consoles, and the games' directories; /var/lib/manman for root unless set"),
    ("HOST_DATA_DIR", "the same directory as the engine's machine sees it; found out unless set"),
    ("ENVIRONMENT", "in names of containers; production unless set (APP_ENV too)"),
    ("PUBLIC_ADDRESS", "where players reach this machine"),
    ("TAKE_OVER", "true takes the name from another machine that is still heard"),
    ("MANMAN_RUNTIME", "auto (unless set), docker or process"),
    ("DOCKER_SOCKET", "/var/run/docker.sock unless set"),
    (
        "PROCESS_USER",
        "uid:gid that plain processes run as; 65534:65534 for root, its own for others unless set",
    ),
    (
        "PROCESS_CGROUP",
        "absolute path of a cgroup to divide among plain processes; the one that it is in unless set",
    ),
    ("MANMAN_CONFIG", "a configuration file; manman.toml in the data directory if it is there"),
];

/// The whole life of a program.
fn main<C, S>(
    name: &'static str,
    about: &'static str,
    variables: &[Variable],
    read: impl Fn() -> Result<(CommonConfig, C), ConfigError>,
    start: impl FnOnce(C, CancellationToken, Arc<parts::Late>) -> S,
) -> ExitCode
where
    S: Future<Output = Result<Running, Died>>,
{
    let needs_database = name != "host-manager";
    let listed: Vec<Variable> =
        variables.iter().chain(BACKENDS.iter().filter(|_| needs_database)).chain(&COMMON).copied().collect();
    let command = clap::Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(help(&listed))
        .subcommand(clap::Command::new("health").about("Ask the one that runs here whether it is ready"));
    let arguments = match command.try_get_matches() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to be told when the output is gone.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let told =
        if arguments.subcommand_name() == Some("health") { ask(read) } else { live(name, read, start) };
    match told {
        Ok(()) => Exit::Ok.into(),
        Err(died) => {
            let (sentence, exit) = died.tell();
            let _ = writeln!(std::io::stderr(), "{name}: {sentence}");
            exit.into()
        }
    }
}

fn help(variables: &[Variable]) -> String {
    let widest = variables.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = variables.iter().map(|(name, what)| format!("  {name:widest$}  {what}"));
    format!(
        "Configuration is by environment variables; X_FILE names a file that holds a secret X.\n{}\n\n\
         Exit codes: 0 told to end, 1 failed, 2 usage, 69 no answer, 77 not permitted, 78 configuration.",
        lines.collect::<Vec<_>>().join("\n")
    )
}

fn ask<C>(read: impl Fn() -> Result<(CommonConfig, C), ConfigError>) -> Result<(), Died> {
    let (common, _) = read()?;
    health::probe(common.health_listen)
        .map_err(|error| Died::Said(format!("not ready at {}: {error}", common.health_listen)))
}

fn live<C, S>(
    name: &'static str,
    read: impl Fn() -> Result<(CommonConfig, C), ConfigError>,
    start: impl FnOnce(C, CancellationToken, Arc<parts::Late>) -> S,
) -> Result<(), Died>
where
    S: Future<Output = Result<Running, Died>>,
{
    let (common, config) = read()?;
    let _writing = telemetry::start(common.log_format, "info")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Died::Said(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let signals = Signals::listen().map_err(|error| Died::Said(format!("no signals: {error}")));
        let mut signals = signals?;
        for warning in &common.warnings {
            tracing::warn!("{warning}");
        }
        let health = TcpListener::bind(common.health_listen)
            .await
            .map_err(|error| Died::Listen(common.health_listen, error))?;
        let stop = CancellationToken::new();
        let parts = Arc::new(parts::Late::default());
        // From the first moment on: whoever waits for its control plane lives.
        let serving = tokio::spawn(health::serve(health, parts.clone(), stop.clone()));
        let started = tokio::select! {
            started = start(config, stop.clone(), parts.clone()) => started?,
            signal = signals.next() => {
                tracing::info!("{signal}: ending before it was up");
                return Ok(());
            }
        };
        parts.set(started.parts.clone());
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!("{name} {version} is up; /health and /ready at {}", common.health_listen);
        let told = until_told(started, &mut signals).await;
        serving.abort();
        told
    })
}

async fn until_told(mut running: Running, signals: &mut Signals) -> Result<(), Died> {
    let died = tokio::select! {
        signal = signals.next() => {
            tracing::info!("{signal}: ending (once more ends at once)");
            None
        }
        sentence = running.tasks.first_end() => Some(sentence),
    };
    running.stop.cancel();
    let wrong = tokio::select! {
        wrong = running.tasks.end(END_WITHIN) => wrong,
        _ = signals.next() => return Err(Died::Said("ended at once, as asked".to_owned())),
    };
    for sentence in wrong {
        tracing::warn!("{sentence}");
    }
    died.map_or(Ok(()), |sentence| Err(Died::Said(sentence)))
}
