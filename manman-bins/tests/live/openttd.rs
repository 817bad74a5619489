//! A game that others made, from deployment to the next session.

use std::{net::UdpSocket, time::Duration};

use crate::support::{Installation, until};

const CONFIG: &[&str] = &[
    "--image",
    "manman-fixture/openttd:1",
    "--data-path",
    "/data",
    "--port",
    "3979/tcp",
    "--port",
    "3979/udp",
    "--stop",
    "save world:2s",
    "--stop",
    "quit:20s",
];

/// Asks a server on this machine who it is, as the game's own clients do in a local network
/// (packet type 0 of its UDP protocol; the answer is of type 1).
fn answers_its_protocol(port: u16) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let _ = socket.send_to(&[3, 0, 0], ("127.0.0.1", port));
    let mut reply = [0; 1500];
    matches!(socket.recv(&mut reply), Ok(n) if n >= 3 && reply[2] == 1)
}

/// A setting of the world that is being played.
fn trains(manman: &Installation) -> Option<u32> {
    let reply = manman.typed("hill", "setting vehicle.max_trains").out;
    reply.split("is '").nth(1)?.split('\'').next()?.parse().ok()
}

#[test]
fn a_third_partys_game_is_played_stopped_and_found_again() {
    let manman = Installation::up();
    let port = manman_services::free_port();
    let ports = [format!("3979/tcp={port}"), format!("3979/udp={port}")];
    let sgc = manman.deploy("hill", CONFIG, &ports.each_ref().map(String::as_str));

    manman.ok(&["start", "hill"]);
    until("it answers its own protocol", Duration::from_secs(60), || {
        answers_its_protocol(port).then_some(())
    });

    // Its replies come on stdout, its log on stderr.
    let reply = manman.typed("hill", "server_info");
    assert!(reply.out.contains("Current/maximum clients"), "{reply}");
    assert!(!reply.err.contains("Current/maximum clients"), "{reply}");
    // Kept in the save, and nowhere else.
    assert_eq!(trains(&manman), Some(500));
    manman.typed("hill", "setting vehicle.max_trains 77");
    assert_eq!(trains(&manman), Some(77));

    let stopped = manman.json(&["stop", "hill"]);
    let session = stopped.get("session").unwrap_or(&stopped);
    assert_eq!(session["state"], "stopped", "{stopped:#}");
    assert_eq!(session["exit_code"], 0, "{stopped:#}");
    assert_eq!(session["reason"]["code"], "asked", "{stopped:#}");
    let save = manman.game_directory(sgc).join("save/world.sav");
    assert!(save.exists(), "{} is missing", save.display());
    manman.await_nothing_left();

    // The console is kept when the container is gone.
    let kept = manman.ok(&["logs", "hill", "--raw"]);
    assert!(kept.out.contains("Map successfully saved"), "{kept}");

    manman.ok(&["start", "hill"]);
    until("it answers again", Duration::from_secs(60), || answers_its_protocol(port).then_some(()));
    assert_eq!(trains(&manman), Some(500), "a new world");
    manman.typed("hill", "load world");
    until("the world of the last session is loaded", Duration::from_secs(60), || {
        (trains(&manman) == Some(77)).then_some(())
    });
    manman.ok(&["kill", "hill"]);
    manman.await_nothing_left();
}
