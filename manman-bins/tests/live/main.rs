//! The built program against a real Docker Engine, as an operator uses it.
//!
//! Needs an engine and the images of `scripts/images/all`: `./scripts/test` brings both.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what a failed test shows")]

#[path = "../installation/mod.rs"]
mod installation;
mod support;
#[path = "../terminal/tmux.rs"]
mod tmux;

mod console;
mod cycles;
mod demo;
mod ends;
mod engine;
mod foreign;
mod killed;
mod look;
mod openttd;
mod races;
mod stop;
