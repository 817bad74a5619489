//! `token …`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use manman_core::{id::TokenId, model::Name};

use crate::cli::parse;

/// Tokens: who may call, and as what.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, once
    ///
    /// manman keeps only its digest: a token that is lost is revoked, and another one made.
    #[command(
        after_help = "Examples:\n  manman token create ci --role operator --valid-for 90d\n  manman token create attic --join --server attic"
    )]
    Create(TokenCreate),
    /// List tokens, those included that are not valid any more
    #[command(visible_alias = "ls")]
    List,
    /// End a token here and now
    #[command(after_help = "Example:\n  manman token revoke 7")]
    Revoke {
        /// Its id
        token: TokenId,
    },
}

/// A token to be.
#[derive(Args, Debug)]
pub struct TokenCreate {
    /// What to call it; shown as the actor of what its holder does
    pub name: Name,
    /// What its holder may do
    #[arg(long, value_name = "ROLE", value_enum, default_value_t, conflicts_with = "join")]
    pub role: RoleWord,
    /// It makes one machine a host, once: what JOIN_TOKEN takes
    #[arg(long)]
    pub join: bool,
    /// The machine must have this name
    #[arg(long, value_name = "NAME", requires = "join")]
    pub server: Option<Name>,
    /// How long it is good for, such as 90d; for ever unless said, an hour for --join
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub valid_for: Option<Duration>,
    /// Write it into this file, for its owner alone, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

/// What the holder of a token may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RoleWord {
    /// Everything
    Admin,
    /// Run games: everything but tokens, dead letters, and the end of processes and servers
    #[default]
    Operator,
    /// Look on
    Viewer,
}
