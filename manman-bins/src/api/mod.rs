//! The gRPC API: its definition, its errors, who may call it, and the server.

pub mod auth;
pub mod codec;
mod connect;
pub mod convert;
pub mod dial;
pub mod encryption;
pub mod errors;
pub mod gate;
pub mod hosts;
mod lasting;
pub mod listen;
pub mod listener;
pub(crate) mod near;
mod page;
mod permit;
pub mod serve;
pub mod service;
mod strict;
pub mod tls;
pub mod token;

pub use auth::{AnyOf, Authenticator, Caller, Local, Recorded};
pub use connect::connect;
pub use hosts::Hosts;
pub use serve::ApiServer;
pub use service::Api;
pub use token::Token;

/// The API's messages, client and server, generated from `proto/manman/v1/api.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; what needs words has them in the .proto"
)]
pub mod v1 {
    tonic::include_proto!("manman.v1");

    /// The definition, as reflection serves it.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manman.bin"));
}
