//! Commands against a made-up manman: what they ask, wait for, repeat and print.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    exit::Exit,
    fake::{Fake, Ran, Script},
};
use crate::api::v1::{
    self, InputOutcome, LogSource, SessionPhase as Phase, SessionState as State,
    stream_session_logs_response::What,
};

fn session(state: State) -> v1::Session {
    static REVISION: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(1);
    v1::Session {
        session_id: 7,
        server_game_config_id: 3,
        server_id: 1,
        state: state.into(),
        attempt: 1,
        revision: REVISION.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        reason: Some(v1::Reason { code: "asked".into(), text: "asked by me".into() }),
        ..Default::default()
    }
}

/// Stands for a cut of all connections in a row of sessions.
fn cut() -> v1::Session {
    v1::Session::default()
}

fn deployment() -> v1::ServerGameConfig {
    v1::ServerGameConfig {
        server_game_config_id: 3,
        name: "trains".into(),
        server_id: 1,
        game_config_id: 2,
        port_bindings: vec![v1::PortBinding {
            container_port: 3979,
            host_port: 30000,
            protocol: v1::Protocol::Udp.into(),
        }],
        status: v1::DeploymentStatus::Active.into(),
        ..Default::default()
    }
}

fn script(sessions: impl IntoIterator<Item = v1::Session>) -> Script {
    Script {
        now: session(State::Pending),
        sessions: sessions.into_iter().collect(),
        deployments: vec![deployment()],
        ..Script::default()
    }
}

fn exit(ran: &Ran) -> Exit {
    ran.result.as_ref().map_or_else(super::failure::Failure::exit, |()| Exit::Ok)
}

fn keys(fake: &Fake, call: &str) -> Vec<String> {
    fake.script().writes.iter().filter(|(name, _)| *name == call).map(|(_, key)| key.clone()).collect()
}

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
    assert_eq!((exit(&ran), ran.out.as_str()), (Exit::Ok, "session 7 of trains is asked for\n"));
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

#[tokio::test(start_paused = true)]
async fn a_wrong_name_comes_with_the_servers_advice() {
    let ran = Fake::new(script([])).run("start nobody").await;
    let Err(super::failure::Failure::Told(told)) = &ran.result else { panic!("it is refused") };
    assert_eq!((told.code.as_str(), told.remedy.as_deref()), ("not_found", Some("Did you mean somebody?")));
}

#[tokio::test(start_paused = true)]
async fn lists_are_whole_and_aligned() {
    let game = |game_id, name: &str| v1::Game { game_id, name: name.into(), ..Default::default() };
    let games = vec![game(1, "a"), game(2, "openttd"), game(3, "c")];
    let fake = Fake::new(Script { games, ..script([]) });
    let ran = fake.run("game list").await;
    assert_eq!(
        ran.out,
        "ID   NAME      STEAM   AGE\n1    a                 -\n2    openttd           -\n3    c                 -\n"
    );
    let ran = fake.run("game list -o json").await;
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["games"].as_array().unwrap().len(), 3);
    assert_eq!(answer["games"][0], json!({"game_id": 1, "name": "a", "metadata": {}}));

    let ran = Fake::new(script([])).run("game list").await;
    assert_eq!(ran.out, "no games; create one: manman game create NAME\n");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_finds_the_only_server_and_asks_for_its_ports() {
    let server = |server_id, name: &str| v1::Server { server_id, name: name.into(), ..Default::default() };
    let fake = Fake::new(Script { servers: vec![server(5, "box")], ..script([]) });
    let ran =
        fake.run("deployment create trains --config c --port 3979/udp=any:30000-30100 --label a=b").await;
    assert_eq!(ran.out, "created deployment trains (3), ports 30000/udp→3979\n");
    let asked = fake.script().deployed.clone().unwrap();
    assert_eq!(
        asked.ports[0].ask,
        Some(v1::port_request::Ask::Any(v1::PortRange { first: 30000, last: 30100 }))
    );
    assert_eq!((asked.labels["a"].as_str(), asked.game_config_id), ("b", 3));

    let fake = Fake::new(Script { servers: vec![server(5, "box"), server(6, "cube")], ..script([]) });
    let ran = fake.run("deployment create trains --config c").await;
    assert_eq!((exit(&ran), ran.message()), (Exit::Usage, "there are several servers"));
    let ran = Fake::new(script([])).run("deployment create trains --config c").await;
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "no server has registered yet"));
}

#[tokio::test(start_paused = true)]
async fn status_fits_on_a_screen() {
    let server = v1::Server {
        server_id: 1,
        name: "box".into(),
        status: v1::ServerStatus::Online.into(),
        last_seen: Some(prost_types::Timestamp { seconds: 1_795_262_398, nanos: 0 }),
        capacity: Some(v1::Capacity {
            cpus: 2,
            memory_bytes: 24 << 30,
            engine: "Docker 20.10.24".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let started_at = Some(prost_types::Timestamp { seconds: 1_795_258_800, nanos: 0 });
    let fake = Fake::new(Script {
        servers: vec![server],
        now: v1::Session { started_at, ..session(State::Running) },
        ..script([])
    });
    let ran = fake.run("status").await;
    assert_eq!(
        ran.out,
        "manman 0 in /d, process 1, up 10s, cluster c\n\n\
         ID   SERVER   STATUS   SEEN     ENGINE            MACHINE\n\
         1    box      online   2s ago   Docker 20.10.24   2 cores, 24 GiB\n\n\
         DEPLOYMENT   SERVER   STATE     SINCE   SESSION   PORTS            REASON\n\
         trains       box      running   1h00m   7         30000/udp→3979   asked by me\n"
    );
    let ran = fake.run("status -o json").await;
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["deployments"][0]["session"]["state"], "running");
    assert_eq!(answer["servers"][0]["capacity"]["cpus"], 2);
    assert_eq!(answer["installation"]["cluster_id"], "c");

    let ran = Fake::new(Script::default()).run("status").await;
    assert!(ran.out.contains("no server has registered yet\n\nno deployments"), "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn a_session_shows_its_timeline() {
    let fake = Fake::new(Script { now: session(State::Running), ..script([]) });
    let ran = fake.run("session show 7").await;
    assert!(
        ran.out.contains("\n\nWHEN   STATE                ATTEMPT   WHY\n       running (not seen)   1\n"),
        "{}",
        ran.out
    );
}

fn output(first_sequence_number: u64, pieces: &[(LogSource, &str)]) -> Option<What> {
    let piece = |(source, text): &(LogSource, &str)| v1::LogPiece {
        source: (*source).into(),
        text: text.as_bytes().to_vec(),
    };
    let pieces = pieces.iter().map(piece).collect();
    Some(What::Output(v1::LogOutput { first_sequence_number, attempt: 1, read_at: None, pieces }))
}

use LogSource::{Stderr, Stdout};

#[tokio::test(start_paused = true)]
async fn logs_keep_the_streams_apart() {
    let console = vec![
        output(1, &[(Stdout, "a"), (Stderr, "x\n"), (Stdout, "b\n")]),
        Some(What::Gap(v1::LogGap {
            sequence_number: 4,
            lines: Some(3),
            reason: "rotated".into(),
            ..Default::default()
        })),
        output(5, &[(Stdout, "c\n")]),
    ];
    let fake = Fake::new(Script { console, now: session(State::Stopped), ..script([]) });
    let ran = fake.run("logs trains").await;
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        ("ab\nc\n", "x\n-- gap: 3 lines missing here: rotated --\n")
    );
    let ran = fake.run("logs trains --since-seq 4").await;
    assert_eq!(ran.out, "c\n");
    let ran = fake.run("logs trains -o json").await;
    let kinds: Vec<String> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| format!("{} {}", record["kind"].as_str().unwrap(), record["sequence"]))
        .collect();
    assert_eq!(kinds, ["output 1", "output 2", "output 3", "gap 4", "output 5"]);
}

#[tokio::test(start_paused = true)]
async fn a_follower_goes_on_where_the_connection_was_cut() {
    let console = vec![
        output(1, &[(Stdout, "one\n"), (Stdout, "two\n")]),
        None,
        output(3, &[(Stdout, "three\n")]),
        None,
        output(4, &[(Stdout, "four\n")]),
    ];
    let fake = Fake::new(Script { console, now: session(State::Stopped), ..script([]) });
    let ran = fake.run("logs -f trains").await;
    assert_eq!(exit(&ran), Exit::Ok, "{}", ran.message());
    assert_eq!(ran.out, "one\ntwo\nthree\nfour\n");
    assert_eq!(ran.err.matches("trying again").count(), 2, "{}", ran.err);
    assert_eq!(ran.err.matches("connected again").count(), 2, "{}", ran.err);
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_is_shown_once() {
    let console = vec![
        output(1, &[(Stdout, "1\n"), (Stdout, "2\n"), (Stdout, "3\n")]),
        output(2, &[(Stdout, "2\n"), (Stdout, "3\n"), (Stdout, "4\n")]),
        output(4, &[(Stdout, "4\n")]),
        output(5, &[(Stdout, "5\n")]),
    ];
    let fake = Fake::new(Script { console, now: session(State::Stopped), ..script([]) });
    assert_eq!(fake.run("logs trains").await.out, "1\n2\n3\n4\n5\n");
}

#[tokio::test(start_paused = true)]
async fn a_sent_line_has_its_receipt() {
    let fake = Fake::new(Script { now: session(State::Running), lose: 1, ..script([]) });
    let ran = fake.run("send trains save").await;
    assert_eq!((exit(&ran), ran.out.as_str()), (Exit::Ok, "written to session 7\n"));
    assert_eq!(fake.script().lines, ["save"], "repeated with its key, written once");

    for (outcome, said) in [
        (InputOutcome::Refused, "the line was not written: too late"),
        (InputOutcome::Unknown, "nobody knows whether the line was written: too late"),
    ] {
        let outcomes = [(outcome, "too late".to_owned())].into();
        let fake = Fake::new(Script { now: session(State::Running), outcomes, ..script([]) });
        let ran = fake.run("send trains save").await;
        assert_eq!((exit(&ran), ran.message()), (Exit::Failed, said));
    }
}

/// Runs `console` with these lines as stdin.
async fn console(fake: &Fake, lines: &[&str]) -> Ran {
    use super::{console::lines, grammar::ConsoleArgs, output::Screen};
    let (to, stdin) = tokio::sync::mpsc::channel(8);
    for line in lines {
        to.send((*line).to_owned()).await.unwrap();
    }
    drop(to);
    let (screen, shown) = Screen::captured();
    let mut context = fake.context(screen).await;
    let args =
        ConsoleArgs { session: "trains".into(), lines: None, wait: Duration::from_secs(1), raw: false };
    let result = lines::run(&mut context, 7, &args, stdin).await;
    Ran { result, out: shown.out(), err: shown.err() }
}

#[tokio::test(start_paused = true)]
async fn a_console_for_programs_writes_lines_in_order_and_reports_refusals() {
    let outcomes = [
        (InputOutcome::Done, String::new()),
        (InputOutcome::Refused, "its stdin is closed".to_owned()),
        (InputOutcome::Done, String::new()),
    ];
    let fake = Fake::new(Script {
        now: session(State::Running),
        outcomes: outcomes.into(),
        console: vec![output(1, &[(Stdout, "saved\n")])],
        ..script([])
    });
    let ran = console(&fake, &["one", "two", "three"]).await;
    assert_eq!(fake.script().lines, ["one", "two", "three"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("saved\n", "-- not written: its stdin is closed --\n"));
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "1 of 3 lines were not written"));
}

#[tokio::test(start_paused = true)]
async fn a_console_of_an_ended_session_says_so() {
    let fake = Fake::new(Script { now: session(State::Stopped), ..script([]) });
    let ran = fake.run("console trains").await;
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "session 7 has ended (stopped): asked by me"));
}
