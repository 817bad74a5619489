//! What goes where.

use std::time::Duration;

use super::super::{
    BrokerFixture,
    tools::{beat, command, message, nothing, report, take},
};
use crate::{
    broker::{Class, Queue},
    error::ErrorKind,
    id::ServerId,
};

/// C1: stored and routed before `Ok`; what arrives is what was sent.
pub async fn a_command_arrives_as_it_was_sent(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    let mut sent = command(fixture.server(), 1);
    sent.body = bytes::Bytes::from_static(b"\0\xff any bytes \n");
    broker.publish(sent.clone()).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    assert_eq!(take(&mut *consumer).await, sent);
}

/// C1: unrouted is `NotFound`, and waiting does not help.
pub async fn an_unrouted_command_or_report_is_not_found(fixture: &impl BrokerFixture) {
    let broker = fixture.client().await;
    for unrouted in [command(fixture.server(), 1), report(fixture.server(), 1)] {
        let error = broker.publish(unrouted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert!(!error.is_temporary());
    }
}

/// C1: an event that nobody is bound to is `Ok`; telemetry may be dropped.
pub async fn unrouted_events_and_telemetry_are_fine(fixture: &impl BrokerFixture) {
    let broker = fixture.client().await;
    let event = message(Class::Event, "manman.host.online".parse().unwrap(), "{}");
    broker.publish(event).await.unwrap();
    broker.publish(beat(fixture.server(), 1)).await.unwrap();
}

/// C1: every queue that is bound gets the message, and each settles its own.
pub async fn each_bound_queue_gets_its_own(fixture: &impl BrokerFixture) {
    let broker = fixture.client().await;
    let one = fixture.reports();
    let other = Queue { name: format!("{}-too", one.name), ..one.clone() };
    for queue in [&one, &other] {
        broker.declare(queue).await.unwrap();
    }
    let sent = report(fixture.server(), 1);
    broker.publish(sent.clone()).await.unwrap();
    for queue in [one, other] {
        let mut consumer = broker.consume(&queue.name).await.unwrap();
        assert_eq!(take(&mut *consumer).await, sent);
        nothing(&mut *consumer).await;
    }
}

/// A host gets the commands that are its own.
pub async fn a_key_of_another_host_does_not_arrive(fixture: &impl BrokerFixture) {
    let broker = fixture.client().await;
    let ours = fixture.commands();
    // The longer number begins with the shorter one.
    let longer = ServerId(fixture.server().0 * 10 + 1);
    let theirs = Queue::of_host(longer);
    for queue in [&ours, &theirs] {
        broker.declare(queue).await.unwrap();
    }
    broker.publish(command(longer, 1)).await.unwrap();
    nothing(&mut *broker.consume(&ours.name).await.unwrap()).await;
    take(&mut *broker.consume(&theirs.name).await.unwrap()).await;
}

/// C10: topology may be declared again; what is in the queue stays.
pub async fn topology_may_be_declared_again(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    broker.publish(command(fixture.server(), 1)).await.unwrap();
    fixture.client().await.declare(&queue).await.unwrap();
    take(&mut *broker.consume(&queue.name).await.unwrap()).await;
}

/// C10: one that differs is a `Conflict`.
pub async fn another_topology_conflicts(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    for other in [
        Queue { max_messages: 7, ..queue.clone() },
        Queue { single_consumer: false, ..queue.clone() },
        Queue { max_age: None, ..queue.clone() },
        Queue { max_age: Some(Duration::from_secs(60)), ..queue.clone() },
    ] {
        let error = broker.declare(&other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{other:?}: {error:?}");
    }
    broker.declare(&queue).await.unwrap();
}

/// Taking from a queue that does not exist is `NotFound`; deleting one is no error.
pub async fn what_does_not_exist_is_not_found(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    let error = broker.consume(&queue.name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    broker.delete(&queue.name).await.unwrap();
    broker.probe().await.unwrap();
}
