//! What happens when the broker, or the way to it, fails.

use std::{collections::HashSet, time::Duration};

use tokio::time::{Instant, timeout};

use super::super::{
    BrokerFixture,
    tools::{PATIENCE, command, consumer, end, insist, number, report, take},
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

/// C1: what was stored is there after the broker was away, and so is the queue.
pub async fn what_was_stored_survives_an_outage(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    for index in 0..20 {
        broker.publish(command(fixture.server(), index)).await.unwrap();
    }
    fixture.faults().stop().await;
    fixture.faults().start().await;
    let mut consumer = consumer(&*broker, &queue.name).await;
    let mut seen = HashSet::new();
    while seen.len() < 20 {
        seen.insert(number(&take(&mut *consumer).await));
    }
}

/// Publishing while it is away fails as what may succeed later, within seconds.
pub async fn publishing_to_a_broker_that_is_away_fails_for_now(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    fixture.faults().stop().await;
    let published = timeout(PATIENCE, broker.publish(command(fixture.server(), 1))).await;
    let error = published.expect("publish hangs").unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    fixture.faults().start().await;
    insist(&*broker, command(fixture.server(), 2)).await;
    let mut consumer = consumer(&*broker, &queue.name).await;
    while number(&take(&mut *consumer).await) != 2 {}
}

/// C2: from a broker that hangs there is no `Ok`; when it goes on, all goes on.
pub async fn publishing_to_a_frozen_broker_promises_nothing(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    fixture.faults().freeze().await;
    let published = timeout(Duration::from_secs(3), broker.publish(command(fixture.server(), 1))).await;
    if let Ok(answer) = published {
        assert!(answer.unwrap_err().is_temporary());
    }
    fixture.faults().thaw().await;
    insist(&*broker, command(fixture.server(), 2)).await;
    let mut consumer = consumer(&*broker, &queue.name).await;
    while number(&take(&mut *consumer).await) != 2 {}
}

/// C1, C3: with cuts at random, every `Ok` is delivered at least once, and nothing is
/// delivered that was never sent.
pub async fn every_ok_is_delivered_through_cuts(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.reports());
    broker.declare(&queue).await.unwrap();
    let messages: Vec<_> = (0..200).map(|index| report(fixture.server(), index)).collect();
    let publish = async {
        for message in &messages {
            insist(&*broker, message.clone()).await;
            if fastrand::u8(..20) == 0 {
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
                assert!(messages.contains(&delivery.message), "{:?} was never sent", delivery.message);
                // Before the ack, which may arrive and be told to have failed.
                seen.insert(delivery.message.id);
                if delivery.handle.ack().await.is_err() || seen.len() == messages.len() {
                    break;
                }
            }
        }
    };
    let both = async { tokio::join!(publish, receive) };
    timeout(4 * PATIENCE, both).await.expect("something that was told to be stored is gone");
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
