//! Whom manman and its games run as.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    time::Duration,
};

use crate::support::{Installation, can_make, fixtures, is_root, until};

/// An ordinary user, where this process can be any.
const ORDINARY: u32 = 1000;

/// Five times the 3 s in which the demo is promised to show its first line.
const FIRST_LINE_WITHIN: Duration = Duration::from_secs(15);

/// An installation that is run by an ordinary user, and who that is.
fn by_an_ordinary_user() -> (Installation, u32) {
    let mut manman = Installation::new();
    if !is_root() {
        return (manman, rustix::process::geteuid().as_raw());
    }
    chown(manman.data(), Some(ORDINARY), Some(ORDINARY)).unwrap();
    let program = fixtures::copy(Path::new(env!("CARGO_BIN_EXE_manman")), manman.data());
    let words = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"].map(OsStr::new);
    manman.run_by(&[&words[..], &[program.as_os_str()]].concat());
    (manman, ORDINARY)
}

/// The user of a process.
fn user(pid: i32) -> u32 {
    fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

#[test]
fn an_ordinary_user_plays_the_demo() {
    let (mut manman, ordinary) = by_an_ordinary_user();
    manman.spawn_with(&["--demo"]);
    let line = "demo | ready; commands: ";
    until(line, FIRST_LINE_WITHIN, || manman.log().contains(line).then_some(()));
    assert_eq!(user(manman.attempt(1).game), ordinary);
    manman.ok(&["send", "demo", "say hello"]);
    until("the village answers", Duration::from_secs(60), || {
        manman.ok(&["logs", "demo", "--raw"]).out.contains("<server> hello\n").then_some(())
    });
    manman.ok(&["down"]);
    manman.await_nothing_left();
    let world = manman.game_directory(1).join("village.save");
    assert_eq!(fs::metadata(world).unwrap().uid(), ordinary);
}

#[test]
fn root_runs_games_as_somebody_else() {
    if !can_make("games of other users") {
        return;
    }
    let manman = Installation::up();
    for (name, config, (uid, group)) in [
        ("anybody", &[][..], (65534, 65534)),
        ("somebody", &["--user", "4242:4243"], (4242, 4243)),
        ("alone", &["--user", "4244"], (4244, 4244)),
    ] {
        let script = "id -u; id -g; id -G; echo kept > world; while :; do read -r _; done";
        let sgc = manman.deploy_script(name, script, config);
        manman.ok(&["start", name]);
        assert_eq!(user(manman.attempt(sgc).game), uid);
        let world = manman.game_directory(sgc).join("world");
        until("its world", Duration::from_secs(60), || world.exists().then_some(()));
        let world = fs::metadata(manman.game_directory(sgc)).unwrap();
        assert_eq!((world.uid(), world.gid()), (uid, group));
        let (mut logs, whole) = (String::new(), format!("{uid}\n{group}\n{group}\n"));
        // The world is there before the manager has read what was printed.
        until("three lines", Duration::from_secs(60), || {
            logs = manman.ok(&["logs", name, "--raw"]).out;
            (logs.lines().count() >= 3).then_some(())
        });
        assert_eq!(logs, whole, "no further groups");
        manman.ok(&["kill", name]);
    }
    manman.await_nothing_left();
}
