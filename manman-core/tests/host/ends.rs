use std::sync::Arc;

use futures::StreamExt;
use manman_core::{
    console::Channel,
    control::{Happening, events},
    memory::runtime::{Act, Deeds, Script},
    model::{State, reason::ReasonCode},
    wire::{ExternalEvent, ExternalKind},
};

use super::world::{World, alice, millis, run, secs};

#[tokio::test(start_paused = true)]
async fn an_end_by_itself_is_told_by_its_code_with_its_last_lines() {
    let mut world = World::begin().await;
    let last = Act::Print(Channel::Stderr, b"that was it\n".to_vec());
    for (code, state) in [(0, State::Completed), (42, State::Crashed)] {
        let acts = [Act::Wait(secs(3)), last.clone(), Act::Exit(code)];
        let sgc = world.playing(Script::of(acts)).await;
        let session = world.up(sgc).await;
        let ended = world.until(session, state).await;
        assert_eq!((ended.exit_code, ended.last_lines), (Some(code), vec!["that was it".into()]));
        assert_eq!(ended.reason.text, format!("exited with code {code}"));
        world.clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_known_within_a_moment() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    tokio::time::sleep(secs(20)).await;
    let before = tokio::time::Instant::now();
    world.engine.kill(run(session, 1));
    let crashed = world.until(session, State::Crashed).await;
    assert!(before.elapsed() < millis(300), "{:?}", before.elapsed());
    assert_eq!((crashed.exit_code, crashed.reason.code), (Some(137), ReasonCode::Killed));
}

#[tokio::test(start_paused = true)]
async fn out_of_memory_says_so() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::of([Act::Wait(secs(1)), Act::RunOutOfMemory])).await;
    let session = world.up(sgc).await;
    let crashed = world.until(session, State::Crashed).await;
    assert!(crashed.out_of_memory);
    assert_eq!((crashed.exit_code, crashed.reason.code), (Some(137), ReasonCode::OutOfMemory));
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_from_outside_has_crashed() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.remove(run(session, 1));
    let crashed = world.until(session, State::Crashed).await;
    // Its exit may be seen before its removal.
    assert!(matches!(crashed.reason.code, ReasonCode::RemovedOutside | ReasonCode::Killed));
    world.clean().await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.engine.remove(run(session, 1));
    world.manage();
    let crashed = world.until(session, State::Crashed).await;
    assert_eq!((crashed.reason.code, crashed.exit_code), (ReasonCode::RemovedOutside, None));
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_saw_is_told_with_its_code_before_it_is_removed() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::exits(secs(30), 42)).await;
    let session = world.up(sgc).await;
    world.kill().await;
    tokio::time::sleep(secs(120)).await;
    assert_eq!(world.session(session).await.state, State::Lost);
    world.control_away();
    world.manage();
    tokio::time::sleep(secs(120)).await;
    // Nobody has heard of it yet, so it is still here; its name is free.
    assert_eq!(world.engine.holds().0, 1);
    assert!(world.engine.deeds().iter().any(|deed| deed.what == Deeds::Retired));
    world.control_back();
    let crashed = world.until(session, State::Crashed).await;
    assert_eq!(crashed.exit_code, Some(42));
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_session_begins_while_the_last_one_is_not_on_record_here() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    for _ in 0..5 {
        let session = world.up(sgc).await;
        world.engine.crash(run(session, 1), 1);
        world.until(session, State::Crashed).await;
    }
    world.clean().await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn an_end_reported_before_the_stop_was_heard_is_stopped() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    // The report of the crash cannot leave, and meanwhile a stop is asked for.
    use manman_core::testkit::broker::Nastiness;
    world.broker.set(Nastiness { refuse: 1.0, ..Nastiness::default() });
    world.engine.crash(run(session, 1), 1);
    tokio::time::sleep(secs(3)).await;
    world.stop(session).await;
    world.broker.set(Nastiness::default());
    let stopped = world.until(session, State::Stopped).await;
    assert_eq!(stopped.exit_code, Some(1));
    world.clean().await;
}

/// What is said of it under a registration that is replaced before anybody reads it does not count:
/// it is said again, and its container is kept until it is on record.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_attempt_is_kept_until_it_is_on_record() {
    for lives in [1, 3] {
        let mut world = World::begin().await;
        let mut told = events(Arc::new(world.broker.clone())).await.unwrap();
        let sgc = world.playing(Script::default()).await;
        let session = world.up(sgc).await;
        world.processor_away();
        world.control.session_restart(session, &alice()).await.unwrap();
        world.when(async || world.live() == [run(session, 2)]).await;
        for _ in 0..lives {
            tokio::time::sleep(secs(5)).await;
            world.bounce().await;
        }
        tokio::time::sleep(secs(40)).await;
        assert_eq!(world.engine.holds().0, 2, "nobody has the end of the first one yet");
        world.process();
        world.when(async || world.session(session).await.attempt == 2).await;
        world.until(session, State::Running).await;
        let attempts = world.control.session_attempts(session).await.unwrap();
        let first = &attempts[0];
        assert_eq!((first.number, first.exit_code), (1, Some(0)), "{first:?}");
        assert_eq!(first.reason.as_ref().map(|reason| reason.code), Some(ReasonCode::Restarted), "{first:?}");
        assert!(first.ended_at.is_some());
        let exit_code = loop {
            if let Happening::Event(ExternalEvent::Session { event, exit_code, .. }) =
                told.next().await.unwrap()
                && event == ExternalKind::SessionAttemptEnded
            {
                break exit_code;
            }
        };
        assert_eq!(exit_code, Some(0));
        // By the next snapshot, at the latest.
        assert!(world.when(async || world.engine.holds().0 == 1).await < secs(40));
        world.all_well();
    }
}
