//! What manman's programs are made of: configuration, composition, the API and its
//! client. The decisions are in `manman-core`; a `main` here only calls.

pub mod api;
pub mod cli;
pub mod compose;
pub mod config;
pub mod daemon;
pub mod demo;
mod files;
pub mod secret;
pub mod telemetry;
pub mod uplink;
