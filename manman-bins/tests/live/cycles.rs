//! Start and stop, over and over: nothing is left of it.

use std::net::TcpListener;

use crate::{
    installation::cycles,
    support::{GAME, Installation},
};

#[test]
fn cycles_leak_nothing() {
    let manman = Installation::up();
    let config = [GAME, &["--port", "7777/tcp", "--stop", "stop:10s"]].concat();
    let port = manman_services::free_port();
    manman.deploy("cycle", &config, &[&format!("7777/tcp={port}")]);
    let once = || {
        manman.ok(&["start", "cycle"]);
        assert!(TcpListener::bind(("0.0.0.0", port)).is_err(), "the game holds its port");
        manman.ok(&["stop", "cycle"]);
        TcpListener::bind(("0.0.0.0", port)).expect("the port is free again");
    };
    cycles::leak_nothing(&manman, once, || manman.await_nothing_left());
}
