//! `up` and `down`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::cli::parse;

/// Run manman on this machine: API, store and host manager in one process.
///
/// Ctrl-C ends manman and leaves games running; the next `manman up` takes them up again.
/// `manman down` stops them too.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct UpArgs {
    /// The configuration file (MANMAN_CONFIG; manman.toml in the data directory, if it is there)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve the API over TCP here too (LISTEN; 127.0.0.1:50051 unless set)
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// What carries messages: amqp://…, nats://… or memory: (BROKER_URL; memory: unless set)
    ///
    /// A password in it shows in the list of processes: better set BROKER_URL, or BROKER_URL_FILE.
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// What keeps the store: postgres://… or sqlite:///… (DATABASE_URL; {data}/manman.db unless set)
    ///
    /// A password in it shows in the list of processes: better set DATABASE_URL, or DATABASE_URL_FILE.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// What keeps blobs: fs:///… or s3://bucket?… (BLOB_URL; {data}/blobs unless set)
    ///
    /// A secret in it shows in the list of processes: better set BLOB_URL, or BLOB_URL_FILE, or
    /// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    #[arg(long, value_name = "URL")]
    pub blobs: Option<String>,
    /// Drive no games in this process: host managers of other machines do
    #[arg(long, conflicts_with = "demo")]
    pub no_host: bool,
    /// The name of this machine (SERVER_NAME; its host name unless set)
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// The environment in names of containers (ENVIRONMENT; production unless set)
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// What runs games: auto, docker, or process (MANMAN_RUNTIME; auto unless set)
    ///
    /// auto: what ran them before; else Docker if it answers, else plain processes.
    #[arg(long, value_name = "RUNTIME")]
    pub runtime: Option<String>,
    /// The engine's socket (DOCKER_SOCKET; /var/run/docker.sock unless set)
    #[arg(long, value_name = "PATH")]
    pub docker_socket: Option<String>,
    /// Path of the data directory as the Docker host sees it (HOST_DATA_DIR; found out unless set)
    #[arg(long, value_name = "DIR")]
    pub host_data_dir: Option<String>,
    /// How log lines are written: human or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Prepare and start a demo game, to have something to look at
    #[arg(long)]
    pub demo: bool,
}

/// Stop all games of this installation, then manman itself.
#[derive(Args, Debug)]
pub struct DownArgs {
    /// The configuration file (MANMAN_CONFIG; manman.toml in the data directory, if it is there)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What keeps the store, if `manman up` was told with --database (DATABASE_URL)
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// What carries messages, if `manman up` was told with --broker (BROKER_URL)
    #[arg(long, value_name = "URL")]
    pub broker: Option<String>,
    /// The engine's socket, if `manman up` was told with --docker-socket (DOCKER_SOCKET)
    #[arg(long, value_name = "PATH")]
    pub docker_socket: Option<String>,
    /// End games at once instead of as their configs say
    #[arg(long)]
    pub kill: bool,
    /// Give up after this long (10m unless set); games that still run go on
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub timeout: Option<Duration>,
}
