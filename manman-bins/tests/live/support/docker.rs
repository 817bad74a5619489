//! The engine, asked by its own client: the truth that manman is held against.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::Ran;

/// Runs the client.
pub fn run(args: &[&str]) -> Ran {
    Ran::of(Command::new("docker").args(args))
}

/// Runs the client, which is to succeed, and returns what it printed.
#[track_caller]
pub fn ok(args: &[&str]) -> String {
    let ran = run(args);
    assert_eq!(ran.code, 0, "docker {args:?}: {ran}");
    ran.out.trim().to_owned()
}

/// Runs the client, which is to succeed, and returns the lines it printed.
#[track_caller]
pub fn lines(args: &[&str]) -> Vec<String> {
    ok(args).lines().map(str::to_owned).collect()
}

/// Fails if no engine answers, and says how to start one.
#[track_caller]
pub fn answers() {
    let ran = run(&["info", "-f", "{{.ServerVersion}}"]);
    assert!(
        ran.code == 0 && !ran.out.trim().is_empty(),
        "no Docker Engine answers; ./scripts/docker-up starts one:\n{ran}"
    );
}

/// What the engine says of a container.
#[track_caller]
pub fn inspect(container: &str) -> Value {
    let text = ok(&["inspect", container]);
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

/// The process of a container.
#[track_caller]
pub fn pid(container: &str) -> i64 {
    inspect(container)["State"]["Pid"].as_i64().unwrap()
}

/// Writes a line to the stdin of a container, which ends by it, as somebody else than manman.
#[track_caller]
pub fn say_last(container: &str, line: &str) {
    let mut client = Command::new("docker");
    client.args(["attach", "--sig-proxy=false", container]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut client = client.spawn().unwrap();
    writeln!(client.stdin.take().unwrap(), "{line}").unwrap();
    client.wait().unwrap();
}
