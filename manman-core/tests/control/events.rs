//! What other programs are told.

use std::sync::Arc;

use futures::StreamExt;
use manman_core::{
    control::{Happening, events},
    model::{State, StopMode},
    testkit::broker::BrokerFaults,
    wire::{ExternalEvent, ExternalKind},
};

use super::{
    host::Answer,
    world::{World, alice},
};

#[tokio::test(start_paused = true)]
async fn a_life_is_told_from_beginning_to_end() {
    let world = World::begin().await;
    let mut events = events(Arc::new(world.broker.clone())).await.unwrap();
    let mut host = world.host("box").await;
    host.serve(Answer::Both);
    let session = world.start(world.deployment(&host, "game").await).await;
    world.until(session, State::Running).await;
    world.control.session_stop(session, StopMode::Graceful, &alice()).await.unwrap();
    let mut kinds = Vec::new();
    let mut revisions = Vec::new();
    while kinds.last() != Some(&ExternalKind::SessionStopped) {
        match events.next().await.unwrap() {
            Happening::Event(ExternalEvent::Host { event, name }) => {
                assert_eq!(name, "box");
                kinds.push(event);
            }
            Happening::Event(ExternalEvent::Session { event, session: of, revision, .. }) => {
                assert_eq!(of, session);
                kinds.push(event);
                revisions.push(revision);
            }
            Happening::Interrupted => panic!("nothing was cut"),
        }
    }
    assert_eq!(kinds, [ExternalKind::HostOnline, ExternalKind::SessionStarted, ExternalKind::SessionStopped]);
    assert!(revisions.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_told_and_passed_over() {
    let world = World::begin().await;
    let mut events = events(Arc::new(world.broker.clone())).await.unwrap();
    world.broker.cut().await;
    assert_eq!(events.next().await, Some(Happening::Interrupted));
    world.host("box").await;
    assert!(matches!(events.next().await, Some(Happening::Event(ExternalEvent::Host { .. }))));
}
