//! `config …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use manman_core::model::{
    CapProfile, ConsolePolicy, ContainerPath, ImageRef, Name, NetworkMode, PortNeed, Signal, StopStep, Volume,
};

use crate::cli::parse::{self, Pair};

/// Configs: how a game is run.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Create a config of a game
    #[command(after_help = EXAMPLE)]
    Create(Box<ConfigCreate>),
    /// List configs
    #[command(visible_alias = "ls")]
    #[command(after_help = "Example:\n  manman config list --game openttd")]
    List {
        /// Only those of this game, by name or id
        #[arg(long, value_name = "GAME")]
        game: Option<String>,
    },
    /// Show a config
    #[command(after_help = "Example:\n  manman config show openttd/vanilla")]
    Show {
        /// Its name or id, or game/config
        config: String,
    },
    /// Delete a config that has no deployments
    #[command(visible_alias = "rm")]
    #[command(after_help = "Example:\n  manman config delete openttd/vanilla")]
    Delete {
        /// Its name or id, or game/config
        config: String,
    },
}

const EXAMPLE: &str = "\
Example:
  manman config create vanilla --game openttd --image openttd:13.0 --port 3979/tcp --port 3979/udp \\
      --stop save:2s --stop quit:10s -- -D -c /data/game/openttd.cfg";

/// Create a config of a game.
#[derive(Args, Debug)]
pub struct ConfigCreate {
    /// Its name, unique within the game
    pub name: Name,
    /// The game, by name or id
    #[arg(long, value_name = "GAME")]
    pub game: String,
    /// Read the config from this file ('-': stdin); other options change or add to what it says
    ///
    /// The file holds the object that `manman config show NAME -o json` has as `body`.
    /// What it says beyond that is refused.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The container image
    #[arg(long, required_unless_present = "file")]
    pub image: Option<ImageRef>,
    /// Replaces the image's entrypoint; repeat it for each further word
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// An environment variable of the game; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub env: Vec<Pair>,
    /// A port that the game listens on, such as 3979/udp; may be repeated
    #[arg(long = "port", value_name = "PORT/PROTOCOL", value_parser = parse::port_need)]
    pub ports: Vec<PortNeed>,
    /// A further directory, NAME:/PATH or NAME:/PATH:ro; may be repeated
    #[arg(long = "volume", value_name = "VOLUME", value_parser = parse::volume)]
    pub volumes: Vec<Volume>,
    /// Where the game sees its data directory [/data/game]
    #[arg(long, value_name = "PATH")]
    pub data_path: Option<ContainerPath>,
    /// A console command of the stop and the wait after it, such as save:2s; repeat it in order
    #[arg(long = "stop", value_name = "COMMAND:WAIT", value_parser = parse::stop_step)]
    pub stop: Vec<StopStep>,
    /// The signal after the stop's commands: TERM, INT, QUIT, HUP, USR1, USR2 [TERM]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<Signal>,
    /// How long after the signal the game is killed [30s]
    #[arg(long, value_name = "DURATION", value_parser = parse::millis)]
    pub stop_grace: Option<u32>,
    /// The most memory, such as 2GiB [not limited]
    #[arg(long, value_name = "SIZE", value_parser = parse::bytes)]
    pub memory: Option<u64>,
    /// The most processor time in cores, such as 1.5 [not limited]
    #[arg(long, value_name = "CORES", value_parser = parse::cpu_millis)]
    pub cpus: Option<u32>,
    /// The most processes and threads [512]
    #[arg(long, value_name = "NUMBER")]
    pub pids: Option<u32>,
    /// The user that it runs as, uid or uid:gid [the image's]
    #[arg(long, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// Give it a terminal; its stderr then arrives as stdout
    #[arg(long)]
    pub tty: bool,
    /// The kernel capabilities that it keeps: strict (none), or image, for images that begin
    /// as root and step down [strict]
    #[arg(long, value_name = "PROFILE", value_parser = cap_profile)]
    pub cap_profile: Option<CapProfile>,
    /// Its network: session (one of its own), or shared:NAME [session]
    #[arg(long, value_name = "NETWORK", value_parser = parse::network)]
    pub network: Option<NetworkMode>,
    /// What is promised of its console: exact or best-effort [exact]
    #[arg(long, value_name = "POLICY", value_parser = console_policy)]
    pub console: Option<ConsolePolicy>,
    /// The engine's log driver: local, json-file, or, with --console best-effort, another [local]
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// The most bytes of a file of the engine's log, such as 10MB [20MB]
    #[arg(long, value_name = "SIZE", value_parser = parse::bytes)]
    pub log_max_size: Option<u64>,
    /// How many files of the engine's log are kept, 2 to 100 [5]
    #[arg(long, value_name = "NUMBER")]
    pub log_max_files: Option<u32>,
    /// A free label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub labels: Vec<Pair>,
    /// Replaces the image's command
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `strict` or `image`.
pub fn cap_profile(text: &str) -> Result<CapProfile, String> {
    match text {
        "strict" => Ok(CapProfile::Strict),
        "image" => Ok(CapProfile::Image),
        _ => Err(format!("{text:?} is neither strict nor image")),
    }
}

/// `exact` or `best-effort`.
pub fn console_policy(text: &str) -> Result<ConsolePolicy, String> {
    match text {
        "exact" => Ok(ConsolePolicy::Exact),
        "best-effort" => Ok(ConsolePolicy::BestEffort),
        _ => Err(format!("{text:?} is neither exact nor best-effort")),
    }
}
