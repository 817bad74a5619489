//! Row 23 of the faults, for any broker: a host behind a link that is slow and breaks.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{collections::HashSet, time::Duration};

use futures::{StreamExt as _, stream};
use manman_core::{
    broker::{Broker, Class, Consumer, Exchange, Message, Queue, RoutingKey},
    id::{ServerId, SessionId},
};
use manman_services::Proxy;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

const SERVER: ServerId = ServerId(7);

/// Each way.
const DELAY: Duration = Duration::from_millis(300);

/// For each message one way and the other, ten times what it takes. Bounds a hang; it measures nothing.
const PATIENCE: Duration = Duration::from_secs(50);

/// All commands are taken and all reports arrive, with `host` behind `link`.
pub async fn everything_arrives(plane: &dyn Broker, host: &dyn Broker, link: &Proxy) {
    let full = std::env::var("MANMAN_TESTS").is_ok_and(|scale| scale == "full");
    let (count, cut_after) = if full { (40, 4) } else { (6, 2) };
    let (commands, reports) = (Queue::of_host(SERVER), Queue::of_processor());
    for queue in [&commands, &reports] {
        plane.declare(queue).await.unwrap();
    }
    host.probe().await.unwrap();
    let messages = |class, key: RoutingKey| -> Vec<Message> {
        let one = |number: usize| Message {
            id: Uuid::now_v7(),
            exchange: Exchange::Internal,
            key: key.clone(),
            class,
            body: number.to_string().into(),
        };
        (0..count).map(one).collect()
    };
    let to_host = messages(Class::Command, RoutingKey::command(SERVER));
    let from_host = messages(Class::Report, RoutingKey::session_status(SERVER, SessionId(1)));
    link.delay(DELAY);
    let order = async {
        for message in &to_host {
            insist(plane, message).await;
        }
    };
    let obey = async {
        // Broken while something is on its way, one way or the other.
        let cut = async |taken: usize| {
            if taken.is_multiple_of(cut_after) && taken < count {
                let when = [0.3, 1.1, 1.7, 0.6][taken / cut_after % 4];
                sleep(DELAY.mul_f64(when)).await;
                link.cut();
            }
        };
        take(host, &commands, &to_host, cut).await;
    };
    let say = stream::iter(&from_host).for_each_concurrent(3, |message| insist(host, message));
    let hear = take(plane, &reports, &from_host, async |_| {});
    let all = timeout(PATIENCE * count as u32, async { tokio::join!(order, obey, say, hear) }).await;
    assert!(all.is_ok(), "not all arrive");
}

async fn insist(broker: &dyn Broker, message: &Message) {
    while let Err(error) = broker.publish(message.clone()).await {
        assert!(error.is_temporary(), "{error:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Takes until all that is `wanted` was seen; says how many were so far after each new one.
async fn take(broker: &dyn Broker, queue: &Queue, wanted: &[Message], after: impl AsyncFn(usize)) {
    let mut seen = HashSet::new();
    while seen.len() < wanted.len() {
        let mut consumer = consumer(broker, queue).await;
        while let Ok(delivery) = consumer.next().await {
            assert!(wanted.contains(&delivery.message), "{:?} was never sent", delivery.message);
            let id = delivery.message.id;
            let settled = delivery.handle.ack().await;
            if seen.insert(id) {
                after(seen.len()).await;
            }
            if settled.is_err() || seen.len() == wanted.len() {
                break;
            }
        }
    }
}

async fn consumer(broker: &dyn Broker, queue: &Queue) -> Box<dyn Consumer> {
    loop {
        match broker.consume(&queue.name).await {
            Ok(consumer) => return consumer,
            Err(error) => assert!(error.is_temporary(), "{error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
