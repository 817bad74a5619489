//! Runs game servers on your own machines: `manman --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    manman_bins::cli::main()
}
