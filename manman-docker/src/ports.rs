//! Whether the ports of a game are free on this machine, and who holds them if not.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use manman_core::model::{PortBinding, Protocol};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt},
};

/// The first of `ports` that somebody on this machine holds. Tried on `address`, or on
/// all of them.
///
/// What cannot be tried (a low port without the right to it, no IPv6) counts as free:
/// the engine has the last word.
pub(crate) fn first_held(ports: &[PortBinding], address: Option<IpAddr>) -> Option<PortBinding> {
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

/// The process that holds a port of this machine, as far as /proc shows it:
/// `nginx (pid 42)`.
pub(crate) fn holder(port: &PortBinding) -> Option<String> {
    let inodes = inodes(port);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let holds =
            open.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| is_one_of(&target, &inodes));
        let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        holds.then(|| format!("{} (pid {pid})", name().trim()))
    })
}

fn is_one_of(target: &Path, inodes: &[u64]) -> bool {
    let inode =
        target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
    inode.is_some_and(|inode| inodes.contains(&inode))
}

/// The inodes of the sockets bound to a port.
fn inodes(port: &PortBinding) -> Vec<u64> {
    let files = match port.protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let tables = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    tables.flat_map(|table| inodes_in(&table, port.host_port.get())).collect()
}

/// Reads the kernel's table (proc(5)): column 1 is `address:port` in hex, column 9 the inode.
fn inodes_in(table: &str, port: u16) -> Vec<u64> {
    let lines = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    lines
        .filter(|columns| {
            let local = columns.get(1).and_then(|local| local.rsplit_once(':'));
            local.is_some_and(|(_, number)| u16::from_str_radix(number, 16) == Ok(port))
        })
        .filter_map(|columns| columns.get(9)?.parse().ok())
        .filter(|&inode| inode != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn port(number: u16, protocol: Protocol) -> PortBinding {
        let number = i64::from(number).try_into().unwrap();
        PortBinding { container_port: number, host_port: number, protocol }
    }

    #[test]
    fn a_port_in_use_is_found_with_its_holder() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        let ports = [
            port(tcp.local_addr().unwrap().port(), Protocol::Tcp),
            port(udp.local_addr().unwrap().port(), Protocol::Udp),
        ];
        for held in ports {
            assert_eq!(first_held(&[held], None), Some(held));
            let holder = holder(&held).unwrap();
            assert!(holder.ends_with(&format!("(pid {})", std::process::id())), "{holder}");
        }
        let elsewhere = Some("127.0.0.2".parse().unwrap());
        assert_eq!(first_held(&ports[..1], elsewhere), None, "held on another address only");
    }

    #[test]
    fn a_port_that_was_given_up_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        // The side that closes first keeps the port in TIME_WAIT.
        drop(listener.accept().unwrap());
        drop((client, listener));
        assert_eq!(first_held(&[port(address.port(), Protocol::Tcp)], None), None);
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1E61 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0\n\
             1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0 100 0\n";
        assert_eq!(inodes_in(table, 7777), [4242]);
        assert!(inodes_in(table, 80).is_empty());
    }
}
