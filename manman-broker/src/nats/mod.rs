//! The broker over NATS.

mod api;
mod backend;
mod config;
mod consumer;
mod dead;
mod link;
mod live;
mod map;
mod ring;
mod settle;
mod tls;
mod translate;
mod turn;

pub use backend::NatsBroker;
pub use config::{NatsAuth, NatsConfig, Secret};
