//! Hosts that are not heard, and control planes that do not hear.

use std::time::Duration;

use manman_core::{
    broker::{Broker, Queue},
    id::SessionId,
    model::{ServerStatus, State},
    store::DeedError,
    testkit::{Faults, broker::BrokerFaults},
    uplink::Uplink,
};
use tokio::time::Instant;

use super::{
    host::{Answer, Host},
    world::{World, alice, secs},
};

async fn playing() -> (World, Host, SessionId) {
    let world = World::begin().await;
    let mut host = world.host("box").await;
    host.serve(Answer::Both);
    let session = world.start(world.deployment(&host, "game").await).await;
    world.until(session, State::Running).await;
    // Until silence counts.
    tokio::time::sleep(secs(15)).await;
    (world, host, session)
}

async fn status(world: &World, host: &Host) -> ServerStatus {
    world.control.server_get(host.me.server).await.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn a_silent_host_is_stale_after_ten_seconds_and_its_sessions_lost() {
    let (world, mut host, session) = playing().await;
    host.fall_silent();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let heard = world.control.server_get(host.me.server).await.unwrap().last_seen.unwrap();
    world.when(async || status(&world, &host).await == ServerStatus::Stale).await;
    use manman_core::store::ClusterStore;
    let silent = world.store.now().await.unwrap().since(heard);
    assert!((secs(10)..Duration::from_millis(11_100)).contains(&silent), "{silent:?}");
    assert_eq!(world.session(session).await.state, State::Lost);
    assert_eq!(world.stats.counters().stale, 1);

    // It comes back, and is running again at once: nobody has to wait for a snapshot.
    host.serve(Answer::Both);
    host.beat();
    assert!(world.until(session, State::Running).await < secs(3));
    assert_eq!(status(&world, &host).await, ServerStatus::Online);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_did_not_notice_is_asked_to_look() {
    let (world, mut host, session) = playing().await;
    // Its beats alone are lost; it goes on serving.
    host.hush();
    world.until(session, State::Lost).await;
    host.beat();
    // Well before it looks by itself, every 30 s.
    assert!(world.until(session, State::Running).await < secs(1));
    assert_eq!(status(&world, &host).await, ServerStatus::Online);
}

#[tokio::test(start_paused = true)]
async fn a_detector_cut_off_from_the_broker_marks_nobody() {
    let (world, host, session) = playing().await;
    world.broker.stop().await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(status(&world, &host).await, ServerStatus::Online);
    world.broker.start().await;
    for _ in 0..300 {
        assert_eq!(status(&world, &host).await, ServerStatus::Online);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.session(session).await.state, State::Running);
    assert_eq!(world.stats.counters().stale, 0);
    assert!(world.stats.counters().not_judged > 30);
}

#[tokio::test(start_paused = true)]
async fn a_detector_whose_broker_hangs_marks_nobody() {
    let (world, host, _) = playing().await;
    world.broker.freeze().await;
    tokio::time::sleep(secs(60)).await;
    world.broker.thaw().await;
    tokio::time::sleep(secs(30)).await;
    assert_eq!(status(&world, &host).await, ServerStatus::Online);
    assert_eq!(world.stats.counters().stale, 0);
}

#[tokio::test(start_paused = true)]
async fn a_detector_whose_store_was_away_marks_nobody_and_loses_nothing() {
    let (world, host, session) = playing().await;
    world.store.set(Faults { before: 1.0, after: 0.0 });
    host.voice
        .insist(manman_core::wire::Report::Session(super::host::ended(
            session,
            1,
            manman_core::wire::End::Completed,
        )))
        .await;
    tokio::time::sleep(secs(600)).await;
    world.store.set(Faults::default());
    assert!(world.until(session, State::Completed).await < secs(10));
    tokio::time::sleep(secs(30)).await;
    assert_eq!(status(&world, &host).await, ServerStatus::Online);
    assert_eq!((world.stats.counters().stale, world.stats.counters().dead), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_for_a_minute_marks_nobody() {
    let (world, host, session) = playing().await;
    for _ in 0..3 {
        // Nothing runs meanwhile, as after SIGSTOP: the beats are as old as the gap.
        tokio::time::advance(secs(60)).await;
        tokio::time::sleep(secs(25)).await;
        assert_eq!(status(&world, &host).await, ServerStatus::Online);
    }
    assert_eq!(world.session(session).await.state, State::Running);
    assert_eq!(world.stats.counters().stale, 0);
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_was_away_waits_a_full_window() {
    let (mut world, mut host, session) = playing().await;
    world.kill();
    host.fall_silent();
    tokio::time::sleep(secs(60)).await;
    world.process();
    tokio::time::sleep(secs(9)).await;
    assert_eq!(status(&world, &host).await, ServerStatus::Online, "judged before it could have heard");
    assert!(world.until(session, State::Lost).await < secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_it_goes_away_is_not_missed() {
    let (world, mut host, session) = playing().await;
    host.voice.going_away(60).await;
    host.fall_silent();
    tokio::time::sleep(secs(50)).await;
    assert_eq!(world.session(session).await.state, State::Running);
    assert_eq!(status(&world, &host).await, ServerStatus::Offline);
    assert!(world.until(session, State::Lost).await < secs(13));
}

#[tokio::test(start_paused = true)]
async fn the_sessions_of_a_machine_that_burned_down_are_ended_by_hand() {
    let (world, mut host, session) = playing().await;
    let refused = world.control.server_abandon(host.me.server, &alice()).await;
    assert!(matches!(refused, Err(DeedError::ServerOnline { .. })), "{refused:?}");
    host.fall_silent();
    world.until(session, State::Lost).await;
    assert_eq!(world.control.server_abandon(host.me.server, &alice()).await.unwrap(), [session]);
    assert_eq!(world.session(session).await.state, State::Crashed);
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_is_told_while_the_broker_hangs() {
    let (world, host, session) = playing().await;
    world.broker.freeze().await;
    let begun = Instant::now();
    for _ in 0..3 {
        let snapshot = world.uplink.snapshot(host.me, &[]).await.unwrap();
        assert_eq!(snapshot.wanted.iter().map(|wanted| wanted.session).collect::<Vec<_>>(), [session]);
    }
    assert!(begun.elapsed() < Duration::from_millis(100), "it took {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_deleted_is_back_after_a_snapshot() {
    let (world, host, _) = playing().await;
    let queue = Queue::of_host(host.me.server).name;
    // Also after a broker that hung for longer than anybody waits.
    world.broker.freeze().await;
    world.uplink.snapshot(host.me, &[]).await.unwrap();
    tokio::time::sleep(secs(11)).await;
    world.broker.thaw().await;
    world.memory.delete(&queue).await.unwrap();
    assert_eq!(world.memory.depth(&queue), None);
    world.uplink.snapshot(host.me, &[]).await.unwrap();
    world.when(async || world.memory.depth(&queue).is_some()).await;
}
