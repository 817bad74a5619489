//! `doctor` and `uninstall`.

use std::path::PathBuf;

use clap::Args;

/// Look at an installation without changing it.
#[derive(Args, Debug)]
pub struct LookArgs {
    /// The configuration file (MANMAN_CONFIG; manman.toml in the data directory, if it is there)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What keeps the store, if `manman up` was told with --database (DATABASE_URL)
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}
