//! The store over PostgreSQL (14 and later): many processes on one database.
//!
//! Deeds are `READ COMMITTED` transactions that take locks before they read anything: one
//! server's deeds run one after the other, those of different servers at the same time, and
//! what may touch anything runs alone. Each statement sees all that was committed before
//! it, and whoever could change it waits: so a deed is as it is on SQLite, where one runs
//! after the other, and no deed is undone for having read something old. The locks are
//! advisory, taken in one order: everything, a server, a caller's key, the outbox.
//! What gets into each other's way below them (rows that deeds clear away in passing) the
//! database finds, and the deed is done again.
//!
//! The clock is the database's: the processes may run on machines whose clocks differ.

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
#[path = "../sql/games.rs"]
mod games;
mod lead;
mod lent;
#[path = "../sql/map.rs"]
mod map;
#[path = "../sql/outbox.rs"]
mod outbox;
mod parameters;
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

pub use backend::PostgresStore;
use backend::PostgresStore as SqlStore;
pub use config::{PostgresConfig, pool};
