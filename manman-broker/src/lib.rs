//! The broker seam of manman over real servers: [RabbitMQ](https://www.rabbitmq.com) (feature
//! `rabbitmq`) and [NATS](https://nats.io) with JetStream (feature `nats`).
//!
//! Both keep the same contract, the one of [`manman_core::broker::Broker`], checked by the
//! same suite.

#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;

#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod bury;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod missed;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod secret;
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
mod tls;
