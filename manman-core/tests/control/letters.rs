//! Messages that cannot be, and what comes after them.

use std::time::Duration;

use manman_core::{
    broker::{Broker, Class, DeadLetter, Exchange, Message, RoutingKey},
    id::{Epoch, ServerId, SessionId},
    model::State,
    testkit::{Faults, broker::Nastiness},
    wire::{Beat, HostReport, Report},
};
use uuid::Uuid;

use super::{
    host::{letter, running},
    world::{World, secs},
};

fn raw(key: RoutingKey, body: impl Into<bytes::Bytes>) -> Message {
    Message { id: Uuid::now_v7(), exchange: Exchange::Internal, key, class: Class::Report, body: body.into() }
}

async fn dead(world: &World, id: Uuid) -> DeadLetter {
    let found =
        async || world.memory.dead_letters(100).await.unwrap().into_iter().find(|it| it.message.id == id);
    world.when(async || found().await.is_some()).await;
    found().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_a_dead_letter_and_the_next_flows() {
    let world = World::begin().await;
    let host = world.host("box").await;
    let key = RoutingKey::host_status(host.me.server);
    let good = letter(
        host.me.server,
        host.me.epoch,
        1,
        key.clone(),
        Class::Report,
        Report::Host(HostReport::Online),
    );
    let text = String::from_utf8(good.body.to_vec()).unwrap();
    let cases = [
        (raw(key.clone(), "not json"), "malformed"),
        (raw(key.clone(), vec![0xff; 100]), "malformed"),
        (raw(key.clone(), text.replace("\"version\":1", "\"version\":99")), "unsupported_version: 99"),
        (raw(key.clone(), text.replace("\"kind\":\"host\"", "\"kind\":\"dance\"")), "malformed"),
        (raw(RoutingKey::health(ServerId(99)), text.clone()), "identity_mismatch"),
        (raw("status.nobody".parse().unwrap(), text.clone()), "unknown_key"),
    ];
    let session = world.start(world.deployment(&host, "game").await).await;
    for (message, why) in cases {
        let id = message.id;
        world.broker.publish(message).await.unwrap();
        let attempt = world.session(session).await.attempt + 1;
        host.voice.running(session, attempt).await;
        let took = world.when(async || world.session(session).await.attempt == attempt).await;
        assert!(took < secs(1), "the next one took {took:?}");
        let dead = dead(&world, id).await;
        assert!(dead.reason.starts_with(why), "{}", dead.reason);
        assert_eq!(dead.attempts, 1);
    }
    assert_eq!(world.stats.counters().dead, 6);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_buried_yet_is_not_counted() {
    let world = World::begin().await;
    let host = world.host("box").await;
    world.broker.set(Nastiness { refuse_ack: 1.0, ..Nastiness::default() });
    let bad = raw(RoutingKey::host_status(host.me.server), "not json");
    world.broker.publish(bad.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((world.memory.dead_letters(9).await.unwrap(), world.stats.counters().dead), (vec![], 0));
    world.broker.set(Nastiness::default());
    assert_eq!(dead(&world, bad.id).await.attempts, 2);
    assert_eq!(world.stats.counters().dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_speaks_for_itself_only() {
    let world = World::begin().await;
    let (one, other) = (world.host("one").await, world.host("other").await);
    let session = world.start(world.deployment(&one, "game").await).await;
    // Under its own key, in its own name, about a session of another's.
    let key = RoutingKey::session_status(other.me.server, session);
    let claim = Report::Session(running(session, 1));
    world
        .broker
        .publish(letter(other.me.server, other.me.epoch, 900, key, Class::Report, claim))
        .await
        .unwrap();
    world.when(async || world.stats.counters().illegal == 1).await;
    assert_eq!(world.session(session).await.state, State::Pending);
}

#[tokio::test(start_paused = true)]
async fn whoever_was_replaced_changes_nothing() {
    let world = World::begin().await;
    let old = world.host("box").await;
    let session = world.start(world.deployment(&old, "game").await).await;
    let new = world.host("box").await;
    assert_eq!((new.me.server, new.me.epoch), (old.me.server, Epoch(2)));
    old.voice.running(session, 1).await;
    world.when(async || world.stats.counters().fenced >= 1).await;
    assert_eq!(world.session(session).await.state, State::Pending);
}

#[tokio::test(start_paused = true)]
async fn beats_of_an_unknown_host_are_no_dead_letters() {
    let world = World::begin().await;
    tokio::time::sleep(secs(1)).await;
    let nobody = ServerId(99);
    let beat = letter(
        nobody,
        Epoch(1),
        1,
        RoutingKey::health(nobody),
        Class::Telemetry,
        Report::Beat(Beat::default()),
    );
    world.broker.publish(beat).await.unwrap();
    let refused = async || {
        let counters = world.stats.counters();
        counters.fenced + counters.beats_refused == 1
    };
    world.when(refused).await;
    assert_eq!(world.memory.dead_letters(10).await.unwrap(), []);
}

/// A fleet of another version beats every two seconds: of that nothing is kept, and of what
/// comes by the key of a report everything is, whatever its sender calls it.
#[tokio::test(start_paused = true)]
async fn telemetry_that_cannot_be_read_is_no_dead_letter() {
    let world = World::begin().await;
    let host = world.host("box").await;
    let server = host.me.server;
    let beat = Report::Beat(Beat::default());
    let beat = letter(server, host.me.epoch, 1, RoutingKey::health(server), Class::Telemetry, beat);
    let newer = String::from_utf8(beat.body.to_vec()).unwrap().replace("\"version\":1", "\"version\":99");
    for number in 0..100 {
        let body = if number % 2 == 0 { newer.clone() } else { "not json".to_owned() };
        world
            .broker
            .publish(Message { class: Class::Telemetry, ..raw(beat.key.clone(), body) })
            .await
            .unwrap();
    }
    world.when(async || world.stats.counters().telemetry_unread == 100).await;
    assert_eq!((world.memory.dead_letters(10).await.unwrap(), world.stats.counters().dead), (vec![], 0));
    let report = raw(RoutingKey::session_status(server, SessionId(1)), newer);
    let disguised = Message { class: Class::Telemetry, ..report };
    world.broker.publish(disguised.clone()).await.unwrap();
    assert!(dead(&world, disguised.id).await.reason.starts_with("unsupported_version: 99"));
    assert_eq!(world.stats.counters().telemetry_unread, 100);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_now_and_then_uses_nothing_up() {
    let world = World::begin().await;
    let host = world.host("box").await;
    let session = world.start(world.deployment(&host, "game").await).await;
    world.store.set(Faults { before: 0.3, after: 0.2 });
    for attempt in 1..=30 {
        host.voice.running(session, attempt).await;
    }
    host.voice
        .insist(Report::Session(super::host::ended(session, 30, manman_core::wire::End::Completed)))
        .await;
    tokio::time::sleep(secs(120)).await;
    world.store.set(Faults::default());
    world.until(session, State::Completed).await;
    assert!(world.stats.counters().given_back > 0);
    assert_eq!(world.stats.counters().dead, 0);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.memory.depth("processor"), Some(0));
    assert_eq!(world.session(SessionId(session.0)).await.attempt, 30);
}
