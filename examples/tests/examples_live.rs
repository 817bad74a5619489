//! The examples do what they show, against a real Docker Engine.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use manman_core::id::ClusterId;

const SOURCE: &str = include_str!("../src/bin/embed_host.rs");

/// What of the example's installation is at the engine.
fn left(cluster: ClusterId) -> Vec<String> {
    let label = format!("label=manman.cluster={cluster}");
    [&["ps", "-aq", "--filter"][..], &["network", "ls", "-q", "--filter"]]
        .iter()
        .flat_map(|list| {
            let listed = Command::new("docker").args(*list).arg(&label).output().unwrap();
            assert!(listed.status.success(), "no Docker Engine answers; ./scripts/docker-up starts one");
            String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_host_manager_is_embedded_in_40_lines() {
    assert!(SOURCE.lines().count() <= 40);
    let temp = tempfile::tempdir().unwrap();
    let cluster = ClusterId::random();
    let mut program = Command::new(env!("CARGO_BIN_EXE_embed_host"))
        .args(["manman-fixture/testgame:1", &cluster.to_string()])
        .env("TMPDIR", temp.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(events.any(|event| event.contains("Running")), "its event stream says that the game runs");
    assert_eq!(left(cluster).len(), 2, "a container and its network");
    let pid = rustix::process::Pid::from_child(&program);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(events.any(|event| event.contains("Ended")), "and that it has ended");
    events.for_each(drop);
    assert!(program.wait().unwrap().success());
    assert_eq!(left(cluster), Vec::<String>::new());
}
