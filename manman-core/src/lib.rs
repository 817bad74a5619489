//! Game servers on your own machines: the words, the seams, the decisions, and
//! in-memory backends for all of them. No driver, no SQL and no server is in here.

pub mod blob;
pub mod broker;
pub mod clock;
pub mod console;
pub mod control;
pub mod error;
pub mod hex;
pub mod host;
pub mod id;
pub mod machine;
pub mod memory;
pub mod model;
pub mod processor;
pub mod retry;
pub mod runtime;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod uplink;
pub mod viewing;
mod watched;
pub mod wire;
