//! What happens when the way to the broker fails, or somebody deletes what is in use.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::super::{
    BrokerFixture,
    tools::{PATIENCE, command, consumer, end, insist, next, number, report, take},
};

/// C9: a consumer whose queue an administrator deleted ends with an error, and a queue
/// that is made again works.
pub async fn a_consumer_of_a_deleted_queue_ends(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    broker.publish(command(fixture.server(), 1)).await.unwrap();
    let consumer = broker.consume(&queue.name).await.unwrap();
    fixture.client().await.delete(&queue.name).await.unwrap();
    end(consumer).await;
    broker.declare(&queue).await.unwrap();
    broker.publish(command(fixture.server(), 2)).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    assert_eq!(number(&take(&mut *consumer).await), 2);
}

/// C9: a consumer that is cut off ends with an error within seconds; another one can be had.
pub async fn a_consumer_that_is_cut_off_ends(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    let cut = broker.consume(&queue.name).await.unwrap();
    fixture.faults().cut().await;
    end(cut).await;
    let mut consumer = consumer(&*broker, &queue.name).await;
    insist(&*broker, command(fixture.server(), 1)).await;
    assert_eq!(number(&take(&mut *consumer).await), 1);
}

/// C1, C4: over a slow way everything takes longer, and nothing else is different.
pub async fn a_slow_way_loses_nothing(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    fixture.faults().delay(Duration::from_millis(100)).await;
    for index in 0..5 {
        broker.publish(command(fixture.server(), index)).await.unwrap();
    }
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    for index in 0..5 {
        let delivery = next(&mut *consumer).await;
        assert_eq!((number(&delivery.message), delivery.attempt), (index, 1));
        delivery.handle.ack().await.unwrap();
    }
}

/// C1, C3: with cuts at random, every `Ok` is delivered at least once, and nothing is
/// delivered that was never sent.
pub async fn every_ok_is_delivered_through_cuts(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.reports());
    broker.declare(&queue).await.unwrap();
    let (count, cuts) = fixture.through_cuts();
    let messages: HashMap<_, _> =
        (0..count).map(|index| report(fixture.server(), index)).map(|report| (report.id, report)).collect();
    let publish = async {
        for message in messages.values() {
            insist(&*broker, message.clone()).await;
            if fastrand::usize(..count) < cuts {
                fixture.faults().cut().await;
            }
        }
    };
    let receive = async {
        let client = fixture.client().await;
        let mut seen = HashSet::new();
        while seen.len() < messages.len() {
            let mut consumer = consumer(&*client, &queue.name).await;
            while let Ok(Ok(delivery)) = timeout(PATIENCE, consumer.next()).await {
                let sent = messages.get(&delivery.message.id);
                assert_eq!(sent, Some(&delivery.message), "it was never sent");
                // Before the ack, which may arrive and be told to have failed.
                seen.insert(delivery.message.id);
                if delivery.handle.ack().await.is_err() || seen.len() == messages.len() {
                    break;
                }
            }
        }
    };
    let both = async { tokio::join!(publish, receive) };
    // RabbitMQ takes some two seconds to come back from each.
    let patience = PATIENCE * u32::try_from(4 + cuts).unwrap();
    timeout(patience, both).await.expect("something that was told to be stored is gone");
}

/// C2, C3: what is repeated with its id after an unknown outcome can be told to be the same.
pub async fn an_unknown_publish_may_be_repeated(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    let message = command(fixture.server(), 1);
    for _ in 0..3 {
        insist(&*broker, message.clone()).await;
    }
    let last = command(fixture.server(), 2);
    insist(&*broker, last.clone()).await;
    let mut consumer = consumer(&*broker, &queue.name).await;
    let mut ids = Vec::new();
    let before = Instant::now();
    while ids.last() != Some(&last.id) && before.elapsed() < PATIENCE {
        ids.push(take(&mut *consumer).await.id);
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>(), HashSet::from([&message.id, &last.id]));
}
