//! Messages that were handed out for the last time, while they cannot be put among the dead.

use std::time::Duration;

use manman_core::{
    broker::{Broker, Class, Consumer, Delivery, Queue, RoutingKey},
    id::ServerId,
};
use tokio::time::timeout;

use super::{Ground, accounts::message, node};

/// A queue whose messages are handed out once.
fn once() -> Queue {
    Queue { max_deliveries: 1, ..Queue::of_host(ServerId(7)) }
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    timeout(Duration::from_secs(30), consumer.next()).await.expect("nothing comes").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_buried_comes_again() {
    let ground = Ground::new();
    let broker = ground.broker();
    broker.declare(&once()).await.unwrap();
    let sent = message(Class::Command, RoutingKey::command(ServerId(7)));
    broker.publish(sent.clone()).await.unwrap();
    let mut consumer = broker.consume(&once().name).await.unwrap();
    let last = next(&mut *consumer).await;
    node().ask("DELETE", &format!("/api/exchanges/{}/manman.dead", ground.vhost), "");
    last.handle.nack(Duration::ZERO).await.unwrap_err();
    let again = next(&mut *consumer).await;
    assert_eq!(again.message, sent);
    // One that has not made it yet makes it again.
    ground.broker().declare(&once()).await.unwrap();
    again.handle.nack(Duration::ZERO).await.unwrap();
    let dead = broker.dead_letters(9).await.unwrap();
    assert_eq!(dead.iter().map(|dead| dead.message.id).collect::<Vec<_>>(), [sent.id]);
}

/// Whoever asks for the next one gives up while the last one, dropped without a word, is on
/// its way to the dead letters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burial_outlives_who_waits_for_it() {
    let ground = Ground::new();
    let broker: std::sync::Arc<dyn Broker> = ground.broker();
    broker.declare(&once()).await.unwrap();
    let sent = [1, 2].map(|_| message(Class::Command, RoutingKey::command(ServerId(7))));
    for message in &sent {
        broker.publish(message.clone()).await.unwrap();
    }
    let mut consumer = broker.consume(&once().name).await.unwrap();
    drop(next(&mut *consumer).await);
    ground.proxy.withhold();
    assert!(timeout(Duration::from_millis(100), consumer.next()).await.is_err());
    ground.proxy.pass();
    assert_eq!(next(&mut *consumer).await.message, sent[1]);
    let dead = broker.dead_letters(9).await.unwrap();
    assert_eq!(dead.iter().map(|dead| dead.message.id).collect::<Vec<_>>(), [sent[0].id]);
}
