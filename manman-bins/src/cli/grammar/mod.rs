//! What can be said to `manman`.

mod apply;
mod config;
mod deployment;
mod game;
mod life;
mod process;
mod server;
mod session;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use apply::ApplyArgs;
pub use config::{ConfigCommand, ConfigCreate, cap_profile, console_policy};
pub use deployment::{DeploymentCommand, DeploymentCreate};
pub use game::GameCommand;
pub use life::{RestartArgs, StartArgs, StopArgs};
pub use process::{DownArgs, UpArgs};
pub use server::ServerCommand;
pub use session::{SessionCommand, StateWord};
pub use watch::{ConsoleArgs, LogsArgs, SendArgs};

use super::exit;

/// Runs game servers on your own machines.
#[derive(Debug, Parser)]
#[command(name = "manman", version, about = "Runs game servers on your own machines", after_help = exit::HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// How to answer: for people, or as the API's messages in JSON
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    #[arg(help_heading = "Common options")]
    pub output: Format,
    /// Talk to this manman: host:port, http://host:port or unix:/path/to/manman.sock
    ///
    /// Without it: API_ADDRESS if set, else the Unix socket in the data directory, else
    /// localhost:50051.
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = "Common options")]
    pub address: Option<String>,
    /// Read the token for --address from this file
    ///
    /// Without it: API_TOKEN_FILE or API_TOKEN if set, else the file `token` in the data
    /// directory. A Unix socket needs none.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub token_file: Option<PathBuf>,
    /// Allow unencrypted connections to and (with `up`) from other machines
    #[arg(long, global = true, help_heading = "Common options")]
    pub plaintext: bool,
    /// The directory in which manman keeps everything
    ///
    /// Without it: DATA_DIR if set, else $XDG_DATA_HOME/manman (~/.local/share/manman), for
    /// root /var/lib/manman.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    pub data_dir: Option<PathBuf>,
}

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people; may change between versions.
    #[default]
    Table,
    /// The API's messages: stable; errors are objects on stderr.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run manman on this machine: API, store and host manager in one process
    Up(UpArgs),
    /// Stop all games of this installation, then manman itself
    Down(DownArgs),
    /// Show what runs here, on one screen
    Status,

    /// Make games, configs and deployments be as files declare them
    ///
    /// Shows first what would change, and asks. What the files do not name is left alone, and
    /// nothing is started, stopped or deleted. Applying the same again changes nothing.
    Apply(ApplyArgs),

    /// Games: what can be run
    #[command(subcommand)]
    Game(GameCommand),
    /// Configs: how a game is run
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Deployments: a config on a server, with its ports and files
    #[command(subcommand)]
    Deployment(DeploymentCommand),
    /// Servers: machines that run games
    #[command(subcommand)]
    Server(ServerCommand),
    /// Sessions: one run of a deployment, from its start to its end
    #[command(subcommand)]
    Session(SessionCommand),

    /// Start a deployment and wait until its game runs
    Start(StartArgs),
    /// Stop a game as its config says and wait until it has ended
    Stop(StopArgs),
    /// End a game at once; overtakes a stop that takes too long
    Kill(StopArgs),
    /// Stop a game and start it again, within the same session
    Restart(RestartArgs),

    /// Print what a game printed
    Logs(LogsArgs),
    /// Follow a game's output and type into its console
    Console(ConsoleArgs),
    /// Send one line to a game's console
    Send(SendArgs),

    /// Explain an error code, or list them all
    Explain {
        /// The code, such as port_conflict
        code: Option<String>,
    },
}

#[cfg(test)]
mod tests;
