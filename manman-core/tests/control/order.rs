//! Duplicates and any order: the same end.

use std::sync::Arc;

use manman_core::{
    broker::{Broker, Message},
    id::SessionId,
    model::{Phase, Reason, Session, State, StopMode, reason::ReasonCode},
    processor::{Consume, Stats},
    testkit::{
        Faults,
        broker::{BrokerFaults, Nastiness},
    },
    wire::{End, Report, SessionReport},
};
use tokio_util::sync::CancellationToken;

use super::{
    host::{Answer, Host, ended, running},
    world::{World, alice, secs},
};

/// What a host says of a session's life, in the order in which it happens.
fn life(session: SessionId, random: &mut fastrand::Rng) -> Vec<SessionReport> {
    let mut reports = Vec::new();
    let attempts = random.u32(1..=3);
    for attempt in 1..=attempts {
        for &phase in [Phase::Accepted, Phase::Pulling, Phase::Creating, Phase::Booting].iter() {
            if random.u8(..4) > 0 {
                reports.push(SessionReport::Phase { session, attempt, phase, progress: None, reason: None });
            }
        }
        if random.u8(..5) > 0 {
            reports.push(running(session, attempt));
        }
        if attempt < attempts {
            let reason = Reason::new(ReasonCode::Exited, format!("exit code {attempt}"));
            reports.push(SessionReport::AttemptEnded { session, attempt, exit_code: Some(1), reason });
        }
    }
    if random.u8(..4) > 0 {
        let end = *random.choice(&[End::Completed, End::Crashed, End::Failed]).unwrap();
        reports.push(ended(session, attempts, end));
    }
    reports
}

/// What has to be the same, whatever the order. When something was seen is not: what was
/// overtaken is not seen.
fn sum(session: &Session) -> impl PartialEq + std::fmt::Debug + use<> {
    let Session { state, attempt, phase, exit_code, out_of_memory, last_lines, .. } = session.clone();
    (state, attempt, phase, exit_code.filter(|_| state.is_end()), out_of_memory, last_lines)
}

async fn told(seed: u64, arrange: impl FnOnce(&mut Vec<Message>)) -> Session {
    let world = World::still(seed).await;
    let host = Host::register(&world, "box").await;
    let session = world.start(world.deployment(&host, "game").await).await;
    let mut random = fastrand::Rng::with_seed(seed);
    let reports = life(session, &mut random);
    let mut messages: Vec<_> =
        reports.into_iter().map(|report| host.voice.message(Report::Session(report))).collect();
    arrange(&mut messages);
    for message in messages {
        world.memory.publish(message).await.unwrap();
    }
    let shutdown = CancellationToken::new();
    let consume = Consume::new(
        world.store.clone(),
        Arc::new(world.memory.clone()),
        world.config.clone(),
        Stats::default(),
    );
    let done = async {
        while world.memory.depth("processor") != Some(0) {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    tokio::join!(consume.run(shutdown.clone()), done);
    world.session(session).await
}

/// Row 24 of the faults: every message comes twice, in any order, 10,000 seeds; the end is
/// that of a clean run.
#[tokio::test(start_paused = true)]
async fn duplicated_and_in_any_order_the_end_is_the_same() {
    let seeds = match std::env::var("MANMAN_TESTS").as_deref() {
        Ok("full") => 100_000,
        _ => 10_000,
    };
    for seed in 0..seeds {
        let clean = told(seed, |_| {}).await;
        let shaken = told(seed, |messages| {
            let again = messages.clone();
            messages.extend(again);
            fastrand::Rng::with_seed(seed ^ 0xdead).shuffle(messages);
        })
        .await;
        assert_eq!(format!("{:?}", sum(&clean)), format!("{:?}", sum(&shaken)), "seed {seed}");
    }
}

/// Several processors, a broker and a store at their worst: everything ends, and nothing
/// ends twice.
#[tokio::test(start_paused = true)]
async fn at_their_worst_every_session_still_ends_once() {
    for seed in 0..30 {
        let mut world = World::still(seed).await;
        world.config.consumers = 3;
        let mut hosts = vec![world.host("one").await, world.host("two").await];
        let mut deployments = Vec::new();
        for (index, host) in hosts.iter().enumerate() {
            for number in 0..4 {
                deployments.push(world.deployment(host, &format!("g{index}{number}")).await);
            }
        }
        world.process();
        world.process();
        world.broker.set(Nastiness::worst());
        for host in &mut hosts {
            host.serve(Answer::Both);
        }
        let mut sessions = Vec::new();
        for sgc in deployments {
            sessions.push(world.start(sgc).await);
        }
        world.store.set(Faults { before: 0.02, after: 0.02 });
        for _ in 0..20 {
            tokio::time::sleep(secs(2)).await;
            world.broker.cut().await;
        }
        world.store.set(Faults::default());
        for session in &sessions {
            let _ = world.control.session_stop(*session, StopMode::Graceful, &alice()).await.unwrap();
        }
        for session in sessions {
            world.when(async || world.session(session).await.state.is_end()).await;
            let timeline = world.control.session_timeline(session).await.unwrap();
            let ends = timeline.iter().filter(|entry| entry.state.is_end()).count();
            assert_eq!(ends, 1, "seed {seed}: {timeline:?}");
            assert!(timeline.iter().all(|entry| entry.state != State::Crashed), "seed {seed}: {timeline:?}");
        }
    }
}
