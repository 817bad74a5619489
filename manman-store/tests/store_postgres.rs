//! The store over PostgreSQL keeps the contract of the seam.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use std::sync::Arc;

use manman_core::{clock::Clock, store::Store};
use manman_store::{PostgresConfig, PostgresStore};

async fn fresh(clock: Arc<dyn Clock>) -> (Arc<dyn Store>, ()) {
    let mut config = PostgresConfig::at(common::migrated().await);
    // A crowd waits for its turn on a machine that may stand still for a while.
    config.acquire_timeout_secs = 60;
    let store = PostgresStore::open_by(&config, Some(clock)).await.unwrap();
    (Arc::new(store), ())
}

manman_core::store_conformance!(fresh);
