//! Consoles of hosts on other machines, told on the memory backends under virtual time:
//! whoever looks through the broker sees what whoever looks at the host itself sees.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic here is a failed test")]

mod alike;
#[path = "../common/mod.rs"]
mod common;
mod figures;
mod garbage;
mod stage;
mod stories;
mod storms;
#[path = "../host/world.rs"]
mod world;
