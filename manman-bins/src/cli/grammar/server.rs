//! `server …`.

use clap::Subcommand;

/// Servers: machines that run games.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// List servers
    #[command(visible_alias = "ls")]
    List,
    /// Show a server and the ports that are held on it
    #[command(after_help = "Example:\n  manman server show box")]
    Show {
        /// Its name or id
        server: String,
    },
    /// End all sessions of a server that does not answer: for a machine that burned down
    ///
    /// Should the machine come back, the games that still run there are stopped.
    #[command(after_help = "Example:\n  manman server abandon box")]
    Abandon {
        /// Its name or id
        server: String,
    },
}
