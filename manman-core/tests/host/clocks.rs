//! Row 32 of the faults: the clock of a machine is an hour off, or jumps. What has a time
//! keeps it, silence is told as ever, and everything is in order.

use std::sync::atomic::Ordering;

use futures::StreamExt;
use manman_core::{
    console::Channel,
    host::HostEvent,
    id::SessionId,
    memory::runtime::{Deeds, Image, Pull, PullOutcome, Script},
    model::{ConfigBody, ImageRef, Phase, ServerStatus, State, reason::ReasonCode},
    wire::Outcome,
};
use tokio::time::Instant;

use super::world::{World, alice, millis, run, secs};

const HOUR: i64 = 3_600_000_000;

fn set_ahead(world: &World, micros: i64) {
    world.clock_ahead.store(micros, Ordering::SeqCst);
}

async fn input(world: &World, session: manman_core::id::SessionId, line: &str) -> Outcome {
    world.control.session_input(session, &line.parse().unwrap(), &alice()).await.unwrap().outcome
}

async fn status(world: &World) -> ServerStatus {
    world.control.server_get(world.server).await.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_an_hour_off_expires_nothing_and_is_said() {
    for (ahead, said) in [(HOUR, "ahead of"), (-HOUR, "behind")] {
        let mut world = World::still(7).await;
        set_ahead(&world, ahead);
        world.process();
        let manager = world.manager();
        let mut events = world.run(manager);
        let sgc = world.playing(Script::default()).await;
        let session = world.up(sgc).await;
        assert_eq!(input(&world, session, "hello").await, Outcome::Done);
        assert_eq!(status(&world).await, ServerStatus::Online);
        let warned = loop {
            if let HostEvent::Warning(text) = events.next().await.unwrap()
                && text.contains("clock")
            {
                break text;
            }
        };
        assert!(warned.contains(said) && warned.contains("3600 s"), "{warned}");
        // It jumps while a stop waits.
        set_ahead(&world, -ahead);
        world.stop(session).await;
        let before = Instant::now();
        let stopped = world.until(session, State::Stopped).await;
        assert!(before.elapsed() < secs(1));
        assert!(stopped.ended_at >= stopped.started_at);
        world.clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_delays_nothing_and_everything_is_in_order() {
    let mut world = World::begin().await;
    let clock = world.clock_ahead.clone();
    let jumps = tokio::spawn(async move {
        for jump in [HOUR, -HOUR, 0].into_iter().cycle() {
            clock.store(jump, Ordering::SeqCst);
            tokio::time::sleep(millis(370)).await;
        }
    });
    let sgc = world.playing(Script::default()).await;
    for round in 0..20 {
        let before = Instant::now();
        let session = world.up(sgc).await;
        assert!(before.elapsed() < secs(2), "round {round}: {:?}", before.elapsed());
        assert_eq!(input(&world, session, "hello").await, Outcome::Done, "round {round}");
        world.control.session_restart(session, &alice()).await.unwrap();
        world.when(async || world.live() == [run(session, 2)]).await;
        world.until(session, State::Running).await;
        assert_eq!(input(&world, session, "again").await, Outcome::Done, "round {round}");
        // Longer than a host may be silent.
        tokio::time::sleep(secs(13)).await;
        assert_eq!(status(&world).await, ServerStatus::Online, "round {round}");
        if round % 4 == 0 {
            world.bounce().await;
        }
        world.stop(session).await;
        let stopped = world.until(session, State::Stopped).await;
        assert!(stopped.created_at <= stopped.started_at.unwrap(), "{stopped:?}");
        assert!(stopped.started_at <= stopped.ended_at, "{stopped:?}");
        let timeline = world.control.session_timeline(session).await.unwrap();
        assert!(timeline.is_sorted_by_key(|entry| entry.at), "{timeline:?}");
        assert!(timeline.iter().all(|entry| entry.state != State::Lost), "{timeline:?}");
    }
    jumps.abort();
    world.clean().await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_has_by_any_clock() {
    for ahead in [HOUR, -HOUR] {
        let mut world = World::begin().await;
        let sgc = world.playing(Script::default()).await;
        let playing = world.up(sgc).await;
        let late = world.playing(Script::default()).await;
        world.kill().await;
        set_ahead(&world, ahead);
        let started = world.start(late).await;
        assert!(matches!(input(&world, playing, "too late").await, Outcome::Unknown(_)));
        tokio::time::sleep(secs(52)).await;
        world.control_away();
        tokio::time::sleep(secs(5)).await;
        // It knows no other time than its own now.
        world.manage();
        tokio::time::sleep(secs(5)).await;
        world.control_back();
        let failed = world.until(started, State::Failed).await;
        assert_eq!(failed.reason.code, ReasonCode::Expired, "{ahead}: {failed:?}");
        world.until(playing, State::Running).await;
        let printed = world.engine.printed(run(playing, 1), Channel::Stdout).unwrap();
        assert_eq!(String::from_utf8_lossy(&printed), "", "{ahead}");
        assert_eq!(world.live(), [run(playing, 1)]);
    }
}

/// A deployment whose image is fetched as long as this takes, being started.
async fn pulling(world: &mut World, takes: u64) -> SessionId {
    let image: ImageRef = "far:1".parse().unwrap();
    let pull = Pull { takes: secs(takes), steps: 10, outcome: PullOutcome::Here };
    world.engine.image(&image, Image::of(Script::default()).pulled(pull));
    let sgc = world.deployed(ConfigBody::new(image)).await;
    let session = world.start(sgc).await;
    world.when(async || world.session(session).await.phase == Some(Phase::Pulling)).await;
    session
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_begun_in_time_is_so_after_a_restart_by_any_clock() {
    for ahead in [0, HOUR, -HOUR] {
        let mut world = World::begin().await;
        let session = pulling(&mut world, 10).await;
        tokio::time::sleep(secs(5)).await;
        world.kill().await;
        world.control_away();
        set_ahead(&world, ahead);
        world.manage();
        tokio::time::sleep(secs(5)).await;
        world.control_back();
        let before = Instant::now();
        let running = world.until(session, State::Running).await;
        assert!(before.elapsed() < secs(20), "{ahead}: {:?}", before.elapsed());
        assert_eq!((running.attempt, world.live()), (1, vec![run(session, 1)]), "{ahead}");
        world.all_well();
    }
}

/// Power fails in the midst of a pull, and the machine boots hours later with a clock that stood
/// still or shows anything else, while nobody tells it the time.
#[tokio::test(start_paused = true)]
async fn a_start_that_has_expired_is_not_begun_by_a_clock_that_stood_still() {
    for ahead in [-2 * HOUR, 0] {
        let mut world = World::begin().await;
        let session = pulling(&mut world, 3_600).await;
        world.kill().await;
        world.control_away();
        tokio::time::sleep(secs(7_200)).await;
        set_ahead(&world, ahead);
        world.engine.image(&"far:1".parse().unwrap(), Image::of(Script::default()));
        world.manage();
        tokio::time::sleep(secs(600)).await;
        assert_eq!(world.engine.holds(), (0, 0), "{ahead}");
        world.control_back();
        let failed = world.until(session, State::Failed).await;
        assert_eq!(failed.reason.code, ReasonCode::Expired, "{ahead}: {failed:?}");
        world.clean().await;
        assert!(world.engine.deeds().iter().all(|deed| deed.what != Deeds::Created), "{ahead}");
    }
}

/// Of a session that has run, nothing waits for the control plane's time.
#[tokio::test(start_paused = true)]
async fn a_restart_that_was_begun_goes_on_by_any_clock_and_alone() {
    for ahead in [HOUR, -HOUR] {
        let mut world = World::begin().await;
        let sgc = world.playing(Script::default()).await;
        let session = world.up(sgc).await;
        world.alone_amid_a_restart(session).await;
        world.kill().await;
        set_ahead(&world, ahead);
        world.manage();
        world.engine.thaw();
        assert!(world.when(async || world.live() == [run(session, 2)]).await < secs(90), "{ahead}");
        world.control_back();
        world.until(session, State::Running).await;
        world.all_well();
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_as_ever() {
    for ahead in [0, HOUR, -HOUR] {
        let mut world = World::still(7).await;
        set_ahead(&world, ahead);
        world.process();
        world.manage();
        let sgc = world.playing(Script::default()).await;
        let session = world.up(sgc).await;
        // Until silence counts.
        tokio::time::sleep(secs(15)).await;
        world.kill().await;
        let before = Instant::now();
        world.until(session, State::Lost).await;
        // The last beat was up to two seconds before.
        assert!((secs(8)..millis(11_500)).contains(&before.elapsed()), "{ahead}: {:?}", before.elapsed());
        set_ahead(&world, -ahead);
        world.manage();
        let before = Instant::now();
        world.until(session, State::Running).await;
        assert!(before.elapsed() < secs(3), "{ahead}: {:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_delays_no_kill() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.freeze();
    world.kill_session(session).await;
    tokio::time::sleep(secs(2)).await;
    world.kill().await;
    // Alone it takes its own clock for right, and kills by it.
    set_ahead(&world, HOUR);
    world.control_away();
    world.manage();
    tokio::time::sleep(secs(25)).await;
    world.control_back();
    world.when(async || status(&world).await == ServerStatus::Online).await;
    tokio::time::sleep(secs(40)).await;
    world.engine.thaw();
    let before = Instant::now();
    world.until(session, State::Stopped).await;
    assert!(before.elapsed() < secs(20), "{:?}", before.elapsed());
    world.clean().await;
}
