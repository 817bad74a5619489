//! In which order, how often, and what becomes of what nobody can deal with.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{
    BrokerFixture,
    tools::{PATIENCE, command, next, nothing, number, report, take},
};
use crate::{
    broker::{Broker, Delivery, Queue},
    error::ErrorKind,
};

/// C4: messages of one key come in order.
pub async fn messages_come_in_order(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    for index in 0..50 {
        broker.publish(command(fixture.server(), index)).await.unwrap();
    }
    for index in 0..50 {
        assert_eq!(number(&take(&mut *consumer).await), index);
    }
}

/// C7: commands wait for a consumer that is away.
pub async fn commands_wait_for_a_host_that_is_away(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    drop(broker.consume(&queue.name).await.unwrap());
    for index in 0..50 {
        broker.publish(command(fixture.server(), index)).await.unwrap();
    }
    drop(broker);
    let host = fixture.client().await;
    let mut consumer = host.consume(&queue.name).await.unwrap();
    for index in 0..50 {
        assert_eq!(number(&take(&mut *consumer).await), index);
    }
}

/// C6: the broker expires nothing by itself.
pub async fn nothing_expires_by_itself(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    broker.publish(command(fixture.server(), 1)).await.unwrap();
    tokio::time::sleep(fixture.idle()).await;
    // An idle consumer stays alive as well.
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    take(&mut *consumer).await;
    tokio::time::sleep(fixture.idle()).await;
    broker.publish(command(fixture.server(), 2)).await.unwrap();
    assert_eq!(number(&take(&mut *consumer).await), 2);
}

/// C4: one at a time per queue with a single consumer, whoever else asks.
pub async fn a_single_consumer_gets_one_at_a_time(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    for index in 0..3 {
        broker.publish(command(fixture.server(), index)).await.unwrap();
    }
    let mut first = broker.consume(&queue.name).await.unwrap();
    let mut second = fixture.client().await.consume(&queue.name).await.unwrap();
    let held = next(&mut *first).await;
    nothing(&mut *second).await;
    nothing(&mut *first).await;
    held.handle.ack().await.unwrap();
    assert_eq!(number(&take(&mut *first).await), 1);
}

/// C4: the one that stands by goes on where the first one left.
pub async fn another_consumer_takes_over(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    for index in 0..3 {
        broker.publish(command(fixture.server(), index)).await.unwrap();
    }
    let mut first = broker.consume(&queue.name).await.unwrap();
    let mut second = fixture.client().await.consume(&queue.name).await.unwrap();
    assert_eq!(number(&take(&mut *first).await), 0);
    drop(first);
    assert_eq!(number(&take(&mut *second).await), 1);
    assert_eq!(number(&take(&mut *second).await), 2);
}

/// Without a single consumer, several get messages at once, each another one.
pub async fn competing_consumers_share(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.reports());
    broker.declare(&queue).await.unwrap();
    let mut first = broker.consume(&queue.name).await.unwrap();
    let mut second = fixture.client().await.consume(&queue.name).await.unwrap();
    for index in 0..2 {
        broker.publish(report(fixture.server(), index)).await.unwrap();
    }
    let (one, other) = (next(&mut *first).await, next(&mut *second).await);
    assert_ne!(one.message.id, other.message.id);
    one.handle.ack().await.unwrap();
    other.handle.ack().await.unwrap();
}

/// C5: `nack` hands out again after its delay.
pub async fn a_nacked_message_comes_again_after_its_delay(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    broker.publish(command(fixture.server(), 1)).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let first = next(&mut *consumer).await;
    let (id, delay, before) = (first.message.id, Duration::from_millis(400), Instant::now());
    first.handle.nack(delay).await.unwrap();
    let second = next(&mut *consumer).await;
    // Brokers round to milliseconds.
    assert!(before.elapsed() >= delay - Duration::from_millis(5), "after {:?}", before.elapsed());
    assert_eq!(second.message.id, id);
    second.handle.ack().await.unwrap();
}

/// C5: without a single consumer, the next one flows meanwhile.
pub async fn a_nacked_report_does_not_hold_up_the_next(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.reports());
    broker.declare(&queue).await.unwrap();
    for index in 0..2 {
        broker.publish(report(fixture.server(), index)).await.unwrap();
    }
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let first = next(&mut *consumer).await;
    let nacked = number(&first.message);
    // Longer than anybody waits here for the next one.
    first.handle.nack(2 * PATIENCE).await.unwrap();
    assert_ne!(number(&take(&mut *consumer).await), nacked);
}

/// Dropping a delivery without a word gives it back.
pub async fn an_unsettled_message_comes_again(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    broker.publish(command(fixture.server(), 1)).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    drop(next(&mut *consumer).await);
    // And so does dropping the consumer that holds it.
    let held = next(&mut *consumer).await;
    drop(consumer);
    let mut other = broker.consume(&queue.name).await.unwrap();
    assert_eq!(number(&take(&mut *other).await), 1);
    drop(held);
    nothing(&mut *other).await;
}

/// C5: after `max_deliveries` a message goes to the dead letters with its id, and the
/// next one flows.
pub async fn a_poison_message_ends_among_the_dead(fixture: &impl BrokerFixture) {
    let broker = fixture.client().await;
    let queue = Queue { max_deliveries: 3, ..fixture.commands() };
    broker.declare(&queue).await.unwrap();
    let poison = command(fixture.server(), 1);
    broker.publish(poison.clone()).await.unwrap();
    broker.publish(command(fixture.server(), 2)).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    for _ in 0..queue.max_deliveries {
        let Delivery { message, handle, .. } = next(&mut *consumer).await;
        assert_eq!(message.id, poison.id);
        handle.nack(Duration::ZERO).await.unwrap();
    }
    assert_eq!(number(&take(&mut *consumer).await), 2);
    let dead = buried(&*broker, &queue, |dead| dead.message.id == poison.id).await;
    assert_eq!(dead.message, poison);
    assert_eq!(dead.attempts, queue.max_deliveries);
    assert!(!dead.reason.is_empty());
}

/// C5: `dead` puts a message among the dead letters at once, with the reason given.
pub async fn a_dead_letter_says_why(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.reports());
    broker.declare(&queue).await.unwrap();
    let bad = report(fixture.server(), 1);
    broker.publish(bad.clone()).await.unwrap();
    broker.publish(report(fixture.server(), 2)).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    next(&mut *consumer).await.handle.dead("unsupported_version: 9").await.unwrap();
    let before = Instant::now();
    assert_eq!(number(&take(&mut *consumer).await), 2);
    println!("the next one took {:?}", before.elapsed());
    let dead = buried(&*broker, &queue, |dead| dead.message.id == bad.id).await;
    assert_eq!((dead.message, dead.reason.as_str()), (bad, "unsupported_version: 9"));
}

/// C5: a dead letter that is put back is handed out as for the first time, by its own queue
/// and no other, and is a dead letter no more.
pub async fn a_dead_letter_can_be_put_back(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.reports());
    let other = Queue { name: format!("other-{}", queue.name), ..queue.clone() };
    broker.declare(&queue).await.unwrap();
    broker.declare(&other).await.unwrap();
    let bad = report(fixture.server(), 1);
    broker.publish(bad.clone()).await.unwrap();
    let mut elsewhere = broker.consume(&other.name).await.unwrap();
    assert_eq!(take(&mut *elsewhere).await, bad);
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    next(&mut *consumer).await.handle.dead("not understood").await.unwrap();
    buried(&*broker, &queue, |dead| dead.message.id == bad.id).await;
    broker.dead_letter_requeue(bad.id).await.unwrap();
    let again = next(&mut *consumer).await;
    assert_eq!((&again.message, again.attempt), (&bad, 1));
    again.handle.ack().await.unwrap();
    nothing(&mut *elsewhere).await;
    let left = broker.dead_letters(1_000).await.unwrap();
    assert!(left.iter().all(|dead| dead.message.id != bad.id));
    let error = broker.dead_letter_requeue(bad.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// C5: a dead letter that is dropped is gone; the others stay.
pub async fn a_dead_letter_can_be_dropped(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.reports());
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let (first, second) = (report(fixture.server(), 1), report(fixture.server(), 2));
    for bad in [&first, &second] {
        broker.publish(bad.clone()).await.unwrap();
        next(&mut *consumer).await.handle.dead("not understood").await.unwrap();
        buried(&*broker, &queue, |dead| dead.message.id == bad.id).await;
    }
    broker.dead_letter_drop(first.id).await.unwrap();
    broker.dead_letter_drop(first.id).await.unwrap();
    let left = broker.dead_letters(1_000).await.unwrap();
    assert!(left.iter().all(|dead| dead.message.id != first.id));
    assert!(left.iter().any(|dead| dead.message.id == second.id));
}

/// Those that died last are listed, and any other one is still put back and dropped by its id.
pub async fn an_old_dead_letter_can_be_reached(fixture: &impl BrokerFixture) {
    const COUNT: usize = 203;
    let (broker, queue) = (fixture.client().await, fixture.reports());
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let mut died = Vec::new();
    for index in 0..COUNT {
        let bad = report(fixture.server(), index);
        broker.publish(bad.clone()).await.unwrap();
        next(&mut *consumer).await.handle.dead("not understood").await.unwrap();
        died.push(bad.id);
    }
    let ours = async |limit: usize| {
        let letters = broker.dead_letters(limit).await.unwrap();
        assert!(letters.len() <= limit);
        let ours = letters.into_iter().filter(|letter| letter.queue == queue.name);
        ours.map(|letter| letter.message.id).collect::<Vec<_>>()
    };
    let newest = |count: usize| died.iter().rev().take(count).copied().collect::<Vec<_>>();
    assert!(ours(200).await == newest(200), "they are not the newest, newest first");
    // Again, as to look takes them out for a moment with some brokers.
    assert!(ours(10_000).await == newest(COUNT), "to look at them has changed them");
    let [first, second, ..] = died[..] else { panic!("there are {}", died.len()) };
    broker.dead_letter_requeue(first).await.unwrap();
    assert_eq!(take(&mut *consumer).await.id, first);
    broker.dead_letter_drop(second).await.unwrap();
    assert!(ours(10_000).await == newest(COUNT - 2), "not those two alone are gone");
}

/// A consumer that dies over and over does not use a good message up before
/// `max_deliveries`.
pub async fn a_crash_loop_loses_nothing(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    broker.publish(command(fixture.server(), 1)).await.unwrap();
    for _ in 1..queue.max_deliveries {
        let mut consumer = broker.consume(&queue.name).await.unwrap();
        drop(next(&mut *consumer).await);
    }
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    assert_eq!(number(&take(&mut *consumer).await), 1);
}

/// The dead letter of this queue that is looked for, when it has arrived.
async fn buried(
    broker: &dyn Broker,
    queue: &Queue,
    wanted: impl Fn(&crate::broker::DeadLetter) -> bool,
) -> crate::broker::DeadLetter {
    let found = async {
        loop {
            let dead = broker.dead_letters(1_000).await.unwrap();
            if let Some(dead) = dead.into_iter().find(|dead| dead.queue == queue.name && wanted(dead)) {
                return dead;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it is not among the dead letters")
}
