//! Every way a session ends, told as it was.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    installation::stories::{self, LAST_LINES, reason},
    support::{Installation, is_root, processes::kill},
};

/// An installation, and what `config create` takes for the game of these tests.
fn up() -> (Installation, Vec<String>) {
    let manman = Installation::up_by(LAST_LINES);
    let game = manman.game();
    (manman, game)
}

fn words(game: &[String]) -> Vec<&str> {
    game.iter().map(String::as_str).collect()
}

#[track_caller]
fn fails(manman: &Installation, config: &[&str], ports: &[&str], sentence: &str) -> Value {
    manman.deploy("doomed", config, ports);
    let session = stories::start_fails(manman, "doomed", sentence);
    manman.await_nothing_left();
    session
}

#[test]
fn exit_0_by_itself_is_completed() {
    let (manman, game) = up();
    stories::exit_0_is_completed(&manman, &words(&game));
    manman.await_nothing_left();
}

#[test]
fn exit_42_is_crashed_with_its_last_lines() {
    let (manman, game) = up();
    stories::exit_42_is_crashed(&manman, &words(&game));
    manman.await_nothing_left();
}

#[test]
fn a_game_killed_behind_our_back_is_crashed_by_the_signal() {
    let manman = Installation::up();
    let sgc = manman.deploy_game("victim", &[]);
    manman.ok(&["start", "victim"]);
    kill(manman.attempt(sgc).game);
    let session = manman.await_state("victim", "crashed");
    assert_eq!((&session["exit_code"], &session["reason"]["code"]), (&137.into(), &"killed".into()));
    assert!(reason(&session).contains("signal 9"), "{session:#}");
    manman.await_nothing_left();
}

#[test]
fn a_missing_command_is_named() {
    let config = ["--image", "host", "--entrypoint", "/no/such/program"];
    let session = fails(&Installation::up(), &config, &[], "/no/such/program");
    assert_eq!(session["reason"]["code"], "command_not_found", "{session:#}");
}

#[test]
fn a_command_that_may_not_be_run_is_named() {
    let manman = Installation::up();
    let path = manman.data().join("notes");
    fs::write(&path, "no program\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let path = path.to_str().unwrap();
    let session = fails(&manman, &["--image", "host", "--entrypoint", path], &[], path);
    assert!(reason(&session).contains("it may not be run by the game's user"), "{session:#}");
}

#[test]
fn a_port_held_by_another_program_is_named() {
    let held = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let need = format!("{port}/tcp");
    let config = ["--image", "host", "--entrypoint", "/bin/cat", "--port", &need];
    let session =
        fails(&Installation::up(), &config, &[&format!("{need}={port}")], &format!("port {port}/tcp"));
    // The holder is this very process.
    assert!(reason(&session).contains(&std::process::id().to_string()), "{session:#}");
    assert_eq!(session["reason"]["code"], "port_conflict", "{session:#}");
}

#[test]
fn a_container_image_is_refused_with_the_way_out() {
    let session =
        fails(&Installation::up(), &["--image", "debian:12"], &[], "debian:12 is a container image");
    for way in ["--image host", "--runtime docker"] {
        assert!(reason(&session).contains(way), "{session:#}");
    }
}

#[test]
fn a_mapped_port_is_refused_with_the_way_out() {
    let config = ["--image", "host", "--entrypoint", "/bin/cat", "--port", "7777/udp"];
    let refused = "port 7777/udp of the game is to be 17777 on the machine";
    let session = fails(&Installation::up(), &config, &["7777/udp=17777"], refused);
    assert!(reason(&session).contains("--port 7777/udp=7777"), "{session:#}");
}

#[test]
fn a_user_that_cannot_be_is_refused() {
    let manman = Installation::up();
    let (user, refused) = if is_root() {
        ("0:0", "games are not run as root")
    } else {
        ("4242:4242", "a game can run as 4242:4242 only if manman runs as root")
    };
    let config = ["--image", "host", "--entrypoint", "/bin/cat", "--user", user];
    let session = fails(&manman, &config, &[], refused);
    assert_eq!(session["reason"]["code"], "denied", "{session:#}");
    assert!(!manman.game_directory(1).exists(), "nothing is made for it");
}

#[test]
fn a_directory_of_another_installation_is_left_alone() {
    let manman = Installation::up();
    let theirs = "11111111-2222-4333-8444-555555555555";
    let sgc = manman.deploy("doomed", &["--image", "host", "--entrypoint", "/bin/cat"], &[]);
    let directory = manman.game_directory(sgc);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("world"), "theirs").unwrap();
    let name = directory.file_name().unwrap().to_str().unwrap();
    let marker = format!(r#"{{"cluster":"{theirs}","sgc":{sgc}}}"#);
    fs::write(manman.data().join(format!("{name}.manman.json")), marker).unwrap();
    let session =
        stories::start_fails(&manman, "doomed", &format!("belongs to another installation ({theirs})"));
    assert_eq!(session["reason"]["code"], "data_directory", "{session:#}");
    assert_eq!(fs::read_to_string(directory.join("world")).unwrap(), "theirs");
    manman.await_nothing_left();
}

#[test]
fn a_restart_is_another_attempt_of_the_same_session() {
    let (manman, game) = up();
    stories::restart_is_another_attempt(&manman, &words(&game), |sgc| manman.game_pid(sgc));
    manman.await_nothing_left();
}
