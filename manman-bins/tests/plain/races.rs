//! Many at once, and the same again: one effect each.

use std::collections::HashSet;

use crate::{
    installation::stories,
    support::{Installation, scaled},
};

#[test]
fn of_two_starts_at_once_one_is_refused_by_name() {
    let manman = Installation::up();
    let sgc = manman.deploy_game("twice", &[]);
    stories::of_two_starts_one_is_refused(&manman, "twice");
    manman.attempt(sgc);
    manman.ok(&["kill", "twice"]);
    manman.await_nothing_left();
}

/// Row 30 of the faults: starts and stops of one deployment race; there is never more than
/// one process.
#[test]
fn starts_and_stops_that_race_leave_one_process_or_none() {
    let manman = Installation::up();
    manman.deploy_game("racer", &[]);
    stories::race(&manman, "racer", scaled(20, 400), || {
        // A shell's children have its mark; two attempts have two.
        let found = manman.processes();
        let live: HashSet<_> = found.iter().filter_map(|found| found.mark.as_deref()).collect();
        assert!(live.len() <= 1, "{found:#?}");
        live.len()
    });
    manman.await_nothing_left();
}
