//! The built program with games as plain processes, as an operator uses it: no engine at all.
//!
//! What only root can make (a restart of the machine, a full disk, games of other users) is
//! made where these tests run as root; `./scripts/test` says what was not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what a failed test shows")]

#[path = "../installation/mod.rs"]
mod installation;
mod support;
#[path = "../cli/terminal.rs"]
mod terminal;

mod cycles;
mod day;
mod disk;
mod elsewhere;
mod ends;
mod killed;
mod leaving;
mod machine;
mod orphans;
mod races;
mod runtimes;
mod stop;
mod users;
