//! Applies what hosts report: `event-processor --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    manman_bins::daemon::event_processor()
}
