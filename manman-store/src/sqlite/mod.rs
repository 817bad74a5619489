//! The store over SQLite: one file, one writer, any number of readers.
//!
//! Deeds are `BEGIN IMMEDIATE` transactions on a single writing connection, so they run
//! one after the other; reads go to connections of their own and see what was committed
//! (WAL). Commits are synced (`synchronous=FULL`): what was answered for survives the
//! machine's death, not only ours.

mod backend;
mod commands;
mod config;
mod deed;
mod deployments;
mod examine;
mod games;
mod map;
mod outbox;
mod reports;
mod servers;
mod sessions;
mod tokens;
pub(crate) mod translate;

pub use backend::SqliteStore;
pub use config::{SqliteConfig, writer};
pub use examine::{Examination, Holdings, examine};
