//! RabbitMQ, against the contract of all brokers; accounts, and a network that fails.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod rabbitmq_support;
mod slow_link;

use rabbitmq_support::{Alone, Ground};

async fn fresh() -> Ground {
    Ground::new()
}

async fn alone() -> Alone {
    Alone::new().await
}

manman_core::broker_conformance!(fresh, outages: alone);
