//! Start and stop, over and over: nothing is left of it.

use crate::{installation::cycles, support::Installation};

#[test]
fn cycles_leak_nothing() {
    let manman = Installation::up();
    let sgc = manman.deploy_game("cycle", &["--stop", "stop:10s"]);
    let once = || {
        manman.ok(&["start", "cycle"]);
        manman.attempt(sgc);
        manman.ok(&["stop", "cycle"]);
    };
    cycles::leak_nothing(&manman, once, || manman.await_nothing_left());
}
