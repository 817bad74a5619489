//! Stories of the control plane on the in-memory store and broker, under virtual time:
//! hosts are played, everything else is real.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod events;
mod host;
mod inputs;
mod letters;
mod order;
mod relay;
mod requests;
mod silence;
mod starts;
mod world;
