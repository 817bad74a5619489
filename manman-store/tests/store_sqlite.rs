//! The store over SQLite keeps the contract of the seam.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::sync::Arc;

use manman_core::{clock::Clock, store::Store};
use manman_services::place;
use manman_store::{SqliteConfig, SqliteStore};
use tempfile::TempDir;

async fn fresh(clock: Arc<dyn Clock>) -> (Arc<dyn Store>, TempDir) {
    let dir = place("manman-sqlite-");
    let mut config = SqliteConfig::at(dir.path().join("manman.db")).migrated();
    // A crowd waits for its turn on a machine that may stand still for a while.
    config.acquire_timeout_secs = 600;
    let store = SqliteStore::open(&config, clock).await.unwrap();
    (Arc::new(store), dir)
}

manman_core::store_conformance!(fresh);
