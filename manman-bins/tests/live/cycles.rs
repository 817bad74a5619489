//! Start and stop, over and over: nothing is left of it.

use std::{fs, net::TcpListener, time::Duration};

use crate::support::{Installation, scaled, until};

/// Open descriptors and threads of a process, and its memory in KiB.
fn held(pid: u32) -> (usize, usize, usize) {
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    (count("fd"), count("task"), memory.trim().trim_end_matches(" kB").parse().unwrap())
}

/// What so many sessions may add to memory, in KiB: each stays on record in the database's
/// caches for a while, none may keep a task, a ring or a spool.
const MEMORY: usize = 16 << 10;

#[test]
fn cycles_leak_nothing() {
    let manman = Installation::up();
    let config = ["--image", "manman-fixture/testgame:1", "--port", "7777/tcp", "--stop", "stop:10s"];
    manman.deploy("cycle", &config, &["7777/tcp=any:32000-32767"]);
    let deployment = manman.json(&["deployment", "show", "cycle"]);
    let port = u16::try_from(deployment["port_bindings"][0]["host_port"].as_u64().unwrap()).unwrap();
    let once = || {
        manman.ok(&["start", "cycle"]);
        assert!(TcpListener::bind(("0.0.0.0", port)).is_err(), "the game holds its port");
        manman.ok(&["stop", "cycle"]);
        TcpListener::bind(("0.0.0.0", port)).expect("the port is free again");
    };
    // What is made once and kept (connections, threads of pools) is there after these.
    for _ in 0..3 {
        once();
    }
    manman.await_nothing_left();
    let before = held(manman.pid());
    for _ in 0..scaled(10, 1_000) {
        once();
    }
    manman.await_nothing_left();
    until("descriptors and threads are as before", Duration::from_secs(20), || {
        let after = held(manman.pid());
        (after.0 <= before.0 + 4 && after.1 <= before.1 + 4).then_some(())
    });
    let after = held(manman.pid());
    assert!(after.2 <= before.2 + MEMORY, "memory went from {} to {} KiB", before.2, after.2);
}
