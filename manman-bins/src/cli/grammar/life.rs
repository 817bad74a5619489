//! `start`, `stop`, `kill`, `restart`.

use std::time::Duration;

use clap::Args;

use crate::cli::parse;

/// Start a deployment and wait until its game runs.
#[derive(Args, Debug)]
pub struct StartArgs {
    /// The deployment, by name or id
    #[arg(value_name = "NAME")]
    pub deployment: String,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Stop a game and wait until it has ended.
#[derive(Args, Debug)]
pub struct StopArgs {
    /// The deployment's name, or the session's id
    #[arg(value_name = "NAME")]
    pub session: String,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Stop a game and start it again, within the same session.
#[derive(Args, Debug)]
pub struct RestartArgs {
    /// The deployment's name, or the session's id
    #[arg(value_name = "NAME")]
    pub session: String,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// How long to wait for what was asked.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct WaitArgs {
    /// Return as soon as it is asked for
    #[arg(long)]
    pub no_wait: bool,
    /// Stop waiting after this long, with exit code 1; what was asked for goes on
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with = "no_wait")]
    pub timeout: Option<Duration>,
}
