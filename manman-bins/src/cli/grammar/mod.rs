//! What can be said to `manman`.

mod apply;
mod config;
mod deployment;
mod game;
mod letters;
mod life;
mod look;
mod process;
mod server;
mod session;
mod store;
mod token;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use apply::ApplyArgs;
pub use config::{ConfigCommand, ConfigCreate, cap_profile, console_policy};
pub use deployment::{DeploymentCommand, DeploymentCreate};
pub use game::GameCommand;
pub use letters::LettersCommand;
pub use life::{RestartArgs, StartArgs, StopArgs};
pub use look::LookArgs;
pub use process::{DownArgs, UpArgs};
pub use server::ServerCommand;
pub use session::{SessionCommand, StateWord};
pub use store::{StoreArgs, StoreCommand};
pub use token::{RoleWord, TokenCommand, TokenCreate};
pub use watch::{ConsoleArgs, LogsArgs, SendArgs};

use super::exit;

/// Where each shell looks for completions.
const COMPLETIONS: &str = "\
Examples:
  manman completions bash > ~/.local/share/bash-completion/completions/manman
  manman completions zsh > \"${fpath[1]}/_manman\"
  manman completions fish > ~/.config/fish/completions/manman.fish
  manman completions elvish >> ~/.config/elvish/rc.elv
  manman completions powershell >> $PROFILE

The directory has to be there, and bash needs its package bash-completion; a new shell has it.";

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
    /// Talk to this manman: host:port, https://host:port or unix:/path/to/manman.sock
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
    /// Trust the authorities in this PEM file, instead of the system's, to know an encrypted API by
    ///
    /// Without it: API_CA if set.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub ca: Option<PathBuf>,
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
    #[command(
        after_help = "Examples:\n  manman up --demo\n  manman up --data-dir /srv/manman --listen 127.0.0.1:50052"
    )]
    Up(UpArgs),
    /// Stop all games of this installation, then manman itself
    #[command(after_help = "Example:\n  manman down --timeout 2m")]
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

    /// Tokens: who may call, and as what
    #[command(subcommand)]
    Token(TokenCommand),
    /// Messages that nobody could deal with
    #[command(subcommand)]
    Deadletter(LettersCommand),

    /// The store: saved and restored
    #[command(subcommand)]
    Store(StoreCommand),

    /// Start a deployment and wait until its game runs
    #[command(after_help = "Example:\n  manman start trains")]
    Start(StartArgs),
    /// Stop a game as its config says and wait until it has ended
    #[command(after_help = "Example:\n  manman stop trains --timeout 1m")]
    Stop(StopArgs),
    /// End a game at once; overtakes a stop that takes too long
    #[command(after_help = "Example:\n  manman kill trains")]
    Kill(StopArgs),
    /// Stop a game and start it again, within the same session
    #[command(after_help = "Example:\n  manman restart trains")]
    Restart(RestartArgs),

    /// Print what a game printed
    #[command(after_help = "Example:\n  manman logs trains -f -n 100")]
    Logs(LogsArgs),
    /// Follow a game's output and type into its console
    #[command(after_help = "Examples:\n  manman console trains\n  echo save | manman console trains")]
    Console(ConsoleArgs),
    /// Send one line to a game's console
    #[command(after_help = "Example:\n  manman send trains 'say hello'")]
    Send(SendArgs),

    /// Look at this installation and its machine, for a report of a problem; changes nothing
    ///
    /// Works whether or not manman runs and Docker is there. Secrets are masked. The exit code
    /// is 0 if there is no problem, else 1.
    #[command(after_help = "Examples:\n  manman doctor\n  manman doctor -o json > report.json")]
    Doctor(LookArgs),
    /// List what is left of this installation, and how to remove each; removes nothing itself
    #[command(after_help = "Example:\n  manman uninstall --data-dir /srv/manman")]
    Uninstall(LookArgs),
    /// Write the script with which a shell completes manman's commands and options
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Explain an error code, or list them all
    #[command(after_help = "Example:\n  manman explain port_conflict")]
    Explain {
        /// The code, such as port_conflict
        code: Option<String>,
    },
}

#[cfg(test)]
mod tests;
