//! The program `manman`: its grammar, and the client half of what it does.

mod apply;
mod client;
mod console;
mod doctor;
mod exit;
mod failure;
mod grammar;
mod json;
mod look;
mod output;
mod parse;
mod place;
mod process;
mod store;
mod uninstall;
mod verbs;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod stories;

use std::{ffi::OsString, process::ExitCode, sync::Arc};

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _};
use manman_core::clock::SystemClock;

use client::Client;
pub(crate) use exit::Exit;
use failure::Failure;
use grammar::{Cli, Command, Format};
pub(crate) use output::Looks;
use output::Screen;
pub(crate) use output::harmless;
use place::Place;
use verbs::Context;

use crate::config::Process;

/// Does what the command line of this process says.
pub fn main() -> ExitCode {
    let looks = Looks::of(&Process);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // clap looks whether it is a terminal, and at other variables than we do.
    let colour = if looks.colours { ColorChoice::Auto } else { ColorChoice::Never };
    let parsed = Cli::command().color(colour).try_get_matches_from(&arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &arguments, looks),
    };
    let mut screen = Screen::of_process(cli.common.output, looks);
    let mut exit = Exit::Ok;
    if let Err(failure) = run(cli, &mut screen) {
        failure.show(&mut screen);
        exit = failure.exit();
    }
    // Nobody is left to be shown anything when stderr is gone.
    let _ = screen.wipe();
    exit.into()
}

/// All that can be said to `manman`.
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// What clap has to say: help and version are no failure.
fn refuse(error: &clap::Error, arguments: &[OsString], looks: Looks) -> ExitCode {
    if !error.use_stderr() || !wants_json(arguments) {
        // Nobody is left to be told when the output is gone.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
    }
    let failure = Failure::usage(error.render().to_string().trim_end());
    failure.show(&mut Screen::of_process(Format::Json, looks));
    failure.exit().into()
}

/// Whether a command line that cannot be read asks for JSON.
fn wants_json(arguments: &[OsString]) -> bool {
    let asked = |pair: &[OsString]| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json";
    arguments.windows(2).any(asked)
        || arguments
            .iter()
            .any(|argument| argument == "-ojson" || argument == "-o=json" || argument == "--output=json")
}

/// What to say where no manman is reached: what would be wrong with one too, if anything is.
fn unreached(command: &Command, failure: Failure) -> Failure {
    match command {
        Command::Apply(args) => apply::mistakes(args).unwrap_or(failure),
        _ => failure,
    }
}

fn run(cli: Cli, screen: &mut Screen) -> Result<(), Failure> {
    // These two go on for as long as somebody reads; everything else has an end of its own.
    if !matches!(cli.command, Command::Logs(_) | Command::Console(_)) {
        screen.unread_too();
    }
    match &cli.command {
        Command::Explain { code } => return verbs::explain(screen, code.as_deref()),
        Command::Completions { shell } => return verbs::completions(screen, *shell),
        Command::Doctor(args) => return doctor::doctor(screen, &cli.common, args),
        Command::Uninstall(args) => return uninstall::uninstall(screen, &cli.common, args),
        _ => {}
    }
    if let Command::Store(command) = cli.command {
        return store::run(screen, &cli.common, command);
    }
    if process::is_one(&cli.command) {
        return process::run(screen, &cli.common, cli.command);
    }
    let place = Place::find(&cli.common, &Process)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let own = std::mem::replace(screen, Screen::of_process(cli.common.output, Looks::default()));
    let (shown, done) = runtime.block_on(async {
        let client = match Client::connect(place).await {
            Ok(client) => client,
            Err(failure) => return (own, Err(unreached(&cli.command, failure))),
        };
        let mut context = Context { screen: own, client, clock: Arc::new(SystemClock) };
        let done = verbs::run(&mut context, cli.command).await;
        (context.screen, done)
    });
    *screen = shown;
    done
}
