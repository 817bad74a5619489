//! The control plane's decisions: thin ones, over the store's whole deeds.
//!
//! [`Control`] is what an API serves and what a program that embeds a control plane calls.
//! [`ControlUplink`] is what its hosts ask. What moves by itself (reports, messages that
//! leave, time that passes) is the [`processor`](crate::processor)'s.

mod config;
mod uplink;

pub use config::ControlConfig;
pub use uplink::ControlUplink;
