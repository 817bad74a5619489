//! Whether the ports of a game are free on this machine, and who holds them if not.

mod bind;
mod holder;
#[cfg(test)]
mod tests;

pub use bind::first_held;
pub use holder::port_holder;

use std::net::IpAddr;

use crate::model::PortBinding;

/// Who on this machine holds a port of `address`, or of any address; `None` if it is free.
pub fn held_by(port: &PortBinding, address: Option<IpAddr>) -> Option<String> {
    first_held(&[*port], address).map(|port| port_holder(&port))
}
