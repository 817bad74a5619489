//! What stands beside each game: two small programs in one, both this same executable.
//!
//! The **supervisor** takes the attempt's lock, starts the **launcher**, writes down whose
//! process that is, and only then tells it to go on; the launcher becomes the game. So a
//! game that lives is always on record, and a supervisor that dies half-way leaves nothing
//! running. Then it waits, keeps the output within its bound, and writes the exit down once
//! nothing of the game is left.

mod descend;
mod launch;
mod output;
mod run;
mod terminal;

use std::{
    ffi::OsString,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::directory::RunDir;

/// The first argument of a process that is a supervisor or launcher.
pub const ARGUMENT: &str = "manman-supervise";
/// The second argument of a supervisor.
pub const RUN: &str = "run";
/// The last argument of a supervisor that has let go of what it inherited.
pub const ALONE: &str = "alone";
/// The second argument of a launcher.
pub const LAUNCH: &str = "launch";

/// Whether this program has asked whether it is a supervisor.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether this program can be its own supervisor.
pub fn is_own() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Stands beside a game if that is what this process was started for: then it returns, once
/// the game has ended, the code to exit with. Otherwise it returns `None` at once.
///
/// Belongs in the first line of `main`, before threads, runtimes and signal handlers.
pub fn supervise() -> Option<ExitCode> {
    ASKED.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let role: OsString = arguments.next().unwrap_or_default();
    let dir = RunDir::new(arguments.next().unwrap_or_default().into());
    Some(match role.to_str() {
        Some(RUN) => {
            let boot = arguments.next().unwrap_or_default();
            if arguments.next().is_none() {
                run::let_go();
            }
            run::main(&dir, &boot.to_string_lossy())
        }
        Some(LAUNCH) => launch::main(&dir),
        _ => ExitCode::from(2),
    })
}
