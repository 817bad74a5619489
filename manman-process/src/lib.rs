//! manman's runtime over plain processes, for machines without a container engine.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use manman_core::{id::{ClusterId, ServerId}, runtime::{Owner, Runtime}};
//! use manman_process::{ProcessConfig, ProcessRuntime};
//!
//! fn main() -> ExitCode {
//!     // The first line: this program is also what stands beside each of its games.
//!     if let Some(code) = manman_process::supervise() {
//!         return code;
//!     }
//!     let owner = Owner { cluster: ClusterId::random(), server: ServerId(1), environment: Default::default() };
//!     let runtime = ProcessRuntime::new(owner, ProcessConfig::new("/var/lib/manman"));
//!     // …
//!     ExitCode::SUCCESS
//! }
//! ```
//!
//! # Who dies, and what becomes of a game
//!
//! A game runs beneath a **supervisor** of its own, a small process without an async
//! runtime, in a session of their own. Its output goes straight into files, its input
//! comes from a FIFO that it holds open itself; neither needs anybody else to live.
//!
//! | what ends | the game | its console | its exit code |
//! |---|---|---|---|
//! | the manager | goes on | goes on; taken up to the byte | kept by the supervisor |
//! | the supervisor | goes on | goes on, no longer trimmed | [`Exit::UNKNOWN`](manman_core::runtime::Exit::UNKNOWN), with the reason |
//! | both | goes on | as above | as above |
//! | the machine | has ended with it | what the disk has of it | unknown, "the machine was restarted while it ran" |
//!
//! With a terminal (`tty`) the supervisor is in the way: what it passes on ends with it,
//! and the game's terminal hangs up.
//!
//! A supervisor is never replaced while its game lives, so managers of several versions
//! meet supervisors of older ones: what they say to each other are files of a version
//! that each of them checks.
//!
//! # What is on the machine
//!
//! Everything is beneath `{data_dir}/process`, for nobody but the manager's user: a
//! directory for each attempt with its plan, its process, its exit, and its output, whose
//! positions are places in the files. What the manager has taken is punched out of them,
//! save for the newest 16 MiB, and so is what exceeds the bound of the engine's log (100 MB
//! unless the config says otherwise), which a reader that was too late sees as a gap. On a
//! file system that cannot punch holes output is kept as a whole, and `engine` says so.
//!
//! # What a process is not
//!
//! - There is one image, [`ImageRef::HOST`](manman_core::model::ImageRef::HOST): the machine
//!   itself. The command is a program of the machine, started in the deployment's directory.
//!   Games share files, ports and network with everything else; what keeps them apart is their user, and nothing does if they have
//!   the same one. As root, manman runs no game as root; as an ordinary user it is the user of
//!   its games, which can reach all that is its own.
//! - Ports cannot be mapped, directories not be mounted elsewhere or read-only: a spec that
//!   asks for it is refused.
//! - Memory, processor and process limits hold where a cgroup (version 2) is delegated to
//!   manman, see [`ProcessConfig::cgroup`]; elsewhere `engine` says that they do not.
//! - `/dev/stdout` and `/dev/stderr` cannot be opened by a game, as under systemd; writing to
//!   the descriptors (`>&2`) is what works everywhere.

mod backend;
mod cgroup;
mod config;
mod console;
mod directory;
mod examine;
mod holes;
mod lifecycle;
mod machine;
mod map;
mod observe;
mod process;
mod readers;
mod record;
mod stats;
mod supervisor;
mod supervisors;
mod translate;
mod watch;

pub use backend::ProcessRuntime;
pub use config::ProcessConfig;
pub use examine::{Attempt, Examination, examine};
pub use supervisor::supervise;
