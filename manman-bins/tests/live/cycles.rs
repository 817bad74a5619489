//! Start and stop, over and over: nothing is left of it.

use std::{fs, time::Duration};

use crate::support::{Installation, scaled, until};

/// Open descriptors and threads of a process.
fn held(pid: u32) -> (usize, usize) {
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    (count("fd"), count("task"))
}

#[test]
fn cycles_leak_nothing() {
    let manman = Installation::up();
    let config = ["--image", "manman-fixture/testgame:1", "--port", "7777/tcp", "--stop", "stop:10s"];
    manman.deploy("cycle", &config, &["7777/tcp=any:32000-32767"]);
    let once = || {
        manman.ok(&["start", "cycle"]);
        manman.ok(&["stop", "cycle"]);
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
}
