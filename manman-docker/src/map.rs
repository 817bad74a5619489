//! Our types to the engine's and back.

mod create;
mod look;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use create::{Place, create_body};
pub(crate) use look::{engine, last_exit, name, ports, state, state_of_summary, stats};
