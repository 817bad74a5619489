//! What happens when the broker itself is killed, ended, or hangs.

use std::{collections::HashSet, time::Duration};

use tokio::time::timeout;

use super::super::{
    BrokerFixture,
    tools::{PATIENCE, command, consumer, insist, number, take},
};

/// C1: what was told to be stored is there after the broker was killed, and so is the queue.
pub async fn what_was_stored_survives_a_kill(fixture: &impl BrokerFixture) {
    let (broker, queue) = (fixture.client().await, fixture.commands());
    broker.declare(&queue).await.unwrap();
    for index in 0..20 {
        broker.publish(command(fixture.server(), index)).await.unwrap();
    }
    fixture.faults().kill().await;
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
