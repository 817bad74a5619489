//! `store …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The store: what the control plane remembers.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Save the store as it is at one moment into a file
    ///
    /// Whoever uses it meanwhile is not held up. The file holds the secrets of the installation.
    #[command(after_help = "Example:\n  manman store backup manman-2026-11-21.backup")]
    Backup {
        /// The file; it is not there yet
        file: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Bring what a backup holds into a store, all of it or nothing
    ///
    /// No process may use the store meanwhile. SQLite and PostgreSQL write the same files. Hosts
    /// that know more than the backup are taken up again when they register.
    #[command(after_help = "Example:\n  manman store restore manman-2026-11-21.backup")]
    Restore {
        /// The file
        file: PathBuf,
        /// Replace all that is in the store
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// Which store.
#[derive(Args, Debug)]
pub struct StoreArgs {
    /// The database (DATABASE_URL; {data}/manman.db unless set)
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}
