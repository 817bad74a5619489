//! The store in memory keeps the contract of the seam.

use std::sync::Arc;

use manman_core::{clock::Clock, memory::MemoryStore, store::Store};

async fn fresh(clock: Arc<dyn Clock>) -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::new(clock)), ())
}

manman_core::store_conformance!(fresh);
