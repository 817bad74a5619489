//! The supervisor as a program of its own, for hosts whose `main` is not theirs to change:
//! `ProcessConfig::supervisor` names it.

use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    manman_process::supervise().unwrap_or_else(|| {
        let _ = writeln!(std::io::stderr(), "manman runs this beside each game; it does nothing by itself");
        ExitCode::from(2)
    })
}
