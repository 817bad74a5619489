//! The machine is restarted under a running game: manman lives through it in a mount namespace
//! in which the kernel's word for this run of the machine is another one each time.

use std::{ffi::OsStr, fs, time::Duration};

use crate::{
    installation::{
        flood::{Console, assert_whole, endless, numbered},
        stories::reason,
    },
    support::{Installation, can_make, processes::kill, until},
};

/// Runs manman as if this run of the machine was called so.
fn boot(manman: &mut Installation, id: &str) {
    let path = manman.data().join("boot_id");
    fs::write(&path, format!("{id}\n")).unwrap();
    let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
    let words = ["unshare", "-m", "/bin/sh", "-c", script].map(OsStr::new);
    let program = OsStr::new(env!("CARGO_BIN_EXE_manman"));
    manman.run_by(&[&words[..], &[path.as_os_str(), program]].concat());
}

/// Ends all of it at once, as a power cut does.
fn cut_the_power(manman: &mut Installation) {
    manman.end();
    until("nothing of it runs", Duration::from_secs(60), || {
        let mut left = manman.processes();
        // Supervisors first: none is to see the end of its game.
        left.sort_by_key(|found| found.mark.is_some());
        left.iter().for_each(|found| kill(found.pid));
        left.is_empty().then_some(())
    });
}

#[test]
fn a_restart_of_the_machine_is_told_and_the_console_is_whole() {
    if !can_make("a restart of the machine") {
        return;
    }
    let mut manman = Installation::new();
    boot(&mut manman, "11111111-1111-4111-8111-111111111111");
    manman.start();
    manman.deploy_flooder("flood", &endless("numbered", 2_000));
    manman.ok(&["start", "flood"]);
    let floods = |manman: &Installation| {
        // Its last line may be of either stream, and shows on the same one of ours.
        let last = manman.ok(&["logs", "flood", "-n", "1", "--raw"]);
        (last.out.starts_with("out ") || last.err.starts_with("err ")).then_some(())
    };
    until("it floods", Duration::from_secs(60), || floods(&manman));

    cut_the_power(&mut manman);
    let printed = |channel: &str| {
        let run = fs::read_dir(manman.runs()).unwrap().flatten().find(|it| it.path().is_dir()).unwrap();
        let text = fs::read_to_string(run.path().join(channel)).unwrap();
        text.matches('\n').count() as u64
    };
    let written = (printed("stdout"), printed("stderr"));
    boot(&mut manman, "22222222-2222-4222-8222-222222222222");
    manman.start();
    let session = manman.await_state("flood", "crashed");
    assert_eq!(session["reason"]["code"], "engine_restart", "{session:#}");
    assert!(session["exit_code"].is_null(), "{session:#}");
    assert!(!reason(&session).is_empty());
    let console = Console::of(&manman, "flood");
    assert_eq!(assert_whole(&console, numbered), written);
    manman.await_nothing_left();

    manman.ok(&["start", "flood"]);
    until("it floods again", Duration::from_secs(60), || floods(&manman));
    manman.ok(&["stop", "flood"]);
    manman.await_nothing_left();
}
