//! Queues that live with who listens, and telemetry for those that do not.

use std::time::Duration;

use tokio::time::timeout;

use super::super::{
    BrokerFixture,
    tools::{PATIENCE, beat, message, next, number, report, take},
};
use crate::{
    broker::{Class, Exchange, Pattern, Queue},
    error::ErrorKind,
};

/// C1: an event goes to a queue that is not durable as well.
pub async fn an_event_reaches_who_listens(fixture: &impl BrokerFixture) {
    let (broker, other) = (fixture.client().await, fixture.client().await);
    let server = fixture.server();
    let pattern = Pattern::new(format!("manman.case-{server}.#"));
    let queue = Queue { bindings: vec![(Exchange::External, pattern)], ..fixture.beats() };
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let key = format!("manman.case-{server}.online").parse().unwrap();
    let sent = message(Class::Event, key, "{}");
    other.publish(sent.clone()).await.unwrap();
    assert_eq!(take(&mut *consumer).await, sent);
}

/// C1: a report for which only a queue that is not durable is bound is routed; when that
/// queue is gone it is not.
pub async fn a_report_may_go_to_who_listens(fixture: &impl BrokerFixture) {
    let (broker, other) = (fixture.client().await, fixture.client().await);
    let queue = Queue { durable: false, ..fixture.reports() };
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let sent = report(fixture.server(), 1);
    other.publish(sent.clone()).await.unwrap();
    assert_eq!(take(&mut *consumer).await, sent);
    drop(consumer);
    let gone = async {
        loop {
            match other.publish(report(fixture.server(), 2)).await {
                Err(error) if !error.is_temporary() => return error,
                // Taken still, or lost on the way to who has just left.
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let error = timeout(PATIENCE, gone).await.expect("somebody takes it still");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}

/// C12: of telemetry, competing consumers of a durable queue get each message once, beside
/// the reports.
pub async fn competing_consumers_share_telemetry(fixture: &impl BrokerFixture) {
    let (broker, server) = (fixture.client().await, fixture.server());
    let mut queue = fixture.reports();
    queue.bindings.push((Exchange::Internal, Pattern::new(format!("health.{server}.#"))));
    broker.declare(&queue).await.unwrap();
    let mut first = broker.consume(&queue.name).await.unwrap();
    let mut second = fixture.client().await.consume(&queue.name).await.unwrap();
    let sent = report(server, 0);
    broker.publish(sent.clone()).await.unwrap();
    for index in 1..=20 {
        broker.publish(beat(server, index)).await.unwrap();
    }
    let (mut beats, mut reports) = (Vec::new(), 0);
    let all = async {
        while beats.len() < 20 || reports == 0 {
            let delivery = tokio::select! {
                biased;
                delivery = next(&mut *first) => delivery,
                delivery = next(&mut *second) => delivery,
            };
            match delivery.message.class {
                Class::Telemetry => beats.push(number(&delivery.message)),
                _ => reports += 1,
            }
            delivery.handle.ack().await.unwrap();
        }
    };
    timeout(PATIENCE, all).await.expect("something does not come");
    beats.sort_unstable();
    assert_eq!((beats, reports), ((1..=20).collect(), 1));
}
