//! Who dies, and what becomes of a game: the table of the crate's documentation, row by row.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::time::Duration;

use manman_core::{
    console::Channel,
    runtime::{AttemptState, Exit},
    testkit::runtime::{Game, Screen},
};
use support::{Ground, created, ended, game, kill, lives, script, spec, started, until};

const UNSEEN: &str = "nobody saw how it ended: its supervisor was killed before";

#[tokio::test(flavor = "multi_thread")]
async fn a_game_goes_on_without_its_supervisor() {
    let ground = Ground::new();
    let before = ground.runtime();
    let spec = spec(1, 1, game(&Game::Echo));
    started(&before, &spec).await;
    let mut screen = Screen::open(&before, spec.run).await;
    screen.until_line(Channel::Stdout, "ready").await;
    let (pid, supervisor) = (ground.game(spec.run), ground.supervisor(spec.run));
    kill(supervisor);
    until("the supervisor is gone", async || !lives(supervisor)).await;
    screen.say("without a supervisor").await;
    screen.until_line(Channel::Stdout, "without a supervisor").await;

    // The manager too: the next one takes it up where it was.
    drop(before);
    let after = ground.runtime();
    let found = after.inspect(spec.run).await.unwrap().unwrap();
    assert!(matches!(found.state, AttemptState::Running { pid: Some(it), .. } if it == i64::from(pid)));
    let mut screen = screen.by_another(&after).await;
    screen.say("with another manager").await;
    screen.until_line(Channel::Stdout, "with another manager").await;
    screen.say("exit 7").await;
    let exit = ended(&after, spec.run).await;
    assert_eq!((exit.code, exit.error.as_str()), (Exit::UNKNOWN, UNSEEN));
    screen.to_end().await;
    let shown = ["ready", "without a supervisor", "with another manager"];
    assert_eq!(screen.lines(Channel::Stdout), shown);
    assert_eq!(screen.gaps, []);
    after.remove(spec.run).await.unwrap();
    assert!(ground.left().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_without_a_supervisor_stops_with_all_that_it_started() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let child = ground.dir.path().join("child");
    std::fs::write(&child, "").unwrap();
    std::fs::set_permissions(&child, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let text = format!(
        "setsid sleep 3600 & echo $! > {}; trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done",
        child.display()
    );
    let spec = spec(1, 1, script(&text));
    started(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    screen.until_line(Channel::Stdout, "ready").await;
    let child: i32 = std::fs::read_to_string(&child).unwrap().trim().parse().unwrap();
    kill(ground.supervisor(spec.run));
    let exit = runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    assert_eq!((exit.code, exit.error.as_str()), (Exit::UNKNOWN, UNSEEN));
    until("what it started is gone", async || !lives(child)).await;
    screen.to_end().await;
    runtime.remove(spec.run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_game_leaves_behind_ends_with_it() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    // In a session of its own, its parent gone: nobody's, but for the supervisor.
    let go = ground.dir.path().join("go");
    let text = format!(
        "(setsid sh -c 'echo $$; exec sleep 3600' &) ; until [ -e {} ]; do sleep 0.02; done; exit 3",
        go.display()
    );
    let spec = spec(1, 1, script(&text));
    started(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    screen.until(|screen| !screen.lines(Channel::Stdout).is_empty()).await;
    std::fs::write(&go, "").unwrap();
    assert_eq!(ended(&runtime, spec.run).await.code, 3);
    screen.to_end().await;
    let left: i32 = screen.lines(Channel::Stdout)[0].parse().unwrap();
    assert!(!lives(left));
    runtime.remove(spec.run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_machine_took_with_it_is_told() {
    let ground = Ground::new();
    let spec = spec(1, 1, game(&Game::Sleeper));
    let before = ground.runtime();
    started(&before, &spec).await;
    let mut screen = Screen::open(&before, spec.run).await;
    screen.until_line(Channel::Stdout, "ready").await;
    let pid = ground.game(spec.run);
    kill(ground.supervisor(spec.run));
    kill(pid);
    until("all is gone", async || !lives(pid)).await;
    let after = ground.runtime_after_reboot();
    assert_ne!(after.engine().await.unwrap().boot, before.engine().await.unwrap().boot);
    assert!(!after.engine().await.unwrap().survives_restart);
    let exit = ended(&after, spec.run).await;
    assert_eq!((exit.code, exit.error.as_str()), (Exit::UNKNOWN, "the machine was restarted while it ran"));
    let mut screen = screen.by_another(&after).await;
    screen.to_end().await;
    assert_eq!(screen.lines(Channel::Stdout), ["ready"]);
    after.remove(spec.run).await.unwrap();

    // What is begun in this run of the machine is of this one.
    let spec = self::spec(2, 1, game(&Game::Echo));
    started(&after, &spec).await;
    let mut screen = Screen::open(&after, spec.run).await;
    screen.until_line(Channel::Stdout, "ready").await;
    after.kill(spec.run).await.unwrap();
    assert_eq!(ended(&after, spec.run).await.code, 137);
    after.remove(spec.run).await.unwrap();
}

/// Pids come again: one of the last run of the machine is somebody else's in this one.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_another_boot_is_never_signalled() {
    let ground = Ground::new();
    let spec = spec(1, 1, game(&Game::Sleeper));
    let before = ground.runtime();
    started(&before, &spec).await;
    kill(ground.supervisor(spec.run));
    kill(ground.game(spec.run));
    let mut stranger = std::process::Command::new("sleep").arg("3600").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", stranger.id())).unwrap();
    let start: u64 = stat.rsplit_once(") ").unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let record = ground.run(spec.run).join("started.json");
    let mut written: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    written["game"] = serde_json::json!({"pid": stranger.id(), "start": start});
    std::fs::write(&record, written.to_string()).unwrap();

    let after = ground.runtime_after_reboot();
    after.kill(spec.run).await.unwrap();
    assert_eq!(after.stop(spec.run, Duration::ZERO).await.unwrap().code, Exit::UNKNOWN);
    after.retire(spec.run).await.unwrap();
    after.remove(spec.run).await.unwrap();
    assert!(lives(stranger.id() as i32));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// What somebody has left open to the manager, a lock among it, is neither the game's nor its
/// supervisor's: the lock would be held for as long as the game lives.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_left_open_to_the_manager_go_no_further() {
    use rustix::{fs::FlockOperation, io::FdFlags};
    let ground = Ground::new();
    let runtime = ground.runtime();
    let path = ground.dir.path().join("m.lock");
    let file = std::fs::File::create(&path).unwrap();
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    rustix::io::fcntl_setfd(&file, FdFlags::empty()).unwrap();
    let spec = spec(1, 1, game(&Game::Sleeper));
    started(&runtime, &spec).await;
    drop(file);
    // Then its program is loaded, and opens no more files.
    Screen::open(&runtime, spec.run).await.until_line(Channel::Stdout, "ready").await;
    let (game, supervisor) = (ground.game(spec.run), ground.supervisor(spec.run));
    for pid in [game, supervisor] {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let targets: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
        assert!(!targets.contains(&path), "{pid}: {targets:?}");
    }
    assert!(std::fs::read_dir(format!("/proc/{game}/fd")).unwrap().count() == 3);
    // Supervisors of other tests may have it for the moment in which they begin.
    until("the lock is free", async || {
        let file = std::fs::File::open(&path).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    })
    .await;
    assert!(lives(game) && lives(supervisor));
    runtime.kill(spec.run).await.unwrap();
    ended(&runtime, spec.run).await;
    runtime.remove(spec.run).await.unwrap();
}

/// Neither Ctrl-C at manman's terminal nor its end reaches a game.
#[tokio::test(flavor = "multi_thread")]
async fn games_and_supervisors_are_in_sessions_of_their_own() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let text = "grep NoNewPrivs /proc/self/status; exec sleep 3600";
    let spec = spec(1, 1, script(text));
    started(&runtime, &spec).await;
    let (game, supervisor) = (ground.game(spec.run), ground.supervisor(spec.run));
    let session =
        |pid| rustix::process::getsid(rustix::process::Pid::from_raw(pid)).unwrap().as_raw_nonzero().get();
    assert_eq!((session(game), session(supervisor)), (game, supervisor));
    let mut screen = Screen::open(&runtime, spec.run).await;
    screen.until_line(Channel::Stdout, "NoNewPrivs:\t1").await;
    runtime.kill(spec.run).await.unwrap();
    assert_eq!(ended(&runtime, spec.run).await.code, 137);
    runtime.remove(spec.run).await.unwrap();
}

/// A record that was damaged hides its attempt, and no other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_told_and_in_nobodys_way() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let (damaged, other) = (spec(1, 1, game(&Game::Sleeper)), spec(2, 1, game(&Game::Sleeper)));
    created(&runtime, &damaged).await;
    std::fs::write(ground.run(damaged.run).join("exit.json"), "{").unwrap();
    started(&runtime, &other).await;
    let inventory = runtime.list().await.unwrap();
    assert_eq!(inventory.found.iter().map(|found| found.run).collect::<Vec<_>>(), [other.run]);
    assert!(inventory.foreign[0].why.contains("damaged"), "{inventory:?}");
    runtime.kill(other.run).await.unwrap();
    ended(&runtime, other.run).await;
    runtime.remove(other.run).await.unwrap();
}

/// What a crash has left half made or half removed goes with the next attempt.
#[tokio::test(flavor = "multi_thread")]
async fn halves_are_cleared_away() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    for half in [".new-1", ".gone-1"] {
        std::fs::create_dir_all(ground.runs().join(half)).unwrap();
        std::fs::write(ground.runs().join(half).join("plan.json"), "{}").unwrap();
    }
    let spec = spec(1, 1, game(&Game::Sleeper));
    created(&runtime, &spec).await;
    assert_eq!(ground.left().len(), 1, "{:?}", ground.left());
    runtime.remove(spec.run).await.unwrap();
}

/// An environment gives names and no more: who is given another one has the same games.
#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_ours_by_whatever_environment_we_go() {
    let ground = Ground::new();
    let before = ground.runtime();
    let spec =
        spec(1, 1, script("echo kept > kept; trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"));
    started(&before, &spec).await;
    let mut screen = Screen::open(&before, spec.run).await;
    screen.until_line(Channel::Stdout, "ready").await;
    drop(before);
    let environment = "staging".parse().unwrap();
    let after = ground.runtime_of(manman_core::runtime::Owner { environment, ..ground.owner.clone() });
    let inventory = after.list().await.unwrap();
    assert_eq!((inventory.found.len(), inventory.foreign.len()), (1, 0), "{inventory:?}");
    assert!(matches!(inventory.found[0].state, AttemptState::Running { .. }), "{inventory:?}");
    let exit = after.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    assert_eq!(exit.code, 4);
    after.remove(spec.run).await.unwrap();
    assert!(ground.left().is_empty());
    assert!(ground.dir.path().join("gsc-test-1/kept").exists(), "where it was begun");
}

/// What stands beside a game is never replaced while it lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_game_does_not_feel_an_upgrade() {
    let ground = Ground::new();
    let program = ground.dir.path().join("supervisor");
    // By a process of its own: what this one has open for writing, its children have too for a
    // moment, and then it cannot be run.
    let supervisor = env!("CARGO_BIN_EXE_manman-supervisor");
    let copied = std::process::Command::new("cp").arg(supervisor).arg(&program).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let mut config = ground.config();
    config.supervisor = Some(program.clone());
    let before: std::sync::Arc<dyn manman_core::runtime::Runtime> =
        std::sync::Arc::new(manman_process::ProcessRuntime::new(ground.owner.clone(), config).unwrap());
    let spec = spec(1, 1, game(&Game::Echo));
    started(&before, &spec).await;
    let supervisor = ground.supervisor(spec.run);
    drop(before);
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "another version").unwrap();
    let after = ground.runtime();
    let mut screen = Screen::open(&after, spec.run).await;
    screen.until_line(Channel::Stdout, "ready").await;
    assert_eq!(ground.supervisor(spec.run), supervisor);
    screen.say("exit 6").await;
    assert_eq!(ended(&after, spec.run).await.code, 6);
    after.remove(spec.run).await.unwrap();
}

/// Managers look at a lock by taking it; a start must not take that for another supervisor.
#[tokio::test(flavor = "multi_thread")]
async fn starts_succeed_however_often_somebody_looks() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let looks: Vec<_> = (0..4)
        .map(|_| {
            let other = ground.runtime();
            tokio::spawn(async move {
                loop {
                    other.list().await.unwrap();
                }
            })
        })
        .collect();
    for number in 1..=10 {
        let spec = spec(number, 1, script("exit 0"));
        started(&runtime, &spec).await;
        assert_eq!(ended(&runtime, spec.run).await.code, 0);
    }
    looks.iter().for_each(|look| look.abort());
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_at_the_supervisor_do_not_end_the_game() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let spec = spec(1, 1, game(&Game::Echo));
    started(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    screen.until_line(Channel::Stdout, "ready").await;
    let supervisor = rustix::process::Pid::from_raw(ground.supervisor(spec.run)).unwrap();
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        rustix::process::kill_process(supervisor, signal).unwrap();
    }
    screen.say("still here").await;
    screen.until_line(Channel::Stdout, "still here").await;
    screen.say("exit 5").await;
    assert_eq!(ended(&runtime, spec.run).await.code, 5);
    runtime.remove(spec.run).await.unwrap();
}

/// The signal that asks a game to end is not ignored because a supervisor's ways were
/// inherited.
#[tokio::test(flavor = "multi_thread")]
async fn a_game_begins_with_the_signals_as_they_are() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let spec = spec(1, 1, script("grep -E 'Sig(Blk|Ign)' /proc/self/status; exec sleep 3600"));
    started(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    screen.until(|screen| screen.lines(Channel::Stdout).len() == 2).await;
    for line in screen.lines(Channel::Stdout) {
        let signals = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        // Those above 31 are the C library's own affair.
        assert_eq!(signals & 0x7fff_ffff, 0, "{line}");
    }
    let exit = runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    assert_eq!(exit.code, 128 + 15);
    runtime.remove(spec.run).await.unwrap();
}

/// Whoever ignores it is not told how a child has ended; some that start programs do.
#[tokio::test(flavor = "multi_thread")]
async fn an_exit_is_seen_whatever_signals_were_ignored_before() {
    let ground = Ground::new();
    let mut config = ground.config();
    let supervisor = config.supervisor.take().unwrap();
    let ignoring = ground.dir.path().join("ignoring");
    // By another process: nothing here has it open for writing while it is run.
    let make = r#"printf '#!/bin/sh\nexec env --ignore-signal=CHLD %s "$@"\n' "$1" >"$0" && chmod 755 "$0""#;
    let made =
        std::process::Command::new("sh").args(["-c", make]).args([&ignoring, &supervisor]).status().unwrap();
    assert!(made.success());
    config.supervisor = Some(ignoring);
    let runtime = ground.runtime_with(config);
    let spec = spec(1, 1, script("exit 7"));
    started(&runtime, &spec).await;
    assert_eq!(ended(&runtime, spec.run).await.code, 7);
    runtime.remove(spec.run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_of_another_version_is_left_alone() {
    let ground = Ground::new();
    let runtime = ground.runtime();
    let spec = spec(1, 1, game(&Game::Sleeper));
    created(&runtime, &spec).await;
    let plan = ground.run(spec.run).join("plan.json");
    let text = std::fs::read_to_string(&plan).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    std::fs::write(&plan, &text).unwrap();
    let inventory = runtime.list().await.unwrap();
    assert_eq!(inventory.found, []);
    assert!(inventory.foreign[0].why.contains("version 2"), "{inventory:?}");
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), None);
    runtime.remove(spec.run).await.unwrap();
    assert_eq!(std::fs::read_to_string(&plan).unwrap(), text);
}
