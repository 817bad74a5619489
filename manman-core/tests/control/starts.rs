//! Starting and stopping, all the way.

use std::time::Duration;

use manman_core::{
    broker::{Broker, Queue},
    model::{State, StopMode, reason::ReasonCode},
    store::DeedError,
    testkit::{Faults, broker::BrokerFaults},
    uplink::Uplink,
    wire::{Command, End, Envelope, Report},
};

use super::{
    host::{Answer, ended},
    world::{World, alice, secs},
};

#[tokio::test(start_paused = true)]
async fn a_start_is_hinted_taken_up_and_stopped() {
    let world = World::begin().await;
    let mut host = world.host("box").await;
    host.serve(Answer::Both);
    let sgc = world.deployment(&host, "game").await;
    let session = world.start(sgc).await;
    // No timer of anybody's had to pass: the hint woke the host.
    assert!(world.until(session, State::Running).await < secs(1));
    let Err(DeedError::SessionLive { session: holder, .. }) =
        world.control.session_start(sgc, &alice()).await
    else {
        panic!("a second session of one deployment");
    };
    assert_eq!(holder, session);

    world.control.session_restart(session, &alice()).await.unwrap();
    world.when(async || world.session(session).await.attempt == 2).await;

    world.control.session_stop(session, StopMode::Graceful, &alice()).await.unwrap();
    assert!(world.until(session, State::Stopped).await < secs(1));
    let timeline = world.control.session_timeline(session).await.unwrap();
    assert!(timeline.iter().any(|entry| entry.reason.text.contains("alice")), "{timeline:?}");
    world.control.deployment_delete(sgc, &alice()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hint_names_its_session() {
    let world = World::begin().await;
    let host = world.host("box").await;
    let session = world.start(world.deployment(&host, "game").await).await;
    let mut consumer = world.broker.consume(&Queue::of_host(host.me.server).name).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    let envelope = Envelope::<Command>::decode(&delivery.message.body).unwrap();
    assert_eq!(envelope.body, Command::Start { session });
    assert_eq!((envelope.server, envelope.epoch), (host.me.server, host.me.epoch));
    let not_after = world.session(session).await.not_after;
    assert_eq!(envelope.not_after, Some(not_after));
    assert_eq!(not_after.since(world.session(session).await.created_at), secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_answers_expires() {
    let world = World::begin().await;
    let host = world.host("box").await; // beats, but does nothing
    let session = world.start(world.deployment(&host, "game").await).await;
    let took = world.until(session, State::Failed).await;
    assert!((secs(75)..secs(77)).contains(&took), "{took:?}");
    let reason = world.session(session).await.reason;
    assert_eq!(reason.code, ReasonCode::Expired);
    assert!(reason.text.contains("command expired"), "{reason}");
    assert_eq!(world.stats.counters().starts_expired, 1);

    // What turns up all the same is refused, counted, and to be stopped.
    host.voice.running(session, 1).await;
    world.when(async || world.stats.counters().illegal == 1).await;
    assert_eq!(world.session(session).await.state, State::Failed);
    let snapshot = world.uplink.snapshot(host.me, &[session.into()]).await.unwrap();
    assert_eq!((snapshot.wanted.len(), snapshot.ended), (0, vec![session]));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_never_left_is_stopped_here_and_now() {
    let mut world = World::still(7).await;
    let host = world.host("box").await;
    let session = world.start(world.deployment(&host, "game").await).await;
    let stopped = world.control.session_stop(session, StopMode::Graceful, &alice()).await.unwrap();
    assert_eq!(stopped.state, State::Stopped);
    world.process();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(
        world.memory.depth(&Queue::of_host(host.me.server).name),
        Some(0),
        "the hint was not withdrawn"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_broker_does_not_expire_what_runs() {
    let world = World::begin().await;
    let mut host = world.host("box").await;
    let session = world.start(world.deployment(&host, "game").await).await;
    tokio::time::sleep(secs(1)).await;
    world.broker.stop().await;
    // The host has heard of it; its report waits for the broker, for two minutes.
    let report = tokio::spawn({
        let voice = host.voice.clone();
        async move { voice.running(session, 1).await }
    });
    tokio::time::sleep(secs(120)).await;
    assert_eq!(world.session(session).await.state, State::Pending);
    world.broker.start().await;
    report.await.unwrap();
    assert!(world.until(session, State::Running).await < secs(10));
    host.fall_silent();
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_in_a_long_outage_is_accounted_for() {
    let world = World::begin().await;
    let host = world.host("box").await;
    let mut sessions = Vec::new();
    world.broker.stop().await;
    for index in 0..10 {
        sessions.push(world.start(world.deployment(&host, &format!("g{index}")).await).await);
        tokio::time::sleep(secs(60)).await;
    }
    world.broker.start().await;
    for session in sessions {
        world.until(session, State::Failed).await;
    }
    assert_eq!(world.stats.counters().starts_expired, 10);
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_is_told_to_end_does() {
    let mut world = World::begin().await;
    let host = world.host("box").await;
    world.start(world.deployment(&host, "game").await).await;
    tokio::time::sleep(secs(3)).await;
    assert!(world.shutdown().await < secs(1));
    // While the store is away as well.
    world.process();
    world.store.set(Faults { before: 1.0, after: 0.0 });
    tokio::time::sleep(secs(3)).await;
    assert!(world.shutdown().await < secs(5));
}

#[tokio::test(start_paused = true)]
async fn ends_are_kept_until_the_store_has_them() {
    let world = World::begin().await;
    let host = world.host("box").await;
    let session = world.start(world.deployment(&host, "game").await).await;
    host.voice.running(session, 1).await;
    let end = [manman_core::id::AttemptId::new(session, 1)];
    assert!(world.uplink.receipts(host.me, &end).await.unwrap().is_empty());
    host.voice.insist(Report::Session(ended(session, 1, End::Completed))).await;
    assert!(world.until(session, State::Completed).await < Duration::from_millis(100));
    assert_eq!(world.uplink.receipts(host.me, &end).await.unwrap(), end);
    assert_eq!(world.session(session).await.last_lines, ["bye"]);
}
