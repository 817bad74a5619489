//! Input for games, with receipts.

use std::time::Duration;

use manman_core::{
    broker::Broker,
    id::SessionId,
    model::{ConsoleLine, State},
    store::{Actor, CommandState, CommandStore, DeedError, IdempotencyKey, Write},
    testkit::{
        Faults,
        broker::{BrokerFaults, Nastiness},
    },
    wire::{Outcome, Report, SessionReport},
};
use tokio::time::Instant;

use super::{
    host::{Answer, Host},
    world::{World, alice, secs},
};

async fn playing(answer: Answer) -> (World, Host, SessionId) {
    let world = World::begin().await;
    let mut host = world.host("box").await;
    host.serve(answer);
    let session = world.start(world.deployment(&host, "game").await).await;
    world.until(session, State::Running).await;
    (world, host, session)
}

fn save() -> ConsoleLine {
    "save".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_receipt_comes_with_the_reply() {
    let (world, host, session) = playing(Answer::Both).await;
    let before = Instant::now();
    let receipt = world.control.session_input(session, &save(), &alice()).await.unwrap();
    assert_eq!(receipt.outcome, Outcome::Done);
    assert!(before.elapsed() < Duration::from_millis(200), "{:?}", before.elapsed());
    assert_eq!(*host.inputs.lock().unwrap(), ["save"]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_lost_is_found_in_the_store() {
    let (world, host, session) = playing(Answer::Report).await;
    let receipt = world.control.session_input(session, &save(), &alice()).await.unwrap();
    assert_eq!(receipt.outcome, Outcome::Done);
    assert_eq!(host.inputs.lock().unwrap().len(), 1);
    assert_eq!(world.stats.counters().settled, 1);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_outcome_is_unknown_in_time() {
    let (world, _host, session) = playing(Answer::Never).await;
    let before = Instant::now();
    let receipt = world.control.session_input(session, &save(), &alice()).await.unwrap();
    assert!(matches!(receipt.outcome, Outcome::Unknown(_)), "{receipt:?}");
    assert!((secs(12)..secs(13)).contains(&before.elapsed()), "{:?}", before.elapsed());
    // And the record says so too, a little later.
    world
        .when(async || {
            let record = world.store.command_get(receipt.command).await.unwrap().unwrap();
            matches!(record.state, CommandState::Settled(Outcome::Unknown(_)))
        })
        .await;
    assert_eq!(world.stats.counters().commands_expired, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_meanwhile_is_no_refusal() {
    let (world, host, session) = playing(Answer::Both).await;
    let input = tokio::spawn({
        let control = world.control.clone();
        async move { control.session_input(session, &save(), &alice()).await.unwrap() }
    });
    world.when(async || !host.inputs.lock().unwrap().is_empty()).await;
    world.store.set(Faults { before: 1.0, after: 0.0 });
    assert_eq!(input.await.unwrap().outcome, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn input_for_what_does_not_run_is_refused() {
    let world = World::begin().await;
    let host = world.host("box").await;
    let session = world.start(world.deployment(&host, "game").await).await;
    let refused = world.control.session_input(session, &save(), &alice()).await;
    assert!(matches!(refused, Err(DeedError::NotRunning { .. })), "{refused:?}");
    let nobody = world.control.session_input(SessionId(99), &save(), &alice()).await;
    assert!(matches!(nobody, Err(DeedError::NotFound { .. })), "{nobody:?}");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_one_input() {
    let (world, host, session) = playing(Answer::Both).await;
    let key = IdempotencyKey { rpc: "SendInput", key: "k".into(), request: [1; 32] };
    let write = Write { actor: Actor("alice".into()), idempotency: Some(key) };
    let first = world.control.session_input(session, &save(), &write).await.unwrap();
    let second = world.control.session_input(session, &save(), &write).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(host.inputs.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_at_once_get_each_its_own() {
    let (world, host, session) = playing(Answer::Both).await;
    let inputs = (0..50).map(|index| {
        let (control, line) = (world.control.clone(), format!("say {index}").parse::<ConsoleLine>().unwrap());
        async move { control.session_input(session, &line, &alice()).await.unwrap() }
    });
    let receipts = futures::future::join_all(inputs).await;
    assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Done));
    assert_eq!(host.inputs.lock().unwrap().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn replies_are_listened_for_again_after_a_cut() {
    let (world, _host, session) = playing(Answer::Both).await;
    world.control.session_input(session, &save(), &alice()).await.unwrap();
    world.broker.cut().await;
    world.broker.set(Nastiness { cut: 0.2, ..Nastiness::default() });
    for _ in 0..20 {
        let receipt = world.control.session_input(session, &save(), &alice()).await.unwrap();
        assert_eq!(receipt.outcome, Outcome::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_waited_while_its_host_registered_anew_counts() {
    let (world, host, session) = playing(Answer::Never).await;
    let valid = secs(10);
    let record = world.store.command_input(session, &save(), valid, &alice()).await.unwrap();
    // Said, and on its way while the host comes again.
    let outcome = SessionReport::Outcome { session, command: record.id, outcome: Outcome::Done };
    let said = host.voice.message(Report::Session(outcome));
    let again = world.host("box").await;
    assert!(again.me.epoch > host.me.epoch);
    world.memory.publish(said).await.unwrap();
    let state = async || world.store.command_get(record.id).await.unwrap().unwrap().state;
    assert!(world.when(async || state().await != CommandState::Sent).await < secs(1));
    assert_eq!(state().await, CommandState::Settled(Outcome::Done));
}
