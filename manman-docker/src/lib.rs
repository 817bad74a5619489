//! manman's container runtime over the Docker Engine API.

pub mod console;
mod engine;

pub use engine::Engine;
