use futures::StreamExt;
use manman_core::{
    host::HostEvent,
    memory::runtime::{Engine, Faults, Script},
    model::{State, reason::ReasonCode},
};

use super::world::{World, millis, run, secs};

#[tokio::test(start_paused = true)]
async fn what_ends_with_the_engine_is_a_crash_by_its_restart() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.stop();
    tokio::time::sleep(secs(20)).await;
    assert_eq!(world.session(session).await.state, State::Running);
    world.engine.start();
    let before = tokio::time::Instant::now();
    let crashed = world.until(session, State::Crashed).await;
    assert!(before.elapsed() < secs(10), "{:?}", before.elapsed());
    assert_eq!(crashed.reason.code, ReasonCode::EngineRestart);
    world.clean().await;
    // What is started after that is as any other.
    let session = world.up(sgc).await;
    world.engine.crash(run(session, 1), 3);
    assert_eq!(world.until(session, State::Crashed).await.reason.code, ReasonCode::Exited);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_restarts_in_a_moment_is_noticed_all_the_same() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.stop();
    world.engine.start();
    assert_eq!(world.until(session, State::Crashed).await.reason.code, ReasonCode::EngineRestart);
    // Also if we were away.
    let session = world.up(sgc).await;
    world.kill().await;
    world.engine.stop();
    world.engine.start();
    world.manage();
    assert_eq!(world.until(session, State::Crashed).await.reason.code, ReasonCode::EngineRestart);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_of_the_machine_is_no_crash_of_its_own() {
    let mut world = World::begin().await;
    world.engine.set_live_restore(true);
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.engine.crash(run(session, 1), 0);
    world.config.boot_id = "boot-2".into();
    world.manage();
    assert_eq!(world.until(session, State::Crashed).await.reason.code, ReasonCode::EngineRestart);
}

#[tokio::test(start_paused = true)]
async fn with_live_restore_nothing_is_seen_of_a_restart() {
    let mut world = World::begin().await;
    world.engine.set_live_restore(true);
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    let revision = world.session(session).await.revision;
    world.engine.stop();
    tokio::time::sleep(secs(5)).await;
    world.engine.start();
    tokio::time::sleep(secs(60)).await;
    let now = world.session(session).await;
    assert_eq!((now.state, now.revision), (State::Running, revision));
    // One that ends while the engine is away has ended by itself.
    world.engine.stop();
    world.engine.crash(run(session, 1), 9);
    world.engine.start();
    let crashed = world.until(session, State::Crashed).await;
    assert_eq!((crashed.exit_code, crashed.reason.code), (Some(9), ReasonCode::Exited));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_engine_changes_nothing_and_is_said() {
    let mut world = World::still(7).await;
    world.process();
    let manager = world.manager();
    let events = world.run(manager);
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    let revision = world.session(session).await.revision;
    world.engine.freeze();
    tokio::time::sleep(secs(60)).await;
    world.engine.thaw();
    tokio::time::sleep(secs(30)).await;
    let now = world.session(session).await;
    assert_eq!((now.state, now.revision), (State::Running, revision));
    let told = events.filter_map(async |event| match event {
        HostEvent::EngineAway(_) => Some("away"),
        HostEvent::EngineBack => Some("back"),
        _ => None,
    });
    assert_eq!(told.take(2).collect::<Vec<_>>().await, ["away", "back"]);
    // A crash during a freeze is one of its own.
    world.engine.freeze();
    world.engine.crash(run(session, 1), 4);
    tokio::time::sleep(secs(30)).await;
    assert_eq!(world.session(session).await.state, State::Running);
    world.engine.thaw();
    let crashed = world.until(session, State::Crashed).await;
    assert_eq!((crashed.exit_code, crashed.reason.code), (Some(4), ReasonCode::Exited));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_while_the_engine_is_away_is_done_when_it_is_back() {
    let mut world = World::begin().await;
    world.engine.set_live_restore(true);
    let (a, b, c) = (
        world.playing(Script::default()).await,
        world.playing(Script::default()).await,
        world.playing(Script::default()).await,
    );
    let (stops, killed) = (world.up(a).await, world.up(b).await);
    world.engine.stop();
    let starts = world.start(c).await;
    world.stop(stops).await;
    world.kill_session(killed).await;
    tokio::time::sleep(secs(300)).await;
    let now = world.session(starts).await;
    assert_eq!(now.state, State::Starting, "{now:?}");
    assert_eq!(now.reason.code, ReasonCode::EngineRefused);
    world.engine.start();
    world.until(starts, State::Running).await;
    world.until(stops, State::Stopped).await;
    world.until(killed, State::Stopped).await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn events_that_get_lost_are_made_up_for_by_looking() {
    let mut world = World::begin().await;
    world.engine.set_faults(Faults { lost_events: 1.0, broken_consoles: 0.0, ..Faults::default() });
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.remove(run(session, 1));
    let before = tokio::time::Instant::now();
    world.until(session, State::Crashed).await;
    assert!(before.elapsed() < secs(6), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn calls_whose_answers_get_lost_have_one_effect() {
    for seed in 0..20 {
        let mut world = World::still(seed).await;
        world.process();
        world.manage();
        world.engine.set_faults(Faults { before: 0.1, after: 0.3, latency: millis(50), ..Faults::default() });
        let sgc = world.playing(Script::default()).await;
        for _ in 0..3 {
            let session = world.up(sgc).await;
            world.stop(session).await;
            world.until(session, State::Stopped).await;
        }
        world.clean().await;
        world.all_well();
    }
}

#[tokio::test(start_paused = true)]
async fn with_an_engine_that_never_answered_everything_is_said_and_ends() {
    let silences =
        [(Engine::stop as fn(&Engine), Engine::start as fn(&Engine)), (Engine::freeze, Engine::thaw)];
    for (goes, comes) in silences {
        let mut world = World::still(7).await;
        world.process();
        goes(&world.engine);
        world.manage();
        tokio::time::sleep(secs(10)).await;
        let mut sessions = Vec::new();
        for _ in 0..3 {
            let sgc = world.playing(Script::default()).await;
            sessions.push(world.start(sgc).await);
        }
        tokio::time::sleep(secs(300)).await;
        for session in &sessions {
            let now = world.session(*session).await;
            assert_eq!((now.state, now.reason.code), (State::Starting, ReasonCode::EngineRefused), "{now:?}");
        }
        let before = tokio::time::Instant::now();
        world.stop(sessions[0]).await;
        world.kill_session(sessions[1]).await;
        for session in &sessions[..2] {
            let stopped = world.until(*session, State::Stopped).await;
            assert_eq!(stopped.reason.code, ReasonCode::Asked);
        }
        assert!(before.elapsed() < secs(2), "{:?}", before.elapsed());
        comes(&world.engine);
        world.until(sessions[2], State::Running).await;
        world.stop(sessions[2]).await;
        world.until(sessions[2], State::Stopped).await;
        world.clean().await;
        world.all_well();
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_after_us_ends_what_was_never_started_without_the_engine() {
    let mut world = World::still(7).await;
    world.process();
    world.engine.stop();
    world.manage();
    tokio::time::sleep(secs(10)).await;
    let sgc = world.playing(Script::default()).await;
    let session = world.start(sgc).await;
    world.until(session, State::Starting).await;
    world.bounce().await;
    tokio::time::sleep(secs(60)).await;
    let now = world.session(session).await;
    assert_eq!((now.state, now.reason.code), (State::Starting, ReasonCode::EngineRefused), "{now:?}");
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    // Its deployment is free again, and the next start waits as the first one did.
    let session = world.start(sgc).await;
    world.until(session, State::Starting).await;
    world.engine.start();
    world.until(session, State::Running).await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn what_an_engine_that_never_answered_may_hold_is_not_said_to_be_stopped() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.engine.freeze();
    // The next manager knows nothing of it.
    world.disk.set(Vec::new());
    world.manage();
    tokio::time::sleep(secs(10)).await;
    world.stop(session).await;
    tokio::time::sleep(secs(300)).await;
    assert!(!world.session(session).await.state.is_end());
    assert_eq!(world.live(), [run(session, 1)]);
    world.engine.thaw();
    world.until(session, State::Stopped).await;
    world.clean().await;
}
