//! `game …`.

use clap::Subcommand;
use manman_core::model::Name;

use crate::cli::parse::{self, Pair};

/// Games: what can be run.
#[derive(Debug, Subcommand)]
pub enum GameCommand {
    /// Create a game
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
    Show {
        /// Its name or id
        game: String,
    },
    /// Delete a game that has no configs
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name or id
        game: String,
    },
}
