//! Brings the schema of the store to a version: `control-migration --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    manman_bins::daemon::control_migration()
}
