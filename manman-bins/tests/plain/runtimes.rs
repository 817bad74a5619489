//! What runs the games is chosen once, said, and kept to.

use std::time::Duration;

use crate::support::{Installation, until};

/// What `manman up` says of its runtime, the last time it did.
fn said(manman: &Installation) -> String {
    let log = manman.log();
    log.lines().rev().find(|line| line.starts_with("  runtime  ")).unwrap_or_default().to_owned()
}

#[test]
fn without_docker_processes_are_chosen_said_and_kept_to() {
    let mut manman = Installation::untold();
    manman.start();
    let first = said(&manman);
    let why = "  runtime  process (no Docker answers at /nonexistent/docker.sock: ";
    assert!(first.starts_with(why) && first.contains("`--runtime docker` waits for it"), "{first}");
    assert_eq!(manman.interrupt(), 0);
    manman.start();
    assert_eq!(said(&manman), "  runtime  process (as before)");
}

#[test]
fn another_runtime_has_to_wait_for_the_end_of_the_games() {
    let mut manman = Installation::up();
    assert_eq!(said(&manman), "  runtime  process (as asked)");
    manman.deploy_game("steady", &[]);
    manman.ok(&["start", "steady"]);
    assert_eq!(manman.interrupt(), 0);

    let refused = manman.run(&["up", "--runtime", "docker"]);
    assert_eq!(refused.code, 78, "{refused}");
    for said in [
        "1 session of this installation is run by the runtime process, and docker is asked for",
        "go on with --runtime process, or end the games first with `manman down`",
    ] {
        assert!(refused.err.contains(said), "{refused}");
    }
    assert!(!manman.processes().is_empty(), "the game goes on");

    manman.ok(&["down"]);
    manman.await_nothing_left();
    manman.spawn_with(&["--runtime", "docker"]);
    let waits = "  engine   not reachable yet, retrying: /nonexistent/docker.sock: ";
    until("it is said that it waits", Duration::from_secs(60), || manman.log().contains(waits).then_some(()));
    assert_eq!(said(&manman), "  runtime  docker (as asked)");
    assert_eq!(manman.interrupt(), 0);
}
