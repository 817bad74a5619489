//! An installation that is not where it usually is, or not what it was when its games began.

use std::process::Command;

use crate::support::{Installation, Ran};

/// The same command without this variable.
fn without(mut command: Command, variable: &str) -> Ran {
    Ran::of(command.env_remove(variable))
}

#[test]
fn a_database_elsewhere_is_asked_by_down_uninstall_and_doctor() {
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/far.db", elsewhere.path().display());
    let mut manman = Installation::told(&[("DATABASE_URL", &url)]);
    let nothing = manman.ok(&["down"]).out;
    assert!(nothing.contains("nothing was ever run"), "{nothing}");
    manman.start();
    let sgc = manman.deploy_game("steady", &[]);
    manman.ok(&["start", "steady"]);
    let attempt = manman.attempt(sgc).directory;
    let attempt = attempt.file_name().unwrap().to_str().unwrap();
    manman.kill_9();

    let left = manman.ok(&["uninstall"]).out;
    assert!(left.contains("steady (session 1)") && left.contains("manman down"), "{left}");
    assert!(left.contains(&format!("rm {}/far.db", elsewhere.path().display())), "{left}");
    assert!(!left.contains(attempt), "said once: {left}");
    let page = manman.run(&["doctor"]).out;
    assert!(page.contains("1 running"), "{page}");

    // Who does not say where it is is not told that all is well.
    let refused = without(manman.client(&["down"]), "DATABASE_URL");
    assert_eq!(refused.code, 78, "{refused}");
    assert!(refused.err.contains("whether a game runs is not known"), "{refused}");
    assert!(refused.err.contains("--database, DATABASE_URL or --config"), "{refused}");
    let left = without(manman.client(&["uninstall"]), "DATABASE_URL").out;
    assert!(left.contains("games (not known: ") && left.contains(attempt), "{left}");
    assert!(!left.contains("none runs"), "{left}");
    let page = without(manman.client(&["doctor"]), "DATABASE_URL");
    assert!(page.code == 1 && page.out.contains("games were run here, and "), "{page}");
    assert!(!manman.processes().is_empty(), "the game goes on");

    let ended = without(manman.client(&["down", "--database", &url]), "DATABASE_URL");
    assert!(ended.code == 0 && ended.out.contains("1 game has ended"), "{ended}");
    manman.await_nothing_left();
    let left = manman.ok(&["uninstall"]).out;
    assert!(left.contains("none runs, and manman does not"), "{left}");
}

#[cfg(feature = "postgres")]
#[test]
fn a_database_on_a_server_is_asked_too() {
    let postgres = manman_services::Postgres::shared();
    let url = postgres.url(&postgres.database());
    let mut manman = Installation::told(&[("DATABASE_URL", &url)]);
    let nothing = manman.ok(&["down"]).out;
    assert!(nothing.contains("nothing was ever run"), "{nothing}");
    manman.start();
    manman.deploy_game("steady", &[]);
    manman.ok(&["start", "steady"]);
    manman.kill_9();
    let left = manman.ok(&["uninstall"]).out;
    assert!(left.contains("steady (session 1)") && left.contains("manman down"), "{left}");
    let page = manman.run(&["doctor"]).out;
    assert!(page.contains("is what this build needs") && page.contains("1 running"), "{page}");
    for shown in [left, page] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    // One that does not answer is no all-clear.
    let away = manman.client(&["uninstall", "--database", "postgres://manman@127.0.0.1:1/x"]);
    let left = without(away, "DATABASE_URL").out;
    assert!(left.contains("games (not known: ") && !left.contains("none runs"), "{left}");

    let ended = manman.ok(&["down"]).out;
    assert!(ended.contains("1 game has ended"), "{ended}");
    manman.await_nothing_left();
    let left = manman.ok(&["uninstall"]).out;
    assert!(left.contains("none runs, and manman does not"), "{left}");
}

#[test]
fn another_environment_has_the_same_games() {
    let mut manman = Installation::new();
    manman.spawn_with(&["--environment", "staging"]);
    let sgc = manman.deploy_game("steady", &["--stop", "stop:10s"]);
    manman.ok(&["start", "steady"]);
    let before = manman.attempt(sgc);
    assert_eq!(manman.interrupt(), 0);

    // What it is called otherwise: the same game goes on.
    manman.start();
    manman.ok(&["send", "steady", "say hello"]);
    let session = manman.session("steady");
    assert_eq!((&session["state"], &session["attempt"]), (&"running".into(), &1.into()), "{session:#}");
    assert_eq!(manman.attempt(sgc).game, before.game);
    assert_eq!(manman.interrupt(), 0);
    assert!(manman.data().join(format!("gsc-staging-{sgc}")).is_dir());

    // Nobody has to say it to end it.
    let ended = manman.ok(&["down"]).out;
    assert!(ended.contains("steady: stopped") && ended.contains("1 game has ended"), "{ended}");
    manman.await_nothing_left();
}
