//! The backend against a real Docker Engine: the runtime contract, what is more to be
//! known of Docker, and the days on which the engine is away.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod conformance;
mod data;
mod engine_away;
mod engine_facts;
mod faults;
mod lifecycle;
mod network;
mod probes;
mod pull;
mod support;
