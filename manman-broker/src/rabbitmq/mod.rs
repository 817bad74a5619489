//! The broker over RabbitMQ 3.10 and later.

mod account;
mod address;
mod backend;
mod config;
mod consume;
mod dead;
mod keeper;
mod link;
mod map;
mod publish;
mod settle;
mod tls;
mod topology;
mod translate;

pub use account::HostAccount;
pub use backend::RabbitBroker;
pub use config::{RabbitConfig, Secret, TlsConfig};
