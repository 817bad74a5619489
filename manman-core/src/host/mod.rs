//! The host manager: runs the games of one machine, and never stands in their way.
//!
//! [`plan`] decides, without I/O, what is to be done next about a session; a
//! [`Manager`] does it, remembers it in its [`journal`] and keeps what games print in its
//! [`spool`]. What runs games, carries messages and knows what is wanted is handed in.

pub mod console;
pub mod journal;
pub mod plan;
pub mod spool;

mod config;
mod event;
mod manager;
mod policy;

pub use config::HostConfig;
pub use event::HostEvent;
pub use manager::{Builder, Manager, join};
pub use policy::StartPolicy;
