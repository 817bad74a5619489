//! manman's container runtime over the Docker Engine API: Docker 20.10 (API 1.41) and
//! later.
//!
//! ```no_run
//! use manman_core::{id::{ClusterId, ServerId}, runtime::{Owner, Runtime}};
//! use manman_docker::{DockerConfig, DockerRuntime};
//!
//! # async fn example() -> manman_core::error::Result<()> {
//! let owner = Owner { cluster: ClusterId::random(), server: ServerId(1), environment: Default::default() };
//! let docker = DockerRuntime::new(owner, DockerConfig::new("/var/lib/manman"))?;
//! for found in docker.list().await?.found {
//!     println!("attempt {} of deployment {}: {:?}", found.run, found.sgc, found.state);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is on the machine
//!
//! - Containers are named `gsc-{environment}-{deployment}-{cluster, 8 digits}`, the lock
//!   on the one that may live; ended ones `…-ended-{session}-{attempt}`. Host name and
//!   network alias are `gsc-{environment}-{deployment}`. A dead container that clings to
//!   its name is reported, and the next one takes `…-2`.
//! - Networks of sessions are named `session-{session}-{cluster, 8 digits}`: engines
//!   resolve a network's name again when they start a container, and two installations
//!   on one engine have sessions of one number.
//! - Directories are `{data_dir}/gsc-{environment}-{deployment}`, each with a marker
//!   `….manman.json` beside it that says whose it is.
//! - All of it carries the labels `manman.type`, `manman.cluster`, `manman.environment`,
//!   `manman.server_id` and, where they apply, `manman.session_id`, `manman.attempt`,
//!   `manman.sgc_id`, `manman.spec`, `manman.created_at`. What carries another cluster or
//!   server, or cannot be read, is told and never touched.

mod backend;
mod boot;
mod client;
mod command;
mod config;
pub mod console;
mod containers;
mod create;
mod engine;
mod events;
mod examine;
mod host;
mod image;
mod import;
mod inventory;
mod labels;
mod lifecycle;
mod map;
mod names;
mod network;
mod passwd;
mod pool;
mod ports;
mod probe;
mod stuck;
mod subnet;
#[cfg(feature = "live")]
pub mod testkit;
mod translate;

pub use backend::DockerRuntime;
pub use config::DockerConfig;
pub use engine::Engine;
pub use examine::{Examination, Thing, examine};
pub use import::import_image;
pub use manman_core::machine::Policy;
pub use subnet::Subnet;
