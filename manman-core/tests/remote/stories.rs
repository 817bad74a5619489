//! Single stories.

use std::time::Duration;

use futures::StreamExt;
use manman_core::{
    control::RemoteConsoles,
    error::ErrorKind,
    host::spool::{MemorySpool, SpoolConfig},
    memory::runtime::{Act, Script},
    model::State,
    testkit::broker::BrokerFaults,
    viewing::{Begin, Viewing},
};
use tokio::time::Instant;

use crate::{
    common::{Seen, next, within},
    stage::{assert_alike, flood, open, refused, replica, watch, whole},
    world::{World, alice, millis, secs},
};

#[tokio::test(start_paused = true)]
async fn two_replicas_show_from_anywhere_what_the_host_shows() {
    let mut world = World::begin().await;
    let sgc = world.playing(flood(500, millis(5))).await;
    let session = world.up(sgc).await;
    let replicas = [replica(&world), replica(&world)];
    let mut viewers = Vec::new();
    for begin in [Begin::At(1), Begin::At(100), Begin::At(2_000), Begin::Last(1), Begin::Last(9_999)] {
        for replica in &replicas {
            let shown = open(replica, session, begin, true).await;
            viewers.push((begin, tokio::spawn(watch(shown, Duration::ZERO, 1))));
        }
    }
    world.until(session, State::Completed).await;
    let all = whole(&world, session).await;
    assert_eq!(all.pieces.len(), 1_002);
    for (begin, viewer) in viewers {
        let seen = within(viewer).await.unwrap();
        match begin {
            Begin::At(number) if number > 1_002 => assert!(seen.pieces.is_empty()),
            Begin::At(number) => {
                assert_eq!(seen.pieces.keys().next(), Some(&number));
                assert_alike(&seen, &all, &format!("{begin:?}"));
            }
            Begin::Last(_) => assert_alike(&seen, &all, &format!("{begin:?}")),
        }
    }
    // And when all is over, with and without following.
    for (begin, count) in [(Begin::At(1), 1_002), (Begin::Last(3), 3), (Begin::At(1_002), 1)] {
        for follow in [true, false] {
            let seen = watch(open(&replicas[0], session, begin, follow).await, Duration::ZERO, 1).await;
            assert_eq!(seen.pieces.len(), count);
            assert_alike(&seen, &all, "past");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_follow_sees_what_there_is() {
    let mut world = World::begin().await;
    let sgc = world.playing(flood(100_000, millis(1))).await;
    let session = world.up(sgc).await;
    let replica = replica(&world);
    for _ in 0..10 {
        tokio::time::sleep(millis(777)).await;
        let remote = replica.view(session, Begin::At(1), false).await.unwrap();
        let seen = within(watch(remote, Duration::ZERO, 1)).await;
        let most = seen.pieces.len();
        seen.assert_contiguous("remote");
        assert!(most > 700, "{most}");
        assert!(world.live().len() == 1, "it goes on meanwhile");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_followed_with_their_gaps() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::of([Act::Count { lines: 20, pause: millis(10), same: true }])).await;
    let session = world.up(sgc).await;
    let viewer =
        tokio::spawn(watch(open(&replica(&world), session, Begin::At(1), true).await, Duration::ZERO, 1));
    for attempt in 2..5 {
        world.control.session_restart(session, &alice()).await.unwrap();
        world.when(async || world.session(session).await.attempt == attempt).await;
        tokio::time::sleep(millis(500)).await;
    }
    // One whose container is gone leaves a gap.
    world.kill().await;
    world.engine.remove(crate::world::run(session, 4));
    world.manage();
    tokio::time::sleep(secs(10)).await;
    world.stop(session).await;
    world.when(async || world.session(session).await.state.is_end()).await;
    let seen = within(viewer).await.unwrap();
    let all = whole(&world, session).await;
    assert_alike(&seen, &all, "attempts");
    let attempts: std::collections::BTreeSet<u32> = seen.pieces.values().map(|piece| piece.0).collect();
    assert!(attempts.len() >= 4, "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_for_a_minute_costs_nothing() {
    let mut world = World::begin().await;
    let sgc = world.playing(flood(20_000, millis(5))).await;
    let session = world.up(sgc).await;
    let mut shown = open(&replica(&world), session, Begin::At(1), true).await;
    let mut seen = Seen::default();
    seen.take(next(&mut shown).await);
    let viewer = tokio::spawn(async move {
        while let Some(item) = shown.next().await {
            seen.take(item);
        }
        seen
    });
    world.broker.stop().await;
    tokio::time::sleep(secs(60)).await;
    world.broker.start().await;
    world.when(async || world.session(session).await.state.is_end()).await;
    let seen = within(viewer).await.unwrap();
    assert_alike(&seen, &whole(&world, session).await, "a minute without broker");
    assert_eq!(seen.pieces.len(), 40_002);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_killed_is_waited_for_by_who_follows_and_told_to_who_does_not() {
    let mut world = World::begin().await;
    let sgc = world.playing(flood(20_000, millis(5))).await;
    let session = world.up(sgc).await;
    let replica = replica(&world);
    let early = tokio::spawn(watch(open(&replica, session, Begin::At(1), true).await, Duration::ZERO, 1));
    tokio::time::sleep(secs(3)).await;
    world.kill().await;
    tokio::time::sleep(secs(30)).await;
    let before = Instant::now();
    let told = refused(&replica, session, false).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Unavailable);
    assert!((secs(8)..secs(14)).contains(&before.elapsed()), "{:?}", before.elapsed());
    let text = told.message();
    assert!(text.contains("server box does not answer") && text.contains("was last heard at"), "{text}");
    let late = tokio::spawn(watch(open(&replica, session, Begin::At(1), true).await, Duration::ZERO, 1));
    tokio::time::sleep(secs(20)).await;
    assert!(!early.is_finished() && !late.is_finished());
    world.manage();
    world.when(async || world.session(session).await.state.is_end()).await;
    let all = whole(&world, session).await;
    for viewer in [early, late] {
        let seen = within(viewer).await.unwrap();
        assert_alike(&seen, &all, "killed");
        assert_eq!(seen.pieces.len(), 40_002);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_and_nothing_is_sent_unasked() {
    let mut world = World::begin().await;
    let replica = replica(&world);
    let nobody = refused(&replica, manman_core::id::SessionId(99), true).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
    let sgc = world.playing(flood(20_000, millis(5))).await;
    let session = world.start(sgc).await;
    world.until(session, State::Running).await;
    // One looks for a while, and goes.
    let tap = crate::figures::Tap::on(&world, "logs.#").await;
    let mut shown = open(&replica, session, Begin::Last(5), true).await;
    for _ in 0..20 {
        next(&mut shown).await;
    }
    drop(shown);
    tokio::time::sleep(secs(15)).await;
    let before = tap.count();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(tap.count(), before, "nobody looks");
    assert!(before > 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_for_long_goes_on_exactly() {
    let mut world = World::begin().await;
    let sgc = world.playing(flood(30_000, millis(5))).await;
    let session = world.up(sgc).await;
    let tap = crate::figures::Tap::on(&world, "logs.#").await;
    let mut shown = open(&replica(&world), session, Begin::At(1), true).await;
    let mut seen = Seen::default();
    for _ in 0..5 {
        seen.take(next(&mut shown).await);
        let before = tap.count();
        tokio::time::sleep(secs(25)).await;
        assert!(tap.count() <= before + 1, "one page waits at most");
    }
    while let Some(item) = within(shown.next()).await {
        seen.take(item);
    }
    assert_alike(&seen, &whole(&world, session).await, "slow");
    assert_eq!(seen.pieces.len(), 60_002);
}

#[tokio::test(start_paused = true)]
async fn what_the_spool_has_let_go_of_is_counted() {
    let mut world = World::still(7).await;
    let mut keep = SpoolConfig::default();
    keep.session_bytes = 64 << 10;
    world.spool = MemorySpool::new(keep).into();
    world.process();
    world.manage();
    let sgc = world.playing(flood(20_000, millis(2))).await;
    let session = world.up(sgc).await;
    let mut shown = open(&replica(&world), session, Begin::At(1), true).await;
    let mut seen = Seen::default();
    seen.take(next(&mut shown).await);
    // Longer than a host keeps its place, and its spool what it prints.
    tokio::time::sleep(secs(70)).await;
    while let Some(item) = within(shown.next()).await {
        seen.take(item);
    }
    assert!(seen.lagged > 0);
    assert_eq!(seen.pieces.len() as u64 + seen.lagged, 40_002, "each that was passed over is counted");
    let all = whole(&world, session).await;
    assert!(all.pieces.iter().all(|(number, piece)| seen.pieces[number] == *piece));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_follow_is_told_how_much_is_left_when_the_host_dies() {
    let mut world = World::begin().await;
    let sgc = world.playing(flood(20_000, millis(2))).await;
    let session = world.up(sgc).await;
    tokio::time::sleep(secs(30)).await;
    let mut shown = open(&replica(&world), session, Begin::At(1), false).await;
    let mut seen = Seen::default();
    seen.take(next(&mut shown).await);
    world.kill().await;
    let before = Instant::now();
    while let Some(item) = within(shown.next()).await {
        seen.take(item);
    }
    assert!(before.elapsed() < secs(14), "{:?}", before.elapsed());
    assert!(seen.lagged > 0 && seen.gaps.is_empty());
    let left = seen.pieces.len() as u64 + seen.lagged;
    assert!((29_000..31_000).contains(&left), "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_viewers_see_the_same() {
    let mut world = World::begin().await;
    let sgc = world.playing(flood(2_000, millis(2))).await;
    let session = world.up(sgc).await;
    let replicas: Vec<RemoteConsoles> = (0..2).map(|_| replica(&world)).collect();
    let mut viewers = Vec::new();
    for n in 0..100 {
        let shown = open(&replicas[n % 2], session, Begin::At(1), true).await;
        viewers.push(tokio::spawn(watch(shown, millis(n as u64 * 10), n as u64)));
    }
    world.until(session, State::Completed).await;
    let all = whole(&world, session).await;
    assert_eq!(all.pieces.len(), 4_002);
    for viewer in viewers {
        let seen = within(viewer).await.unwrap();
        assert_alike(&seen, &all, "one of a hundred");
        assert_eq!(seen.pieces.len(), all.pieces.len());
    }
}
