//! What happens at each bound.

use std::time::Duration;

use super::super::{
    BrokerFixture,
    tools::{PATIENCE, QUIET, beat, command, message, nothing, number, report, take},
};
use crate::{
    broker::{Class, Exchange, MAX_BODY, Pattern, Queue},
    error::ErrorKind,
};

/// C8: a full durable queue is `Busy` to the publisher of a command, never a silent drop.
pub async fn a_full_queue_is_busy(fixture: &impl BrokerFixture) {
    let broker = fixture.client().await;
    let queue = Queue { max_messages: 20, ..fixture.commands() };
    broker.declare(&queue).await.unwrap();
    let mut stored = 0;
    let error = loop {
        match broker.publish(command(fixture.server(), stored)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        // Some brokers take a few more than they were told.
        assert!(stored <= 2 * queue.max_messages, "there is no bound");
    };
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert!(error.is_temporary() && stored >= queue.max_messages);
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    for index in 0..stored {
        assert_eq!(number(&take(&mut *consumer).await), index);
    }
    broker.publish(command(fixture.server(), stored)).await.unwrap();
}

/// C8: an event goes to all queues that take it but the full one, once each, and is `Ok`.
/// With room again, that one gets what comes then.
pub async fn a_full_subscriber_holds_up_no_other(fixture: &impl BrokerFixture) {
    const COUNT: usize = 40;
    let (broker, server) = (fixture.client().await, fixture.server());
    let queue = |name: &str, max_messages| Queue {
        name: format!("{name}-{server}"),
        bindings: vec![(Exchange::External, Pattern::new(format!("manman.case-{server}.#")))],
        max_messages,
        ..fixture.commands()
    };
    let (full, live) = (queue("full", 5), queue("live", 1_000));
    for queue in [&full, &live] {
        broker.declare(queue).await.unwrap();
    }
    let event = |number: usize| {
        let key = format!("manman.case-{server}.online").parse().unwrap();
        message(Class::Event, key, number.to_string())
    };
    for index in 0..COUNT {
        broker.publish(event(index)).await.unwrap();
    }
    let mut served = broker.consume(&live.name).await.unwrap();
    for index in 0..COUNT {
        assert_eq!(number(&take(&mut *served).await), index);
    }
    nothing(&mut *served).await;
    // It has what came first: some brokers take a few more than they were told.
    let mut late = broker.consume(&full.name).await.unwrap();
    for index in 0..full.max_messages {
        assert_eq!(number(&take(&mut *late).await), index);
    }
    let again = async {
        for index in COUNT.. {
            broker.publish(event(index)).await.unwrap();
            let wait = tokio::time::timeout(QUIET, late.next());
            let Ok(delivery) = wait.await else { continue };
            let delivery = delivery.unwrap();
            let number = number(&delivery.message);
            delivery.handle.ack().await.unwrap();
            assert!(number + 1 != COUNT, "nothing was missed");
            if number >= COUNT {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("it gets nothing any more");
}

/// C6: what nobody takes within the `max_age` of its queue goes by itself, and takes no room;
/// what comes then is handed out.
pub async fn what_waits_for_too_long_goes(fixture: &impl BrokerFixture) {
    let (broker, server) = (fixture.client().await, fixture.server());
    let queue = Queue { max_age: Some(Duration::from_secs(1)), ..fixture.commands() };
    broker.declare(&queue).await.unwrap();
    let gone = async {
        for round in 0.. {
            let (old, new) = (command(server, 2 * round), command(server, 2 * round + 1));
            broker.publish(old).await.unwrap();
            // Some brokers look every second.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let mut consumer = broker.consume(&queue.name).await.unwrap();
            // Whoever waits is handed it out at once.
            let (first, published) = tokio::join!(take(&mut *consumer), broker.publish(new.clone()));
            published.unwrap();
            if first == new {
                return;
            }
            // A busy one may be late, and then the new one may go as well, or come in a later round.
            let all = async { while take(&mut *consumer).await != new {} };
            let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it never goes");
}

/// C11: a body over `MAX_BODY` is refused with `Invalid`, here; one of just that passes.
pub async fn a_body_over_the_bound_is_refused(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    let mut message = command(fixture.server(), 1);
    message.body = vec![b'x'; MAX_BODY + 1].into();
    let error = broker.publish(message.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    message.body = vec![b'x'; MAX_BODY].into();
    broker.publish(message.clone()).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    assert_eq!(take(&mut *consumer).await, message);
}

/// Telemetry is bounded: a queue of it drops its oldest, and nobody waits.
pub async fn telemetry_drops_its_oldest(fixture: &impl BrokerFixture) {
    const AT_ONCE: usize = 200;
    let (broker, queue) = (fixture.client().await, fixture.beats());
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let (mut sent, mut seen) = (0, Vec::new());
    let dropped = async {
        // They may leave as slowly as one is taken; so many more of them come than are taken
        // that the queue is full in the end.
        while seen.len() == seen.last().map_or(0, |last| last + 1) {
            for _ in 0..AT_ONCE {
                broker.publish(beat(fixture.server(), sent)).await.unwrap();
                sent += 1;
            }
            seen.push(number(&take(&mut *consumer).await));
        }
    };
    tokio::time::timeout(PATIENCE, dropped).await.expect("nothing is ever dropped");
    let last = sent;
    let newest = async {
        // At most once, any of it: more of it comes until one is seen that is new enough.
        while seen.last().is_none_or(|number| *number < last) {
            broker.publish(beat(fixture.server(), sent)).await.unwrap();
            sent += 1;
            seen.push(number(&take(&mut *consumer).await));
        }
    };
    tokio::time::timeout(PATIENCE, newest).await.expect("the newest never comes");
    assert!(seen.is_sorted(), "{seen:?}");
}

/// C12: telemetry never delays the other classes, nor takes their room.
pub async fn telemetry_leaves_room_for_reports(fixture: &impl BrokerFixture) {
    let broker = fixture.client().await;
    let server = fixture.server();
    let mut queue = Queue { max_messages: 20, ..fixture.reports() };
    queue.bindings.push((Exchange::Internal, Pattern::new(format!("health.{server}.#"))));
    broker.declare(&queue).await.unwrap();
    for index in 0..200 {
        broker.publish(beat(server, index)).await.unwrap();
    }
    let sent = report(server, 1_000);
    broker.publish(sent.clone()).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    while take(&mut *consumer).await != sent {}
}

/// A queue that is not durable lives as long as its consumer.
pub async fn a_queue_of_telemetry_goes_with_its_consumer(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.beats());
    broker.declare(&queue).await.unwrap();
    drop(broker.consume(&queue.name).await.unwrap());
    let gone = async {
        while broker.consume(&queue.name).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is still there");
    // It may be made again, as something else too.
    broker.declare(&Queue { max_messages: 5, ..queue }).await.unwrap();
}
