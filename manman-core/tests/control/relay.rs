//! What leaves.

use std::{collections::HashMap, sync::Arc, time::Duration};

use manman_core::{
    broker::{Broker, Queue, RoutingKey},
    id::SessionId,
    model::{State, StopMode},
    processor::{Relay, Stats},
    store::OutboxStore,
    testkit::{
        Faults,
        broker::{BrokerFaults, Nastiness},
    },
    wire::{Command, Envelope},
};
use tokio_util::sync::CancellationToken;

use super::{
    host::Answer,
    world::{World, alice, secs},
};

fn relay(world: &World) -> impl Future<Output = ()> + use<> {
    let relay = Relay::new(
        world.store.clone(),
        Arc::new(world.broker.clone()),
        world.config.clone(),
        Stats::default(),
    );
    relay.run(CancellationToken::new())
}

/// The sessions whose starts are in a queue, in order.
async fn drain(world: &World, queue: &str) -> Vec<SessionId> {
    let mut consumer = world.memory.consume(queue).await.unwrap();
    let mut sessions = Vec::new();
    while let Ok(Ok(delivery)) = tokio::time::timeout(Duration::from_millis(50), consumer.next()).await {
        match Envelope::<Command>::decode(&delivery.message.body).unwrap().body {
            Command::Start { session } => sessions.push(session),
            other => panic!("{other:?}"),
        }
        delivery.handle.ack().await.unwrap();
    }
    sessions
}

/// Row 27 of the faults. Killed at any point, with a broker and a store that fail at any point: what is sent is
/// sent at least once, the first of each in the order of its key.
#[tokio::test(start_paused = true)]
async fn a_relay_killed_anywhere_only_duplicates() {
    let mut duplicates = 0;
    for seed in 0..200 {
        let world = World::still(seed).await;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut expected: HashMap<String, Vec<SessionId>> = HashMap::new();
        for name in ["one", "two", "three"] {
            let host = world.host(name).await;
            let queue = Queue::of_host(host.me.server).name;
            for index in 0..4 {
                let session = world.start(world.deployment(&host, &format!("{name}{index}")).await).await;
                expected.entry(queue.clone()).or_default().push(session);
            }
        }
        world.broker.set(Nastiness { replay: 0.0, duplicate: 0.0, limbo: 0.0, ..Nastiness::worst() });
        world.store.set(Faults { before: 0.1, after: 0.1 });
        let lives = 30;
        for life in 0..=lives {
            if life == lives {
                world.store.set(Faults::default());
                world.broker.set(Nastiness::default());
            }
            let longest = if life == lives { secs(60) } else { Duration::from_millis(random.u64(..300)) };
            let _ = tokio::time::timeout(longest, relay(&world)).await;
        }
        assert_eq!(world.store.outbox_due(100).await.unwrap(), [], "seed {seed}: something never left");
        for (queue, sessions) in expected {
            let ids = drain(&world, &queue).await;
            let mut firsts = Vec::new();
            for id in &ids {
                if !firsts.contains(id) {
                    firsts.push(*id);
                }
            }
            assert_eq!(firsts, sessions, "seed {seed}");
            duplicates += ids.len() - firsts.len();
        }
    }
    assert!(duplicates > 0, "nothing was ever killed between publish and mark");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_holds_up_nobody_else() {
    let world = World::begin().await;
    let (full, mut free) = (world.host("full").await, world.host("free").await);
    free.serve(Answer::Both);
    let queue = Queue::of_host(full.me.server);
    world.memory.delete(&queue.name).await.unwrap();
    world.memory.declare(&Queue { max_messages: 1, ..queue.clone() }).await.unwrap();
    let stuck = [
        world.start(world.deployment(&full, "a").await).await,
        world.start(world.deployment(&full, "b").await).await,
    ];
    tokio::time::sleep(secs(2)).await;
    let session = world.start(world.deployment(&free, "c").await).await;
    assert!(world.until(session, State::Running).await < secs(1));
    assert!(world.stats.counters().send_failed > 0);
    // With room again, what waited leaves within the longest wait.
    assert_eq!(drain(&world, &queue.name).await.len(), 1);
    world.when(async || world.memory.depth(&queue.name) == Some(1)).await;
    assert_eq!(stuck.len(), 2);
}

/// A queue that neither takes nor refuses: of a quorum that is lost.
#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_holds_up_nobody_else() {
    let world = World::begin().await;
    let (silent, mut free) = (world.host("silent").await, world.host("free").await);
    free.serve(Answer::Both);
    world.broker.silence(Some(RoutingKey::command(silent.me.server)));
    let waits = world.start(world.deployment(&silent, "a").await).await;
    for round in 0..20 {
        let session = world.start(world.deployment(&free, &format!("c{round}")).await).await;
        assert!(world.until(session, State::Running).await < secs(1), "{round}");
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert!(world.stats.counters().send_failed > 1);
    world.broker.silence(None);
    let queue = Queue::of_host(silent.me.server).name;
    world.when(async || world.memory.depth(&queue) >= Some(1)).await;
    assert_eq!(drain(&world, &queue).await.first(), Some(&waits));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_deleted_is_made_again() {
    let world = World::begin().await;
    let mut host = world.host("box").await;
    host.serve(Answer::Both);
    tokio::time::sleep(secs(1)).await;
    world.memory.delete(&Queue::of_host(host.me.server).name).await.unwrap();
    let session = world.start(world.deployment(&host, "game").await).await;
    assert!(world.until(session, State::Running).await < secs(35));
    // The processors' own as well.
    world.memory.delete(&Queue::of_processor().name).await.unwrap();
    world.control.session_stop(session, StopMode::Kill, &alice()).await.unwrap();
    assert!(world.until(session, State::Stopped).await < secs(35));
}

#[tokio::test(start_paused = true)]
async fn what_waits_leaves_when_the_broker_is_back() {
    let world = World::begin().await;
    let mut host = world.host("box").await;
    host.serve(Answer::Both);
    let sgc = world.deployment(&host, "game").await;
    world.broker.stop().await;
    let session = world.start(sgc).await;
    tokio::time::sleep(secs(30)).await;
    assert_eq!(world.session(session).await.state, State::Pending);
    world.broker.start().await;
    assert!(world.until(session, State::Running).await < secs(8));
}
