//! `manman console` in a real terminal.

use std::{path::Path, time::Duration};

use crate::{
    support::{Installation, docker, until},
    tmux::{PROMPT, Tmux},
};

#[test]
fn a_console_outlives_the_death_of_manman_with_what_is_typed() {
    let mut manman = Installation::new(Path::new("/var/run/docker.sock"));
    docker::answers();
    manman.start();
    manman.deploy("chatty", &["--image", "manman-fixture/testgame:1"], &[]);
    manman.ok(&["start", "chatty"]);
    let tmux = Tmux::new(manman.data());
    tmux.types("manman console chatty");
    tmux.press(["Enter"]);
    tmux.until("the console", |screen| screen.ends_with("\n>"));
    tmux.types("err one");
    tmux.press(["Enter"]);
    tmux.until("its answer", |screen| screen.contains("ERR: one\n"));
    tmux.types("err tw");
    tmux.until_bottom("> err tw", 8);

    manman.kill_9();
    tmux.until("it is said", |screen| screen.contains("-- the connection was lost, trying again --\n"));
    tmux.types("o th");
    tmux.until_bottom("> err two th", 12);
    manman.start();
    tmux.until("it is said", |screen| screen.contains("-- connected again --\n"));
    tmux.types("ree");
    tmux.until_bottom("> err two three", 15);
    tmux.press(["Enter"]);
    tmux.until("its answer", |screen| screen.contains("ERR: two three\n"));
    let shown = tmux.screen();
    assert_eq!(shown.matches("ERR: one").count(), 1, "{shown}");

    tmux.press(["C-]"]);
    tmux.until("the shell is back", |screen| screen.ends_with(&format!("\n{PROMPT}")));
    assert!(tmux.shows_cursor());
    assert_eq!(manman.session("chatty")["state"], "running");
    manman.ok(&["down"]);
    until("nothing is left", Duration::from_secs(60), || manman.containers().is_empty().then_some(()));
}
