use futures::StreamExt;
use manman_core::{
    host::{HostEvent, StartPolicy},
    memory::runtime::{Image, Pull, PullOutcome, Script},
    model::{ConfigBody, Phase, Protocol, SessionSpec, State, reason::ReasonCode},
    wire::SessionReport,
};

use super::world::{World, alice, millis, run, secs};

#[tokio::test(start_paused = true)]
async fn a_start_is_seen_running_and_a_stop_leaves_nothing() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    assert_eq!(world.live(), [run(session, 1)]);
    world.stop(session).await;
    let ended = world.until(session, State::Stopped).await;
    assert_eq!((ended.exit_code, ended.attempt), (Some(0), 1));
    world.clean().await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_start_takes_no_longer_than_its_messages() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    tokio::time::sleep(secs(10)).await;
    let before = tokio::time::Instant::now();
    let session = world.up(sgc).await;
    assert!(before.elapsed() < millis(200), "{:?}", before.elapsed());
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    assert!(before.elapsed() < millis(500), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pull_of_an_hour_is_a_session_that_is_starting() {
    let mut world = World::begin().await;
    let image = "large:1".parse().unwrap();
    let pull = Pull { takes: secs(3_600), steps: 360, outcome: PullOutcome::Here };
    world.engine.image(&image, Image::of(Script::default()).pulled(pull));
    let sgc = world.deployed(ConfigBody::new(image)).await;
    let session = world.start(sgc).await;
    world.until(session, State::Starting).await;
    // Others are not held up by it.
    let quick = world.playing(Script::default()).await;
    world.up(quick).await;
    tokio::time::sleep(secs(1_800)).await;
    let pulling = world.session(session).await;
    assert_eq!((pulling.state, pulling.phase), (State::Starting, Some(Phase::Pulling)));
    assert!(pulling.progress.unwrap().contains("of 360 layers"));
    tokio::time::sleep(secs(1_900)).await;
    assert_eq!(world.session(session).await.state, State::Running);
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_go_of_a_pull_at_once() {
    let mut world = World::begin().await;
    let image = "large:1".parse().unwrap();
    let pull = Pull { takes: secs(3_600), steps: 10, outcome: PullOutcome::Here };
    world.engine.image(&image, Image::of(Script::default()).pulled(pull));
    let sgc = world.deployed(ConfigBody::new(image)).await;
    let session = world.start(sgc).await;
    world.until(session, State::Starting).await;
    tokio::time::sleep(secs(5)).await;
    let before = tokio::time::Instant::now();
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    assert!(before.elapsed() < secs(1));
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_fails_with_its_cause_and_leaves_nothing() {
    let mut world = World::begin().await;
    let missing = "missing:1".parse().unwrap();
    let denied = "denied:1".parse().unwrap();
    let empty = "empty:1".parse().unwrap();
    let pull = |outcome| Pull { takes: secs(1), steps: 1, outcome };
    world.engine.image(&missing, Image::of(Script::default()).pulled(pull(PullOutcome::NotFound)));
    world.engine.image(&denied, Image::of(Script::default()).pulled(pull(PullOutcome::Denied)));
    world.engine.image(&empty, Image::without_command());
    for (image, code) in [
        (missing, ReasonCode::ImageNotFound),
        (denied, ReasonCode::ImagePullFailed),
        (empty, ReasonCode::CommandNotFound),
    ] {
        let sgc = world.deployed(ConfigBody::new(image)).await;
        let session = world.start(sgc).await;
        let failed = world.until(session, State::Failed).await;
        assert_eq!(failed.reason.code, code, "{}", failed.reason);
        world.clean().await;
    }
    let sgc = world.playing(Script::default()).await;
    let port = world.control.deployment_get(sgc).await.unwrap().ports[0].host_port;
    world.engine.hold_port(port, Protocol::Tcp, "sshd");
    let session = world.start(sgc).await;
    let failed = world.until(session, State::Failed).await;
    assert_eq!(failed.reason.code, ReasonCode::PortConflict);
    assert!(failed.reason.text.contains(&port.to_string()), "{}", failed.reason);
    world.clean().await;
    world.engine.free_port(port, Protocol::Tcp);
    world.engine.set_disk_full(true);
    let session = world.start(sgc).await;
    assert_eq!(world.until(session, State::Failed).await.reason.code, ReasonCode::DiskFull);
    world.clean().await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_is_waited_for_and_then_named() {
    let mut world = World::begin().await;
    let image = "away:1".parse().unwrap();
    let pull = Pull { takes: secs(1), steps: 1, outcome: PullOutcome::Unavailable };
    world.engine.image(&image, Image::of(Script::default()).pulled(pull));
    let sgc = world.deployed(ConfigBody::new(image)).await;
    let session = world.start(sgc).await;
    let before = tokio::time::Instant::now();
    let failed = world.until(session, State::Failed).await;
    assert_eq!(failed.reason.code, ReasonCode::ImagePullFailed);
    assert!(before.elapsed() > secs(60) && before.elapsed() < secs(180), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_took_in_time_is_never_begun() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    world.kill().await;
    let session = world.start(sgc).await;
    tokio::time::sleep(secs(59)).await;
    world.control_away();
    tokio::time::sleep(secs(5)).await;
    // The control plane comes back with a start that nobody has given up yet.
    world.manage();
    world.control_back();
    let failed = world.until(session, State::Failed).await;
    assert_eq!(failed.reason.code, ReasonCode::Expired);
    assert_eq!(world.engine.deeds(), []);
}

#[tokio::test(start_paused = true)]
async fn an_instant_exit_is_a_crash_and_not_a_game() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::exits(millis(0), 42)).await;
    let session = world.start(sgc).await;
    let crashed = world.until(session, State::Crashed).await;
    assert_eq!(crashed.exit_code, Some(42));
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_veto_is_the_reason_why_it_failed() {
    let mut world = World::still(7).await;
    world.process();
    let runtime = std::sync::Arc::new(world.engine.runtime(world.owner.clone()));
    let manager = manman_core::host::Manager::builder(
        runtime,
        std::sync::Arc::new(world.broker.clone()),
        world.uplink.clone(),
    )
    .clock(world.engine.clock())
    .policy(|spec: &SessionSpec, _attempt: u32| match spec.image.as_str().contains("evil") {
        true => Err("evil games are not played here".to_owned()),
        false => Ok(()),
    })
    .build(world.config.clone())
    .unwrap();
    let events = world.run(manager);
    let good = world.playing(Script::default()).await;
    world.up(good).await;
    let evil = world.deployed(ConfigBody::new("evil:1".parse().unwrap())).await;
    let session = world.start(evil).await;
    let failed = world.until(session, State::Failed).await;
    assert_eq!((failed.reason.code, failed.attempt), (ReasonCode::Denied, 0));
    assert_eq!(failed.reason.text, "evil games are not played here");
    // Whoever embeds the manager was told the same.
    let ended = events.filter_map(async |event| match event {
        HostEvent::Session(SessionReport::Ended { session, reason, .. }) => Some((session, reason.code)),
        _ => None,
    });
    assert_eq!(std::pin::pin!(ended).next().await, Some((session, ReasonCode::Denied)));
}

/// Never says a word.
struct Silent;

#[async_trait::async_trait]
impl StartPolicy for Silent {
    async fn may_start(&self, _: &SessionSpec, _: u32) -> Result<(), String> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_policy_that_does_not_answer() {
    let mut world = World::still(7).await;
    world.process();
    let runtime = std::sync::Arc::new(world.engine.runtime(world.owner.clone()));
    let manager = manman_core::host::Manager::builder(
        runtime,
        std::sync::Arc::new(world.broker.clone()),
        world.uplink.clone(),
    )
    .clock(world.engine.clock())
    .policy(Silent)
    .build(world.config.clone())
    .unwrap();
    drop(world.run(manager));
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let sgc = world.playing(Script::default()).await;
        sessions.push(world.start(sgc).await);
    }
    tokio::time::sleep(secs(5)).await;
    let before = tokio::time::Instant::now();
    world.stop(sessions[0]).await;
    world.kill_session(sessions[1]).await;
    world.until(sessions[0], State::Stopped).await;
    world.until(sessions[1], State::Stopped).await;
    assert!(before.elapsed() < secs(1), "{:?}", before.elapsed());
    world.until(sessions[2], State::Failed).await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn two_starts_at_once_are_one_game() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let writer = alice();
    let starts = (0..8).map(|_| world.control.session_start(sgc, &writer));
    let started = futures::future::join_all(starts).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(started, 1);
    world.when(async || world.live().len() == 1).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.live().len(), 1);
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_new_games_and_leaves_the_others_alone() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let old = world.up(sgc).await;
    let other = world.playing(Script::default()).await;
    world.disk.set_full(true);
    let session = world.start(other).await;
    let failed = world.until(session, State::Failed).await;
    assert_eq!(failed.reason.code, ReasonCode::DiskFull, "{}", failed.reason);
    assert_eq!(world.live(), [run(old, 1)]);
    world.disk.set_full(false);
    let session = world.up(other).await;
    // What was written down since is whole.
    world.bounce().await;
    tokio::time::sleep(secs(5)).await;
    assert_eq!(world.live(), [run(old, 1), run(session, 1)]);
    world.all_well();
}
