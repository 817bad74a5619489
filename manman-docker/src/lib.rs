//! manman's container runtime over the Docker Engine API.

mod backend;
mod boot;
mod client;
mod command;
mod config;
pub mod console;
mod containers;
mod create;
mod data;
mod engine;
mod events;
mod host;
mod image;
mod inventory;
mod labels;
mod lifecycle;
mod map;
mod names;
mod network;
mod passwd;
mod policy;
mod pool;
mod ports;
mod stuck;
mod subnet;
#[cfg(feature = "live")]
pub mod testkit;
mod translate;

pub use backend::DockerRuntime;
pub use config::DockerConfig;
pub use engine::Engine;
pub use policy::Policy;
pub use subnet::Subnet;
