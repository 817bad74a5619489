//! A first day with manman, on a machine that has nothing but itself.

use crate::{installation::stories::reason, support::Installation};

#[test]
fn a_first_day_from_nothing_to_the_second_session() {
    let manman = Installation::up();
    assert!(manman.log().contains("plain processes on "), "{}", manman.log());
    let config = ["--stop", "say good night:200ms", "--stop", "stop:10s", "--env", "MOTD=hello"];
    let sgc = manman.deploy_game("village", &config);
    let status = manman.ok(&["status"]);
    assert!(status.out.contains("village"), "{status}");

    manman.ok(&["start", "village"]);
    let running = manman.session("village");
    assert_eq!((&running["state"], &running["attempt"]), (&"running".into(), &1.into()), "{running:#}");
    manman.ok(&["send", "village", "tick 5"]);
    let reply = manman.typed("village", "err of the console");
    assert!(reply.err.contains("ERR: of the console"), "{reply}");
    let logs = manman.ok(&["logs", "village", "--raw"]).out;
    for line in ["motd=hello\n", "CMD: tick 5\nticks=5\n", "CMD: err of the console\n"] {
        assert!(logs.contains(line), "{line:?} is not in {logs}");
    }

    manman.ok(&["stop", "village"]);
    let stopped = manman.session("village");
    assert_eq!((&stopped["state"], &stopped["exit_code"]), (&"stopped".into(), &0.into()), "{stopped:#}");
    assert_eq!(stopped["reason"]["code"], "asked", "{stopped:#}");
    assert!(reason(&stopped).contains("exit code 0"), "{stopped:#}");
    let logs = manman.all_output("village");
    assert!(logs.contains("[Server] good night\n") && logs.ends_with("Stopped\n"), "{logs}");
    manman.await_nothing_left();
    let world = std::fs::read_to_string(manman.game_directory(sgc).join("world.dat")).unwrap();
    assert!(world.contains("ticks=5\n"), "{world}");

    // The next session finds what the last one left.
    manman.ok(&["start", "village"]);
    manman.ok(&["send", "village", "tick 2"]);
    manman.await_output("village", "ticks=7\n");
    let second = manman.session("village");
    assert_ne!(second["session_id"], stopped["session_id"]);
    manman.ok(&["kill", "village"]);
    manman.await_nothing_left();
}
