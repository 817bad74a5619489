//! How games are asked to end, and what Ctrl-C and `manman down` leave.

use std::time::Duration;

use crate::{
    installation::{
        self,
        flood::{Console, assert_whole, endless, numbered, written},
        stories,
    },
    support::{Installation, processes, until},
};

/// Tells one of the stories that are the same whatever runs the games.
fn told(story: impl Fn(&installation::Installation, &[&str])) {
    let manman = Installation::up();
    let game = manman.game();
    story(&manman, &game.iter().map(String::as_str).collect::<Vec<_>>());
    manman.await_nothing_left();
}

#[test]
fn a_stop_goes_through_its_steps_then_the_signal_then_the_kill() {
    told(stories::stop_goes_through_its_plan);
}

#[test]
fn a_kill_overtakes_a_stop() {
    told(stories::kill_overtakes_stop);
}

#[test]
fn input_gets_a_receipt() {
    told(stories::input_gets_a_receipt);
}

#[test]
fn ctrl_c_leaves_games_running_and_their_lines_are_kept() {
    let mut manman = Installation::up();
    let sgc = manman.deploy_flooder("steady", &endless("numbered", 2_000));
    manman.ok(&["start", "steady"]);
    let pid = manman.attempt(sgc).game;

    assert_eq!(manman.interrupt(), 0, "{}", manman.log());
    assert!(manman.log().contains("1 game"), "{}", manman.log());
    let printed = || std::fs::metadata(manman.attempt(sgc).directory.join("stdout")).unwrap().len();
    let before = printed();
    until("it prints on", Duration::from_secs(60), || (printed() > before + 65_000).then_some(()));
    assert_eq!(manman.attempt(sgc).game, pid);

    manman.start();
    assert_eq!(manman.session("steady")["state"], "running");
    until("its console takes input", Duration::from_secs(60), || {
        (manman.run(&["send", "steady", "count"]).code == 0).then_some(())
    });
    assert_eq!(manman.attempt(sgc).game, pid);
    manman.ok(&["send", "steady", "quit"]);
    manman.await_state("steady", "completed");
    let console = Console::of(&manman, "steady");
    assert_eq!(assert_whole(&console, numbered), written(&console));
    manman.await_nothing_left();
}

/// Starts and leaves what a game may: in a session of its own, twice forked, without its
/// environment.
const BREEDER: &str = "setsid sleep 86401@ & (setsid sh -c 'sleep 86402@ & sleep 86403@ &' &)
    (sleep 86404@ &) ; env -i setsid sleep 86405@ & while :; do read -r _; done";

/// An installation whose game has left processes behind.
struct Bred {
    manman: Installation,
    sgc: i64,
    /// What only its processes have in their words.
    mark: String,
}

impl Bred {
    fn new() -> Self {
        let manman = Installation::up();
        let mark = format!(".{}", manman.pid());
        let sgc = manman.deploy_script("breeder", &BREEDER.replace('@', &mark), &["--stop-grace", "1s"]);
        manman.ok(&["start", "breeder"]);
        let bred = Self { manman, sgc, mark };
        until("all of it runs", Duration::from_secs(60), || (bred.strays() == 5).then_some(()));
        bred
    }

    /// How many of those that it has left live.
    fn strays(&self) -> usize {
        processes::count(|words| words.starts_with("sleep 8640") && words.trim_end().ends_with(&self.mark))
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        assert_eq!((self.manman.left(), self.strays()), (vec![], 0));
        // A supervisor ends after it has written down how its game did.
        self.manman.await_nothing_left();
    }
}

#[test]
fn what_a_game_has_started_ends_with_its_stop() {
    let bred = Bred::new();
    bred.manman.ok(&["stop", "breeder"]);
    assert_eq!(bred.strays(), 0);
    bred.manman.await_nothing_left();
}

#[test]
fn what_a_game_has_started_ends_with_it() {
    let bred = Bred::new();
    processes::kill(bred.manman.attempt(bred.sgc).game);
    bred.manman.await_state("breeder", "crashed");
    assert_eq!(bred.strays(), 0);
    bred.manman.await_nothing_left();
}

#[test]
fn down_leaves_nothing() {
    let bred = Bred::new();
    bred.manman.ok(&["down"]);
    assert_eq!(bred.manman.run(&["server", "list"]).code, 69);
    bred.assert_nothing_left();
}

#[test]
fn down_leaves_nothing_where_no_manman_runs() {
    let mut bred = Bred::new();
    bred.manman.kill_9();
    bred.manman.ok(&["down"]);
    bred.assert_nothing_left();
    bred.manman.start();
    let session = bred.manman.session("breeder");
    assert_eq!(session["state"], "stopped", "{session:#}");
}

#[test]
fn down_kills_where_it_is_told_to() {
    let manman = Installation::up();
    manman.deploy_game("stubborn", &["--stop", "say wait:1h"]);
    manman.ok(&["start", "stubborn"]);
    let ran = manman.ok(&["down", "--kill"]);
    assert!(format!("{}{}", ran.out, ran.err).contains("stubborn: killing session 1"), "{ran}");
    assert!(manman.left().is_empty(), "{:?}", manman.left());
    manman.await_nothing_left();
}
