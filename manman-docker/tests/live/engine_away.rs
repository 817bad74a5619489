//! The engine stopped, frozen and restarted under a running game, with and without
//! live-restore: on a second engine, in a network namespace of its own.

use std::time::{Duration, Instant};

use futures::StreamExt;
use manman_core::{
    error::ErrorKind,
    runtime::{AttemptState, Runtime, RuntimeEvent},
};
use manman_docker::{
    DockerRuntime,
    testkit::{self, Options, SecondEngine},
};

use crate::support::{
    BUSYBOX, Ground, PATIENCE, SLEEPER, clear, create, ended, eventually, file, hinted, pid, refused, shell,
    start,
};

async fn second(options: Options) -> (SecondEngine, Ground, DockerRuntime) {
    let engine = SecondEngine::start(options).await.unwrap();
    engine.load(BUSYBOX).await.unwrap();
    let ground = Ground::at(engine.socket()).await;
    let runtime = ground.runtime();
    (engine, ground, runtime)
}

/// Waits until the stream of hints ends.
async fn stream_ends(mut events: futures::stream::BoxStream<'static, RuntimeEvent>) {
    let end = async { while events.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the stream of hints ends with the engine");
}

#[tokio::test]
async fn games_outlive_an_engine_with_live_restore() {
    let (mut engine, ground, runtime) = second(Options { live_restore: true }).await;
    let before = runtime.engine().await.unwrap();
    assert!(before.survives_restart);
    let lives = shell(1, 1, SLEEPER);
    let ends = shell(2, 1, "while [ ! -e /data/game/go ]; do usleep 100000; done; exit 9");
    start(&runtime, &lives).await;
    start(&runtime, &ends).await;
    let process = pid(&runtime, lives.run).await;
    let of_ends = format!("/proc/{}", pid(&runtime, ends.run).await);
    let events = runtime.events().await.unwrap();

    engine.stop().await.unwrap();
    stream_ends(events).await;
    for error in [refused(runtime.list().await), refused(runtime.inspect(lives.run).await)] {
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Unavailable, true), "{error:?}");
    }
    assert!(runtime.events().await.is_err());
    // One ends while nobody looks.
    std::fs::write(ground.config.data_dir.join("gsc-test-2/go"), "").unwrap();
    eventually("the game ends", || async { (!std::path::Path::new(&of_ends).exists()).then_some(()) }).await;

    engine.start_again().await.unwrap();
    assert_eq!(pid(&runtime, lives.run).await, process, "the same process");
    assert_eq!(ended(&runtime, ends.run).await.code, 9, "its true exit");
    let after = runtime.engine().await.unwrap();
    assert_eq!(after.id, before.id);
    assert_ne!(after.boot, before.boot);
    assert_eq!(runtime.list().await.unwrap().found.len(), 2);

    engine.kill().await.unwrap();
    engine.start_again().await.unwrap();
    assert_eq!(pid(&runtime, lives.run).await, process, "the same process");
    for spec in [&lives, &ends] {
        clear(&runtime, spec).await;
    }
}

#[tokio::test]
async fn games_end_with_an_engine_without_live_restore() {
    let (mut engine, ground, runtime) = second(Options { live_restore: false }).await;
    let before = runtime.engine().await.unwrap();
    assert!(!before.survives_restart);
    assert!(before.warnings.iter().any(|warning| warning.contains("live-restore")));
    assert!(!before.boot.is_empty());
    assert_eq!(runtime.engine().await.unwrap().boot, before.boot);
    let obeys = "trap 'exit 0' TERM; echo > /data/game/ready; while :; do sleep 3600 & wait $!; done";
    let spec = shell(1, 1, obeys);
    start(&runtime, &spec).await;
    file(&ground, 1, "ready").await;
    let events = runtime.events().await.unwrap();
    engine.stop().await.unwrap();
    stream_ends(events).await;
    engine.start_again().await.unwrap();
    let exit = ended(&runtime, spec.run).await;
    let after = runtime.engine().await.unwrap();
    // By its code alone nobody could tell: the boot says that it ended with the engine.
    assert_eq!(exit.code, 0, "{exit:?}");
    assert_eq!(after.id, before.id);
    assert_ne!(after.boot, before.boot);
    // The attempt has run; the next one starts on the engine that came up.
    assert_eq!(refused(runtime.start(spec.run).await).kind(), ErrorKind::Conflict);
    runtime.retire(spec.run).await.unwrap();
    let next = shell(1, 2, SLEEPER);
    start(&runtime, &next).await;

    // Killed, it takes the games along when it comes up again.
    engine.kill().await.unwrap();
    engine.start_again().await.unwrap();
    ended(&runtime, next.run).await;
    runtime.remove(spec.run).await.unwrap();
    clear(&runtime, &next).await;
}

#[tokio::test]
async fn a_frozen_engine_holds_nobody_up() {
    let (engine, ground, runtime) = second(Options { live_restore: true }).await;
    let hurried = ground.runtime_with(|config| config.call_timeout_millis = 2_000);
    let (spec, late) = (shell(1, 1, SLEEPER), shell(2, 1, SLEEPER));
    let mut events = runtime.events().await.unwrap();
    start(&runtime, &spec).await;
    let process = pid(&runtime, spec.run).await;
    hinted(&mut events, spec.run).await;

    engine.freeze().unwrap();
    let began = Instant::now();
    let (engine_info, list, inspect, stop) =
        tokio::join!(hurried.engine(), hurried.list(), hurried.inspect(spec.run), hurried.start(spec.run));
    for error in [refused(engine_info), refused(list), refused(inspect), refused(stop)] {
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Timeout, true), "{error:?}");
    }
    // Each call has a bound of two seconds here, and of a minute by the ground's.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(std::path::Path::new(&format!("/proc/{process}")).exists(), "the game runs on");

    engine.thaw().unwrap();
    eventually("the engine answers again", || async { runtime.engine().await.ok() }).await;
    assert_eq!(pid(&runtime, spec.run).await, process);
    // The stream of hints lived through it.
    create(&runtime, &late).await;
    hinted(&mut events, late.run).await;
    runtime.kill(spec.run).await.unwrap();
    assert!(matches!(ended(&runtime, spec.run).await.code, 137));
    for spec in [&spec, &late] {
        clear(&runtime, spec).await;
    }
}

/// A second engine in a namespace of its own leaves the first one's network alone.
#[tokio::test]
async fn a_second_engine_disturbs_no_other() {
    let shared = testkit::client(&testkit::socket()).await.unwrap();
    let before = shared.inspect_network("bridge", None).await.unwrap();
    let link = || std::process::Command::new("ip").args(["-o", "link", "show", "docker0"]).output().unwrap();
    let index = |output: std::process::Output| {
        String::from_utf8(output.stdout).unwrap().split(':').next().map(str::to_owned)
    };
    let docker0 = index(link());
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let spec = shell(1, 1, SLEEPER);
    start(&runtime, &spec).await;
    let mut engine = SecondEngine::start(Options::default()).await.unwrap();
    let socket = engine.socket();
    let dir = socket.parent().unwrap().to_owned();
    engine.stop().await.unwrap();
    engine.start_again().await.unwrap();
    drop(engine);
    assert!(!dir.exists(), "nothing of it stays");
    assert_eq!(shared.inspect_network("bridge", None).await.unwrap().id, before.id);
    assert_eq!(index(link()), docker0);
    assert!(matches!(runtime.inspect(spec.run).await.unwrap().unwrap().state, AttemptState::Running { .. }));
    clear(&runtime, &spec).await;
}
