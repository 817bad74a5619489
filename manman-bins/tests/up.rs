//! An installation in one process, on a disk of its own and an engine in memory: what is
//! up serves, ends without its games, and comes back to them.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use manman_bins::{
    api::{errors::Reported, v1},
    compose::{Down, DownError, LockError, MakeRuntime, Running, Say, UpError, down, up},
    config::{Environment, Places, UpConfig, UpGiven},
};
use manman_core::memory::runtime::{Act, Engine, Image, Script};
use support::{Api, IMAGE, at, deploy};
use v1::{SessionState, stream_session_logs_response::What};

/// Nothing is set.
struct Bare;

impl Environment for Bare {
    fn get(&self, _: &str) -> Option<std::ffi::OsString> {
        None
    }
}

/// What was said to the operator.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn say(&self) -> Say {
        let said = self.0.clone();
        Arc::new(move |text| {
            let mut said = said.lock().unwrap();
            said.push_str(text);
            said.push('\n');
        })
    }

    fn all(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

fn config(dir: &Path) -> UpConfig {
    let given = UpGiven {
        data_dir: Some(dir.display().to_string()),
        listen: Some("127.0.0.1:0".into()),
        environment: Some("test".into()),
        server_name: Some("box".into()),
        ..UpGiven::default()
    };
    UpConfig::read(&given, &Bare).unwrap()
}

fn over(engine: &Engine) -> MakeRuntime {
    let engine = engine.clone();
    Box::new(move |_, owner| Ok(Arc::new(engine.runtime(owner))))
}

async fn bring_up(dir: &Path, engine: &Engine, said: &Said) -> Running {
    up(config(dir), over(engine), said.say()).await.unwrap()
}

fn engine() -> Engine {
    let engine = Engine::new(7);
    let hello = Act::Print(manman_core::console::Channel::Stdout, b"hello\n".to_vec());
    engine.image(&IMAGE.parse().unwrap(), Image::of(Script::of([hello])));
    engine
}

/// Waits until a session is in one of `states`; a minute at most.
async fn until(api: &mut Api, session: i64, states: &[SessionState]) -> v1::Session {
    let mut seen = None;
    let wait = async {
        loop {
            let ask = v1::GetSessionStatusRequest { session_id: session, wait_millis: Some(20_000), seen };
            let session = api.get_session_status(ask).await.unwrap().into_inner().session.unwrap();
            if states.contains(&session.state()) {
                return session;
            }
            seen = Some(v1::SessionStatus {
                revision: session.revision,
                phase: session.phase,
                progress: session.progress,
            });
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap()
}

async fn start(api: &mut Api, sgc: i64) -> i64 {
    let request = v1::StartSessionRequest { server_game_config_id: sgc, ..Default::default() };
    api.start_session(request).await.unwrap().into_inner().session.unwrap().session_id
}

async fn stop(api: &mut Api, session: i64) {
    let mode = v1::StopMode::Graceful.into();
    api.stop_session(v1::StopSessionRequest { session_id: session, mode, ..Default::default() })
        .await
        .unwrap();
}

async fn say(api: &mut Api, session: i64, line: &str) -> v1::SendInputResponse {
    let request = v1::SendInputRequest { session_id: session, input: line.into(), ..Default::default() };
    api.send_input(request).await.unwrap().into_inner()
}

/// What was printed until `last`, with its numbers.
async fn read_until(api: &mut Api, session: i64, last: &str) -> Vec<(u64, i32, String)> {
    let ask = v1::StreamSessionLogsRequest { session_id: session, begin: None, follow: true };
    let mut shown = api.stream_session_logs(ask).await.unwrap().into_inner();
    let mut lines = Vec::new();
    let read = async {
        while let Some(reply) = shown.message().await.unwrap() {
            let Some(What::Output(output)) = reply.what else { panic!("{reply:?}") };
            for (number, piece) in (output.first_sequence_number..).zip(output.pieces) {
                lines.push((number, piece.source, String::from_utf8(piece.text).unwrap()));
            }
            if lines.iter().any(|(_, _, line)| line == last) {
                return;
            }
        }
        panic!("ended before {last:?}: {lines:?}");
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.unwrap();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_outlives_us_and_is_found_again() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    let running = bring_up(dir.path(), &engine, &said).await;
    let socket = Places(dir.path()).socket();
    let mut api = at(&socket).await;
    let sgc = deploy(&mut api, 1, "game", 3979).await;
    let session = start(&mut api, sgc).await;
    let seen = until(&mut api, session, &[SessionState::Running]).await;
    assert_eq!(seen.attempt, 1);

    let receipt = say(&mut api, session, "err oops").await;
    assert_eq!(receipt.outcome(), v1::InputOutcome::Done, "{receipt:?}");
    let stdout = v1::LogSource::Stdout.into();
    let stderr = v1::LogSource::Stderr.into();
    let lines = read_until(&mut api, session, "oops\n").await;
    assert_eq!(lines, [(1, stdout, "hello\n".to_owned()), (2, stderr, "oops\n".to_owned())]);

    let lives = engine.live();
    running.end().await;
    assert_eq!(engine.live(), lives, "a game noticed that we ended");
    let text = said.all();
    assert!(text.contains("manman 0.1.0 is up") && text.contains("1 game goes on running"), "{text}");

    let running = bring_up(dir.path(), &engine, &said).await;
    let mut api = at(&socket).await;
    let receipt = say(&mut api, session, "again").await;
    assert_eq!(receipt.outcome(), v1::InputOutcome::Done, "{receipt:?}");
    let lines = read_until(&mut api, session, "again\n").await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[2].0, 3);
    let seen = until(&mut api, session, &[SessionState::Running]).await;
    assert_eq!(seen.attempt, 1);

    stop(&mut api, session).await;
    let ended = until(&mut api, session, &[SessionState::Stopped]).await;
    assert_eq!(ended.exit_code, Some(0));
    assert!(engine.live().is_empty());
    running.end().await;
    assert!(said.all().contains("no game was running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_is_told_who_has_the_directory() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    let running = bring_up(dir.path(), &engine, &said).await;
    match up(config(dir.path()), over(&engine), said.say()).await {
        Err(error @ UpError::Locked(LockError::Held { .. })) => {
            let pid = std::process::id().to_string();
            assert!(error.to_string().contains(&pid), "{error}");
            assert!(error.remedy().unwrap().contains(&pid));
        }
        other => panic!("{other:?}"),
    }
    // The first one is not disturbed.
    let mut api = at(&Places(dir.path()).socket()).await;
    let installation = api.get_installation(v1::GetInstallationRequest {}).await.unwrap().into_inner();
    assert_eq!(installation.pid, i64::from(std::process::id()));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_serves_while_the_engine_is_away() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    engine.stop();
    let running = bring_up(dir.path(), &engine, &said).await;
    assert!(said.all().contains("not reachable yet"), "{}", said.all());
    let mut api = at(&Places(dir.path()).socket()).await;
    let sgc = deploy(&mut api, 1, "game", 3979).await;
    let session = start(&mut api, sgc).await;
    engine.start();
    until(&mut api, session, &[SessionState::Running]).await;
    let there = async {
        while !said.all().contains("the engine is there") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.unwrap();
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_can_be_followed_before_it_begins() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    engine.stop();
    let running = bring_up(dir.path(), &engine, &said).await;
    let mut api = at(&Places(dir.path()).socket()).await;
    let sgc = deploy(&mut api, 1, "game", 3979).await;
    let session = start(&mut api, sgc).await;
    let ask = v1::StreamSessionLogsRequest { session_id: session, begin: None, follow: false };
    let mut nothing = api.stream_session_logs(ask).await.unwrap().into_inner();
    assert!(nothing.message().await.unwrap().is_none());
    let mut reader = api.clone();
    let reading = tokio::spawn(async move { read_until(&mut reader, session, "hello\n").await });
    engine.start();
    assert_eq!(reading.await.unwrap()[0].0, 1);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_asked_for_while_a_game_runs_is_refused_unless_it_may_go_on() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    let running = bring_up(dir.path(), &engine, &said).await;
    let mut api = at(&Places(dir.path()).socket()).await;
    let sgc = deploy(&mut api, 1, "game", 3979).await;
    let session = start(&mut api, sgc).await;
    until(&mut api, session, &[SessionState::Running]).await;
    let refused = api.shutdown(v1::ShutdownRequest { leave_running: false }).await.unwrap_err();
    assert_eq!(Reported::from(&refused).code, "sessions_live");

    let ask = v1::StreamSessionLogsRequest { session_id: session, begin: None, follow: true };
    let mut shown = api.stream_session_logs(ask).await.unwrap().into_inner();
    assert!(shown.message().await.unwrap().is_some());
    let mut signals = manman_bins::compose::Signals::listen().unwrap();
    let ended = tokio::spawn(async move { running.until_told(&mut signals).await });
    api.shutdown(v1::ShutdownRequest { leave_running: true }).await.unwrap();
    let last = shown.message().await.unwrap_err();
    assert_eq!(Reported::from(&last).code, "shutting_down");
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().unwrap().unwrap();
    assert_eq!(engine.live().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_for_each_caller_and_others_are_unharmed() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    let running = bring_up(dir.path(), &engine, &said).await;
    let mut api = at(&Places(dir.path()).socket()).await;
    let sgc = deploy(&mut api, 1, "game", 3979).await;
    let session = start(&mut api, sgc).await;
    until(&mut api, session, &[SessionState::Running]).await;
    let ask = v1::StreamSessionLogsRequest { session_id: session, begin: None, follow: true };
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(api.stream_session_logs(ask).await.unwrap().into_inner());
    }
    let refused = api.stream_session_logs(ask).await.unwrap_err();
    assert_eq!(Reported::from(&refused).code, "too_many_streams");
    for stream in &mut open {
        assert!(stream.message().await.unwrap().is_some());
    }
    open.pop();
    let freed = async {
        while api.stream_session_logs(ask).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), freed).await.unwrap();
    drop(open);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn down_ends_the_games_and_the_process() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    let running = bring_up(dir.path(), &engine, &said).await;
    let mut api = at(&Places(dir.path()).socket()).await;
    for (name, port) in [("one", 3979), ("two", 3980)] {
        let sgc = deploy(&mut api, 1, name, port).await;
        let session = start(&mut api, sgc).await;
        until(&mut api, session, &[SessionState::Running]).await;
    }
    let mut signals = manman_bins::compose::Signals::listen().unwrap();
    let serving = tokio::spawn(async move { running.until_told(&mut signals).await });
    let how = Down { kill: false, patience: Duration::from_secs(60) };
    let told = Said::default();
    let ended = down(config(dir.path()), how, over(&engine), told.say()).await.unwrap();
    let mut names: Vec<_> = ended.iter().map(|ended| ended.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
    assert!(ended.iter().all(|ended| ended.session.exit_code == Some(0)), "{ended:?}");
    assert!(told.all().contains("one: stopped, exit code 0"), "{}", told.all());
    serving.await.unwrap().unwrap();
    assert_eq!(engine.holds(), (0, 0), "containers or networks are left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn down_works_also_when_nobody_serves() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    let how = Down { kill: true, patience: Duration::from_secs(60) };
    let told = Said::default();
    assert_eq!(down(config(dir.path()), how, over(&engine), told.say()).await.unwrap(), []);
    assert!(!Places(dir.path()).database().exists(), "{}", told.all());

    let running = bring_up(dir.path(), &engine, &said).await;
    let mut api = at(&Places(dir.path()).socket()).await;
    let sgc = deploy(&mut api, 1, "one", 3979).await;
    let session = start(&mut api, sgc).await;
    until(&mut api, session, &[SessionState::Running]).await;
    running.end().await;
    assert_eq!(engine.live().len(), 1);
    let ended = down(config(dir.path()), how, over(&engine), told.say()).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(engine.holds(), (0, 0), "containers or networks are left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn down_that_gives_up_names_what_still_runs() {
    let (dir, engine, said) = (tempfile::tempdir().unwrap(), engine(), Said::default());
    let stubborn = Script::default().on_signal(manman_core::memory::runtime::OnSignal::Ignore);
    engine.image(&IMAGE.parse().unwrap(), Image::of(stubborn));
    let running = bring_up(dir.path(), &engine, &said).await;
    let mut api = at(&Places(dir.path()).socket()).await;
    let sgc = deploy(&mut api, 1, "one", 3979).await;
    let session = start(&mut api, sgc).await;
    until(&mut api, session, &[SessionState::Running]).await;
    let how = Down { kill: false, patience: Duration::from_millis(500) };
    match down(config(dir.path()), how, over(&engine), said.say()).await {
        Err(DownError::Left { names, .. }) => assert_eq!(names, ["one"]),
        other => panic!("{other:?}"),
    }
    let how = Down { kill: true, patience: Duration::from_secs(60) };
    let mut signals = manman_bins::compose::Signals::listen().unwrap();
    let serving = tokio::spawn(async move { running.until_told(&mut signals).await });
    down(config(dir.path()), how, over(&engine), said.say()).await.unwrap();
    serving.await.unwrap().unwrap();
    assert!(engine.live().is_empty());
}
