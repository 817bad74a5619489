//! Whether a port can be had, by trying.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::{PortBinding, Protocol};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt},
};

/// The first of `ports` that somebody on this machine holds. Tried on `address`, or on
/// all of them.
///
/// What cannot be tried (a low port without the right to it, no IPv6) counts as free:
/// the engine has the last word.
pub fn first_held(ports: &[PortBinding], address: Option<IpAddr>) -> Option<PortBinding> {
    let addresses = match address {
        Some(address) => vec![address],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    let held = |port: &&PortBinding| {
        addresses.iter().any(|&address| {
            let place = SocketAddr::new(address, port.host_port.get());
            matches!(try_bind(place, port.protocol), Err(Errno::ADDRINUSE))
        })
    };
    ports.iter().find(held).copied()
}

/// Binds without listening, so that no client is ever answered by us.
fn try_bind(place: SocketAddr, protocol: Protocol) -> Result<(), Errno> {
    let family = if place.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    if kind == SocketType::STREAM {
        // As whoever listens there does it: connections that linger after their end do
        // not count.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if place.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &place)
}
