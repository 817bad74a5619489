//! `game …`.

use clap::Subcommand;
use manman_core::model::Name;

use crate::cli::parse::{self, Pair};

/// Games: what can be run.
#[derive(Debug, Subcommand)]
pub enum GameCommand {
    /// Create a game
    #[command(after_help = "Example:\n  manman game create openttd --steam-app-id 1536610")]
    Create {
        /// Its name: letters, digits, '-', '_', '.', not all digits
        name: Name,
        /// Its id at Steam
        #[arg(long, value_name = "ID")]
        steam_app_id: Option<String>,
        /// Free metadata; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
        metadata: Vec<Pair>,
    },
    /// List games
    #[command(visible_alias = "ls")]
    List,
    /// Show a game
    #[command(after_help = "Example:\n  manman game show openttd")]
    Show {
        /// Its name or id
        game: String,
    },
    /// Delete a game that has no configs
    #[command(visible_alias = "rm")]
    #[command(after_help = "Example:\n  manman game delete openttd")]
    Delete {
        /// Its name or id
        game: String,
    },
}
