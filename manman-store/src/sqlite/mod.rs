//! The store over SQLite: one file, one writer, any number of readers.
//!
//! Deeds are `BEGIN IMMEDIATE` transactions on a single writing connection, so they run
//! one after the other; reads go to connections of their own and see what was committed
//! (WAL). Commits are synced (`synchronous=FULL`): what was answered for survives the
//! machine's death, not only ours.

#[macro_use]
#[path = "../sql/again.rs"]
mod again;
mod backend;
#[path = "../sql/commands.rs"]
mod commands;
mod config;
#[path = "../sql/copy.rs"]
pub(crate) mod copy;
#[path = "../sql/deed.rs"]
mod deed;
#[path = "../sql/deployments.rs"]
mod deployments;
mod dialect;
mod examine;
#[path = "../sql/games.rs"]
mod games;
#[path = "../sql/map.rs"]
mod map;
#[path = "../sql/outbox.rs"]
mod outbox;
#[path = "../sql/reports.rs"]
mod reports;
#[path = "../migrate/runner.rs"]
pub(crate) mod runner;
mod schema;
#[path = "../sql/servers.rs"]
mod servers;
#[path = "../sql/sessions.rs"]
mod sessions;
#[path = "../sql/store.rs"]
mod store;
mod tables;
#[path = "../sql/tokens.rs"]
mod tokens;
pub(crate) mod translate;

pub use backend::SqliteStore;
use backend::SqliteStore as SqlStore;
pub use config::{SqliteConfig, writer};
pub use examine::{Examination, Holdings, examine};
