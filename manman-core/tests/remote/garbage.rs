//! What is no question and no answer.

use std::time::Duration;

use manman_core::{
    broker::{Broker, Class, Exchange, Message, RoutingKey},
    id::{Epoch, Generation, ServerId},
    memory::runtime::{Act, Script},
    viewing::Begin,
    wire::{Answer, Ask, Envelope, Page, Told, VERSION},
};
use uuid::Uuid;

use crate::{
    common::within,
    figures::Tap,
    stage::{assert_alike, open, replica, watch, whole},
    world::{World, millis},
};

fn envelope<T>(server: ServerId, body: T) -> Envelope<T> {
    Envelope {
        version: VERSION,
        id: Uuid::now_v7(),
        issued_at: Default::default(),
        not_after: None,
        server,
        epoch: Epoch(1),
        generation: Generation::default(),
        sequence: 0,
        trace: None,
        body,
    }
}

async fn send(world: &World, key: RoutingKey, body: Vec<u8>) {
    let (id, exchange, class) = (Uuid::now_v7(), Exchange::Internal, Class::Telemetry);
    world.queues.publish(Message { id, exchange, key, class, body: body.into() }).await.unwrap();
}

/// The bodies of a message that is one bit or some bytes off, and some that are nothing.
fn spoiled(body: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut body = body.to_vec();
    match random.u8(0..4) {
        0 => body.truncate(random.usize(..body.len())),
        1 => {
            let at = random.usize(..body.len());
            body[at] ^= 1 << random.u8(..8);
        }
        2 => {
            let length = random.usize(..400);
            body = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        }
        _ => body = br#"{"version":2,"view":"of a later day"}"#.to_vec(),
    }
    body
}

#[tokio::test(start_paused = true)]
async fn garbage_on_both_queues_disturbs_nobody() {
    let mut world = World::begin().await;
    let sgc = world
        .playing(Script::of([Act::Count { lines: 2_000, pause: millis(2), same: false }, Act::Exit(0)]))
        .await;
    let session = world.up(sgc).await;
    let replica = replica(&world);
    let shown = open(&replica, session, Begin::At(1), true).await;
    let viewer = tokio::spawn(watch(shown, Duration::ZERO, 1));
    let mut random = fastrand::Rng::with_seed(5);
    let listening = format!("{:?}", world.queues);
    let name = listening.split("logs-").nth(1).unwrap();
    let name: Uuid = name[..32].parse().unwrap();
    let ask = Ask {
        view: Uuid::new_v4(),
        question: 1,
        replica: name,
        session,
        begin: Begin::At(1),
        follow: true,
        most: u32::MAX,
        wait_millis: u32::MAX,
    };
    let told = Told { view: ask.view, question: 1, answer: Answer::Shown(Page::new(1, 1)) };
    let ask = envelope(world.server, ask).encode().unwrap();
    let strange = envelope(ServerId(77), told.clone()).encode().unwrap();
    let told = envelope(world.server, told).encode().unwrap();
    for n in 0..1_000 {
        send(&world, RoutingKey::ask(world.server), spoiled(&ask, &mut random)).await;
        send(&world, RoutingKey::logs(world.server, name), spoiled(&told, &mut random)).await;
        send(&world, RoutingKey::logs(world.server, name), strange.to_vec()).await;
        if n % 10 == 0 {
            tokio::time::sleep(millis(20)).await;
        }
    }
    world.when(async || world.session(session).await.state.is_end()).await;
    let seen = within(viewer).await.unwrap();
    assert_alike(&seen, &whole(&world, session).await, "garbage");
    assert_eq!(seen.pieces.len(), 4_000);
    assert!(replica.unreadable() > 1_500, "{}", replica.unreadable());
}

#[tokio::test(start_paused = true)]
async fn whoever_knows_of_a_later_registration_is_not_answered() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    let answers = Tap::on(&world, "logs.#").await;
    for (epoch, answered) in [(Epoch(99), 0), (Epoch(0), 1)] {
        let ask = Ask {
            view: Uuid::new_v4(),
            question: 1,
            replica: Uuid::new_v4(),
            session,
            begin: Begin::At(1),
            follow: true,
            most: 1,
            wait_millis: 0,
        };
        let mut envelope = envelope(world.server, ask);
        envelope.epoch = epoch;
        // A question that comes twice is answered once.
        for _ in 0..2 {
            send(&world, RoutingKey::ask(world.server), envelope.encode().unwrap().to_vec()).await;
        }
        tokio::time::sleep(millis(500)).await;
        assert_eq!(answers.count(), answered, "{epoch:?}");
    }
}
