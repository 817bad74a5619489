//! How games are asked to end, and what `manman up` and `manman down` leave.

use crate::{
    installation::stories,
    support::{GAME, Installation, docker},
};

#[test]
fn a_stop_goes_through_its_steps_then_the_signal_then_the_kill() {
    let manman = Installation::up();
    stories::stop_goes_through_its_plan(&manman, GAME);
    manman.await_nothing_left();
}

#[test]
fn a_kill_overtakes_a_stop() {
    let manman = Installation::up();
    stories::kill_overtakes_stop(&manman, GAME);
    manman.await_nothing_left();
}

#[test]
fn ctrl_c_leaves_games_running_and_down_stops_them() {
    let mut manman = Installation::up();
    let sgc = manman.deploy("steady", GAME, &[]);
    manman.ok(&["start", "steady"]);
    let pid = docker::pid(&manman.container(sgc));

    assert_eq!(manman.interrupt(), 0, "{}", manman.log());
    assert!(manman.log().contains("1 game"), "{}", manman.log());
    assert_eq!(docker::pid(&manman.container(sgc)), pid);

    manman.start();
    assert_eq!(manman.session("steady")["state"], "running");
    assert_eq!(docker::pid(&manman.container(sgc)), pid);

    manman.ok(&["down"]);
    assert_eq!(manman.run(&["server", "list"]).code, 69);
    manman.await_nothing_left();
}

#[test]
fn down_stops_the_games_of_a_dead_manman() {
    let mut manman = Installation::up();
    manman.deploy("orphan", GAME, &[]);
    manman.ok(&["start", "orphan"]);
    manman.kill_9();
    manman.ok(&["down"]);
    manman.await_nothing_left();
    manman.start();
    let session = manman.session("orphan");
    assert_eq!(session["state"], "stopped", "{session:#}");
}

#[test]
fn input_gets_a_receipt() {
    stories::input_gets_a_receipt(&Installation::up(), GAME);
}
