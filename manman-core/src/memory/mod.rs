//! Every seam in memory: for tests, for simulations under virtual time, and for
//! whoever embeds manman without an engine, a broker or a database.

pub mod blob;
pub mod broker;
pub mod runtime;
pub mod store;
pub mod uplink;

pub use blob::MemoryBlobs;
pub use broker::MemoryBroker;
pub use runtime::MemoryRuntime;
pub use store::{MemoryBackup, MemoryStore};
pub use uplink::MemoryUplink;
