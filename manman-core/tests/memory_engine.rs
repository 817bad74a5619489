//! The engine in memory goes wrong as it is told to, and only so.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::*;
use futures::StreamExt;
use manman_core::{
    console::Channel,
    error::ErrorKind,
    id::AttemptId,
    memory::runtime::{Act, Deeds, Faults, Image, OnSignal, Pull, PullOutcome, Script},
    model::ImageRef,
    runtime::{AttemptState, Runtime, RuntimeEvent},
};
use tokio::time::Instant;

fn hour() -> Pull {
    Pull { takes: Duration::from_secs(3600), steps: 60, outcome: PullOutcome::Here }
}

#[tokio::test(start_paused = true)]
async fn a_pull_of_an_hour_tells_its_progress_and_can_be_cancelled() {
    let world = World::new(1);
    let (runtime, image): (_, ImageRef) = (world.runtime(), "big".parse().unwrap());
    world.engine.image(&image, Image::of(Script::default()).pulled(hour()));
    let told = Arc::new(AtomicU32::new(0));
    let sink = |told: &Arc<AtomicU32>| {
        let told = told.clone();
        Box::new(move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        }) as Box<_>
    };
    let cancelled = tokio::time::timeout(Duration::from_secs(600), runtime.pull(&image, sink(&told)));
    assert!(cancelled.await.is_err());
    let soon = told.swap(0, Ordering::Relaxed);
    assert!((9..=10).contains(&soon), "{soon}");
    let began = Instant::now();
    runtime.pull(&image, sink(&told)).await.unwrap();
    assert_eq!((began.elapsed().as_secs(), told.load(Ordering::Relaxed)), (3600, 60));
    runtime.pull(&image, sink(&told)).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3600, "it is here now");
    for (outcome, kind) in [
        (PullOutcome::NotFound, ErrorKind::NotFound),
        (PullOutcome::Denied, ErrorKind::Denied),
        (PullOutcome::Unavailable, ErrorKind::Unavailable),
    ] {
        let pull = Pull { outcome, ..hour() };
        world.engine.image(&image, Image::of(Script::default()).pulled(pull));
        assert_eq!(runtime.pull(&image, sink(&told)).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn games_end_with_the_engine_unless_they_outlive_it() {
    for live_restore in [false, true] {
        let world = World::new(1);
        world.engine.set_live_restore(live_restore);
        let runtime = world.runtime();
        world.create(RUN, Script::default()).await;
        runtime.start(RUN).await.unwrap();
        let mut events = runtime.events().await.unwrap();
        let before = runtime.engine().await.unwrap();
        let pid = runtime.inspect(RUN).await.unwrap();
        world.engine.stop();
        assert!(events.next().await.is_none(), "the stream ends when the engine goes");
        assert_eq!(runtime.inspect(RUN).await.unwrap_err().kind(), ErrorKind::Unavailable);
        world.engine.start();
        let after = runtime.engine().await.unwrap();
        assert_eq!((before.id, after.survives_restart), (after.id, live_restore));
        assert_ne!(before.boot, after.boot);
        let found = runtime.inspect(RUN).await.unwrap();
        if live_restore {
            assert_eq!(found, pid);
        } else {
            assert!(matches!(found.unwrap().state, AttemptState::Exited(exit) if exit.code == 137));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_after_its_effect_had_it_and_one_before_did_not() {
    let world = World::new(1);
    let runtime = world.runtime();
    world.create(RUN, Script::default()).await;
    world.engine.set_faults(Faults { before: 1.0, ..Faults::default() });
    assert_eq!(runtime.start(RUN).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.engine.live(), []);
    world.engine.set_faults(Faults { after: 1.0, ..Faults::default() });
    assert_eq!(runtime.start(RUN).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(world.engine.live().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_frozen_engine_may_have_its_effect_when_nobody_waits_any_more() {
    let world = World::new(1);
    let runtime = world.runtime();
    world.create(RUN, Script::default()).await;
    world.engine.set_faults(Faults { late: 1.0, ..Faults::default() });
    world.engine.freeze();
    let began = Instant::now();
    assert_eq!(runtime.start(RUN).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(world.engine.live(), []);
    world.engine.thaw();
    assert_eq!(world.engine.live().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_nobody_waits_for_kills_all_the_same() {
    let world = World::new(1);
    let runtime = world.runtime();
    world.create(RUN, Script::default().on_signal(OnSignal::Ignore)).await;
    runtime.start(RUN).await.unwrap();
    let stop = runtime.stop(RUN, Duration::from_secs(30));
    assert!(tokio::time::timeout(Duration::from_secs(1), stop).await.is_err());
    drop(runtime);
    tokio::time::sleep(Duration::from_secs(28)).await;
    assert_eq!(world.engine.live().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.engine.live(), []);
    assert_eq!(world.engine.deeds().last().unwrap().what, Deeds::Ended(137));
}

#[tokio::test(start_paused = true)]
async fn a_slow_stop_takes_its_time() {
    let world = World::new(1);
    let runtime = world.runtime();
    let slow = OnSignal::Exit { after: Duration::from_secs(20), code: 3 };
    world.create(RUN, Script::default().on_signal(slow)).await;
    runtime.start(RUN).await.unwrap();
    let began = Instant::now();
    assert_eq!(runtime.stop(RUN, Duration::from_secs(30)).await.unwrap().code, 3);
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_others_do_is_told() {
    let world = World::new(1);
    let runtime = world.runtime();
    let mut events = runtime.events().await.unwrap();
    world.create(RUN, Script::exits(Duration::from_secs(3600), 42)).await;
    runtime.start(RUN).await.unwrap();
    for _ in 0..2 {
        assert_eq!(events.next().await, Some(RuntimeEvent::Attempt(RUN)));
    }
    world.engine.pause(RUN, true);
    let found = runtime.inspect(RUN).await.unwrap().unwrap();
    assert!(matches!(found.state, AttemptState::Running { paused: true, .. }));
    assert_eq!(events.next().await, Some(RuntimeEvent::Attempt(RUN)), "it ends after an hour");
    let found = runtime.inspect(RUN).await.unwrap().unwrap();
    assert!(matches!(found.state, AttemptState::Exited(exit) if exit.code == 42));
    let second = AttemptId { attempt: 2, ..RUN };
    runtime.retire(RUN).await.unwrap();
    world.create(second, Script::of([Act::RunOutOfMemory])).await;
    runtime.start(second).await.unwrap();
    while runtime.inspect(second).await.unwrap().unwrap().state.is_alive() {
        events.next().await.unwrap();
    }
    let found = runtime.inspect(second).await.unwrap().unwrap();
    assert!(matches!(found.state, AttemptState::Exited(exit) if exit.out_of_memory && exit.code == 137));
    world.engine.remove(second);
    assert_eq!(runtime.inspect(second).await.unwrap(), None);
}

/// Simulations play thousands of these: a start, a console, a stop, a removal, with
/// latency and faults.
#[test]
fn a_history_is_cheap_and_the_same_for_the_same_seed() {
    let play = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async move {
            let world = World::new(seed);
            let runtime = world.runtime();
            world
                .create(
                    RUN,
                    Script::of([Act::Count { lines: 20, pause: Duration::from_millis(5), same: false }]),
                )
                .await;
            world.engine.set_faults(Faults {
                before: 0.2,
                after: 0.2,
                latency: Duration::from_millis(20),
                ..Faults::default()
            });
            let consoles = world.consoles();
            drop(consoles.open(RUN, false).await.unwrap());
            while runtime.start(RUN).await.is_err() {}
            tokio::time::sleep(Duration::from_millis(50)).await;
            while runtime.stop(RUN, Duration::from_secs(5)).await.is_err() {}
            while runtime.remove(RUN).await.is_err() {}
            let printed = world.engine.printed(RUN, Channel::Stdout);
            assert_eq!((printed, world.engine.violations()), (None, Vec::new()));
            world.engine.deeds()
        })
    };
    let began = std::time::Instant::now();
    let first: Vec<_> = (0..300).map(play).collect();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!((0..300).map(play).collect::<Vec<_>>(), first);
}
