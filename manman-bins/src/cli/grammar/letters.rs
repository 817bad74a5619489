//! `deadletter …`.

use clap::Subcommand;
use uuid::Uuid;

/// Messages that nobody could deal with.
#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// List the newest ones, newest first
    #[command(visible_alias = "ls", after_help = "Example:\n  manman deadletter list -n 10")]
    List {
        /// At most so many, up to 200
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
        #[arg(value_parser = clap::value_parser!(i32).range(1..=200))]
        limit: i32,
    },
    /// Show one, with what it says
    #[command(after_help = "Example:\n  manman deadletter show 019aa3c4-0000-7000-8000-000000000000")]
    Show {
        /// The message's id
        message: Uuid,
    },
    /// Put one back into its queue, to be tried again
    #[command(after_help = "Example:\n  manman deadletter requeue 019aa3c4-0000-7000-8000-000000000000")]
    Requeue {
        /// The message's id
        message: Uuid,
    },
    /// Throw one away
    #[command(after_help = "Example:\n  manman deadletter drop 019aa3c4-0000-7000-8000-000000000000")]
    Drop {
        /// The message's id
        message: Uuid,
    },
}
