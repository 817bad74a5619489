//! Starting, stopping, restarting: waits, losses, ends.

use serde_json::Value;
use tokio::time::Instant;

use super::{cut, exit, keys, script, session};
use crate::{
    api::v1::{self, SessionPhase as Phase, SessionState as State},
    cli::{
        exit::Exit,
        fake::{Fake, Script},
    },
};

#[tokio::test(start_paused = true)]
async fn a_start_waits_until_the_game_runs() {
    let pulling = v1::Session {
        phase: Some(Phase::Pulling.into()),
        progress: Some("12 of 80 MB".into()),
        ..session(State::Starting)
    };
    let fake = Fake::new(script([pulling, session(State::Running)]));
    let ran = fake.run("start trains").await;
    assert_eq!(
        (exit(&ran), ran.out.as_str()),
        (Exit::Ok, "session 7 of trains is running, ports 30000/udp→3979\n")
    );
    assert_eq!(ran.err, "", "no terminal, no progress");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_says_why_and_shows_the_last_lines() {
    let failed = v1::Session {
        reason: Some(v1::Reason {
            code: "port_conflict".into(),
            text: "port 3979/udp is held by nginx".into(),
        }),
        exit_code: Some(42),
        last_lines: vec!["bye\u{1b}[2J".into()],
        ..session(State::Failed)
    };
    let fake = Fake::new(script([failed.clone()]));
    let ran = fake.run("start trains").await;
    assert_eq!(exit(&ran), Exit::Failed);
    assert_eq!(
        ran.message(),
        "session 7 of trains did not come up: failed, exit code 42: port 3979/udp is held by nginx"
    );
    assert_eq!(ran.err, "its last lines:\n  bye^[[2J\n");

    let fake = Fake::new(script([failed]));
    let ran = fake.run("start trains -o json").await;
    assert_eq!((exit(&ran), ran.err.as_str()), (Exit::Failed, ""));
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["state"], "failed");
    assert_eq!(answer["exit_code"], 42);
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_is_lost_is_repeated_with_its_key() {
    let fake = Fake::new(Script { lose: 2, ..script([session(State::Running)]) });
    let ran = fake.run("start trains").await;
    assert_eq!(exit(&ran), Exit::Ok, "{}", ran.message());
    let keys = keys(&fake, "start");
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0] && !key.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_twice_and_no_more() {
    let fake = Fake::new(Script { lose: 99, ..script([]) });
    let ran = fake.run("start trains").await;
    assert_eq!(exit(&ran), Exit::Unreachable);
    assert_eq!(keys(&fake, "start").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_manman_that_restarts_is_waited_for() {
    let fake = Fake::new(script([session(State::Starting), cut(), cut(), session(State::Running)]));
    let ran = fake.run("start trains").await;
    assert_eq!(exit(&ran), Exit::Ok, "{}", ran.message());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_it_was_told_to() {
    let begun = Instant::now();
    let fake = Fake::new(script([session(State::Starting)]));
    let ran = fake.run("start trains --timeout 90s").await;
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "session 7 is still starting after 1m30s"));
    assert!((90..100).contains(&begun.elapsed().as_secs()));

    let fake = Fake::new(script([]));
    let ran = fake.run("start trains --no-wait").await;
    assert_eq!((exit(&ran), ran.out.as_str()), (Exit::Ok, "start of session 7 of trains requested\n"));
}

#[tokio::test(start_paused = true)]
async fn a_wait_says_what_it_waits_for() {
    let server = v1::Server {
        name: "box".into(),
        status: v1::ServerStatus::Online.into(),
        health: Some(v1::Health { engine_ok: false, warnings: Vec::new() }),
        ..Default::default()
    };
    let fake = Fake::new(Script { servers: vec![server], ..script([session(State::Stopping)]) });
    let ran = fake.run("kill trains --timeout 60s").await;
    assert_eq!(exit(&ran), Exit::Failed);
    let said = "server box: the engine does not answer";
    assert_eq!(ran.err, format!("-- {said} --\n"), "once");
    let Err(crate::cli::failure::Failure::Told(told)) = &ran.result else { panic!("it is given up") };
    assert_eq!(told.cause.as_deref(), Some(said));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_stays_lost_is_given_up() {
    let fake = Fake::new(script([session(State::Running), session(State::Lost)]));
    let ran = fake.run("stop trains").await;
    assert_eq!(exit(&ran), Exit::Failed);
    assert!(ran.message().starts_with("session 7 is lost"), "{}", ran.message());

    let fake = Fake::new(script([session(State::Lost), session(State::Stopping), session(State::Stopped)]));
    assert_eq!(exit(&fake.run("stop trains").await), Exit::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_stop_tells_how_it_ended() {
    let stopped = v1::Session { exit_code: Some(143), ..session(State::Stopped) };
    for (command, call) in [("stop trains", "stop"), ("kill trains", "kill")] {
        let fake = Fake::new(script([session(State::Stopping), stopped.clone()]));
        let ran = fake.run(command).await;
        assert_eq!(exit(&ran), Exit::Ok);
        assert_eq!(ran.out, "session 7 of trains has ended: stopped, exit code 143: asked by me\n");
        assert_eq!(keys(&fake, call).len(), 1, "{command}");
    }
    let fake = Fake::new(Script { now: stopped, ..script([]) });
    let ran = fake.run("stop 7").await;
    assert_eq!(ran.out, "session 7 had ended before: stopped, exit code 143: asked by me\n");
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_for_the_next_attempt() {
    let running = |attempt| v1::Session { attempt, ..session(State::Running) };
    let fake = Fake::new(Script {
        now: running(4),
        ..script([
            running(4),
            session(State::Starting),
            v1::Session { attempt: 5, ..session(State::Starting) },
            running(5),
        ])
    });
    let ran = fake.run("restart trains").await;
    assert_eq!(
        (exit(&ran), ran.out.as_str()),
        (Exit::Ok, "session 7 of trains is running again, attempt 5\n")
    );

    let fake = Fake::new(Script { now: running(1), ..script([session(State::Crashed)]) });
    assert_eq!(exit(&fake.run("restart trains").await), Exit::Failed);
}
