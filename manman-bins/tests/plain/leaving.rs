//! Whoever gives a command goes away, or manman does: nothing is dropped without a word.

use std::{process::Stdio, time::Duration};

use crate::support::{Installation, until};

#[test]
fn a_down_that_nobody_reads_ends_everything() {
    let mut manman = Installation::up();
    manman.deploy_game("steady", &[]);
    manman.ok(&["start", "steady"]);
    let mut down = manman.client(&["down"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(down.stdout.take());
    let ended = until("it ends", Duration::from_secs(60), || down.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    assert_eq!(manman.await_end(), 0);
    manman.await_nothing_left();
}
