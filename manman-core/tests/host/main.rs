//! Stories of a host manager, told on the memory backends under virtual time.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod clocks;
mod commands;
mod consoles;
mod crashes;
mod disks;
mod ends;
mod engine;
#[path = "../common/gate.rs"]
mod gate;
mod mortal;
mod recovery;
mod standby;
mod starts;
mod stops;
mod sweeps;
mod world;
