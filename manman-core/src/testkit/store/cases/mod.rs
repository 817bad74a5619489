//! The cases, each with the words of the contract that it holds a store to.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

pub mod cluster;
pub mod commands;
pub mod deployments;
pub mod games;
pub mod keys;
pub mod outbox;
pub mod races;
pub mod reports;
pub mod servers;
pub mod sessions;
pub mod tokens;
pub mod wants;

use super::ground;
