//! The cases, by what they are about. Each quotes its clause of the contract.

pub mod bounds;
pub mod listening;
pub mod outages;
pub mod queues;
pub mod routing;
pub mod trouble;
