//! Drives the games of one machine: `host-manager --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The same program stands beside each game that is a plain process.
    manman_process::supervise().unwrap_or_else(manman_bins::daemon::host_manager)
}
