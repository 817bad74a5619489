//! `logs`, `console`, `send`.

use std::time::Duration;

use clap::Args;

use crate::cli::parse;

/// Print what a game printed: its stdout to stdout, its stderr to stderr.
#[derive(Args, Debug, Default)]
pub struct LogsArgs {
    /// The deployment's name, for its latest session, or a session's id
    #[arg(value_name = "NAME")]
    pub session: String,
    /// Go on until the session has ended
    #[arg(short, long)]
    pub follow: bool,
    /// Begin this many lines before the newest
    #[arg(short = 'n', long = "lines", value_name = "NUMBER")]
    pub lines: Option<u64>,
    /// Begin after this sequence number (as -o json shows them)
    #[arg(long, value_name = "NUMBER", conflicts_with = "lines")]
    pub since_seq: Option<u64>,
    /// Put the time at which it was read before each line
    #[arg(short, long)]
    pub timestamps: bool,
    /// Pass control characters on to the terminal as they are
    #[arg(long)]
    pub raw: bool,
}

/// Follow a game's output and type into its console. Ctrl-D or Ctrl-] leaves; the game goes on.
///
/// Ctrl-C takes away what is being typed, and leaves when that is nothing: it never
/// reaches the game. Lines are edited with the usual keys; up and down bring back earlier
/// ones.
///
/// When stdin is no terminal, each of its lines is sent, and what the game prints is
/// printed until stdin has ended and the game was quiet for a while.
#[derive(Args, Debug)]
pub struct ConsoleArgs {
    /// The deployment's name, or a session's id
    #[arg(value_name = "NAME")]
    pub session: String,
    /// Begin this many lines before the newest [20; 0 when stdin is no terminal]
    #[arg(short = 'n', long = "lines", value_name = "NUMBER")]
    pub lines: Option<u64>,
    /// How long the game has to be quiet after stdin has ended
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "1s")]
    pub wait: Duration,
    /// Pass control characters on to the terminal as they are
    #[arg(long)]
    pub raw: bool,
}

/// Send one line to a game's console and tell what became of it.
#[derive(Args, Debug)]
pub struct SendArgs {
    /// The deployment's name, or a session's id
    #[arg(value_name = "NAME")]
    pub session: String,
    /// The line, without a newline
    #[arg(allow_hyphen_values = true)]
    pub text: String,
}
