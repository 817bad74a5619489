//! Every way a session ends, told as it was.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    time::Duration,
};

use serde_json::Value;

use crate::{
    installation::stories::{self, LAST_LINES, reason},
    support::{GAME, Installation, docker, until},
};

fn started(name: &str, config: &[&str], ports: &[&str]) -> (Installation, i64) {
    let manman = Installation::up_by(LAST_LINES);
    let sgc = manman.deploy(name, config, ports);
    manman.ok(&["start", name]);
    (manman, sgc)
}

#[track_caller]
fn fails(name: &str, config: &[&str], ports: &[&str], sentence: &str) -> Value {
    let manman = Installation::up();
    manman.deploy(name, config, ports);
    let session = stories::start_fails(&manman, name, sentence);
    manman.await_nothing_left();
    session
}

#[test]
fn exit_0_by_itself_is_completed() {
    let manman = Installation::up();
    stories::exit_0_is_completed(&manman, GAME);
    manman.await_nothing_left();
}

#[test]
fn exit_42_is_crashed_with_its_last_lines() {
    let manman = Installation::up_by(LAST_LINES);
    stories::exit_42_is_crashed(&manman, GAME);
    manman.await_nothing_left();
}

#[test]
fn a_game_killed_behind_our_back_is_crashed() {
    let (manman, sgc) = started("victim", GAME, &[]);
    manman.await_output("victim", "ready for commands");
    docker::ok(&["kill", &manman.container(sgc)]);
    let session = manman.await_state("victim", "crashed");
    assert_eq!(session["exit_code"], 137);
    assert!(!session["last_lines"].as_array().unwrap().is_empty(), "{session:#}");
    manman.await_nothing_left();
}

#[test]
fn a_game_removed_behind_our_back_is_crashed() {
    let (manman, sgc) = started("vanished", GAME, &[]);
    docker::ok(&["rm", "-f", &manman.container(sgc)]);
    let session = manman.await_state("vanished", "crashed");
    assert!(reason(&session).contains("removed"), "{session:#}");
    manman.await_nothing_left();
}

#[test]
fn out_of_memory_is_said() {
    let eater = ["--image", "manman-fixture/testgame:1", "--memory", "24MiB"];
    let (manman, _) = started("eater", &eater, &[]);
    let eats = || {
        manman.ok(&["send", "eater", "mem 200"]);
        let session = until("the eater ends", Duration::from_secs(60), || {
            let session = manman.session("eater");
            (!session["ended_at"].is_null()).then_some(session)
        });
        assert_eq!(
            (&session["state"], &session["exit_code"]),
            (&"crashed".into(), &137.into()),
            "{session:#}"
        );
        session
    };
    let mut session = eats();
    // Docker 20.10 hears of the exit and of the memory apart, and says that it was the memory only
    // where it hears of that first; nearly always it does.
    for _ in 0..4 {
        if session["out_of_memory"] == true {
            break;
        }
        assert!(reason(&session).contains("signal 9"), "{session:#}");
        manman.ok(&["start", "eater"]);
        session = eats();
    }
    assert_eq!(session["out_of_memory"], true, "{session:#}");
    assert!(reason(&session).contains("memory"), "{session:#}");
    manman.await_nothing_left();
}

/// A registry that has nothing; the engine takes one on this machine without encryption.
fn empty_registry() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = asked.next().unwrap_or_default();
            let _ = asked.find(String::is_empty);
            let (status, body) = if first.contains(" /v2/ ") {
                ("200 OK", "{}")
            } else {
                ("404 Not Found", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    port
}

#[test]
fn a_missing_image_is_named() {
    let image = format!("127.0.0.1:{}/no-such-image:1", empty_registry());
    let session = fails("imageless", &["--image", &image], &[], &image);
    assert_eq!(session["reason"]["code"], "image_not_found", "{session:#}");
}

#[test]
fn a_missing_command_is_named() {
    let config = ["--image", "manman-fixture/busybox:1", "--", "/no/such/program"];
    fails("commandless", &config, &[], "/no/such/program");
}

#[test]
fn a_port_held_by_somebody_else_is_named() {
    let held = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let config = [GAME, &["--port", "7777/tcp"]].concat();
    let session = fails("portless", &config, &[&format!("7777/tcp={port}")], &format!("port {port}/tcp"));
    // The holder is this very process.
    assert!(reason(&session).contains(&std::process::id().to_string()), "{session:#}");
}

#[test]
fn a_restart_is_another_attempt_of_the_same_session() {
    let manman = Installation::up();
    stories::restart_is_another_attempt(&manman, GAME, |sgc| docker::pid(&manman.container(sgc)));
    manman.await_nothing_left();
}
