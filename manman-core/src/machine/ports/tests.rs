//! Ports of this machine, held and given up.

use std::net::{TcpListener, UdpSocket};

use crate::model::{PortBinding, Protocol};

use super::{first_held, held_by, port_holder};

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
        assert_eq!(held_by(&held, None), Some(port_holder(&held)));
        let holder = port_holder(&held);
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
