//! Stories of the separate programs, on real brokers, PostgreSQL and a real engine.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stderr, reason = "what a failed test shows")]

mod blobs;
mod brokers;
mod certificates;
mod day;
mod faults;
mod hosts;
#[path = "../installation/mod.rs"]
mod installation;
mod letters;
mod managers;
mod mistakes;
mod once;
mod processors;
mod support;
mod typed;
