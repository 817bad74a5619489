//! `session …`.

use clap::{Subcommand, ValueEnum};

use crate::api::v1;

/// Sessions: one run of a deployment, from its start to its end.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List sessions, newest first
    #[command(visible_alias = "ls")]
    #[command(after_help = "Example:\n  manman session list --deployment trains --state crashed")]
    List {
        /// Only those of this deployment, by name or id
        #[arg(long, value_name = "DEPLOYMENT")]
        deployment: Option<String>,
        /// Only those of this server, by name or id
        #[arg(long, value_name = "SERVER")]
        server: Option<String>,
        /// Only those that have not ended
        #[arg(long, conflicts_with = "state")]
        live: bool,
        /// Only those in this state; may be repeated
        #[arg(long, value_name = "STATE", value_enum)]
        state: Vec<StateWord>,
        /// The most to list; 0 for all
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 50)]
        limit: usize,
    },
    /// Show a session and what happened to it
    #[command(after_help = "Example:\n  manman session show trains")]
    Show {
        /// Its id, or its deployment's name for the latest one
        session: String,
    },
}

/// A state, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateWord {
    Pending,
    Starting,
    Running,
    Stopping,
    Stopped,
    Completed,
    Crashed,
    Failed,
    Lost,
}

impl From<StateWord> for v1::SessionState {
    fn from(word: StateWord) -> Self {
        match word {
            StateWord::Pending => Self::Pending,
            StateWord::Starting => Self::Starting,
            StateWord::Running => Self::Running,
            StateWord::Stopping => Self::Stopping,
            StateWord::Stopped => Self::Stopped,
            StateWord::Completed => Self::Completed,
            StateWord::Crashed => Self::Crashed,
            StateWord::Failed => Self::Failed,
            StateWord::Lost => Self::Lost,
        }
    }
}
