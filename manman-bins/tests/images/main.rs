//! Container images of the programs, and the compose files that run them.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stderr, reason = "what a failed test shows")]

mod cluster;
mod contents;
#[path = "../installation/mod.rs"]
mod installation;
mod stories;
mod support;
