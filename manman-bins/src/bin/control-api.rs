//! Serves the API of a control plane: `control-api --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    manman_bins::daemon::control_api()
}
