//! What the cases share.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    broker::{Broker, Class, Consumer, Delivery, Exchange, Message, RoutingKey},
    error::Result,
    id::{ServerId, SessionId},
};

/// How long a case waits for what is to come. Long: it bounds a hang, it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a case waits for what is not to come.
pub const QUIET: Duration = Duration::from_millis(300);

pub fn message(class: Class, key: RoutingKey, body: impl Into<Bytes>) -> Message {
    let exchange = if class == Class::Event { Exchange::External } else { Exchange::Internal };
    Message { id: Uuid::now_v7(), exchange, key, class, body: body.into() }
}

/// The `number`-th command for a host.
pub fn command(server: ServerId, number: usize) -> Message {
    message(Class::Command, RoutingKey::command(server), number.to_string())
}

/// The `number`-th report of a host.
pub fn report(server: ServerId, number: usize) -> Message {
    message(Class::Report, RoutingKey::session_status(server, SessionId(1)), number.to_string())
}

/// The `number`-th heartbeat of a host.
pub fn beat(server: ServerId, number: usize) -> Message {
    message(Class::Telemetry, RoutingKey::health(server), number.to_string())
}

pub fn number(message: &Message) -> usize {
    std::str::from_utf8(&message.body).unwrap().parse().unwrap()
}

/// The next message, which has to come.
pub async fn next(consumer: &mut dyn Consumer) -> Delivery {
    timeout(PATIENCE, consumer.next()).await.expect("no message came").unwrap()
}

/// The next message, settled.
pub async fn take(consumer: &mut dyn Consumer) -> Message {
    let delivery = next(consumer).await;
    delivery.handle.ack().await.unwrap();
    delivery.message
}

/// Nothing comes.
pub async fn nothing(consumer: &mut dyn Consumer) {
    if let Ok(delivery) = timeout(QUIET, consumer.next()).await {
        panic!("something came: {delivery:?}");
    }
}

/// Publishes until it is told that it is done: what a caller does about "unknown".
pub async fn insist(broker: &dyn Broker, message: Message) {
    let repeat = async {
        while let Err(error) = broker.publish(message.clone()).await {
            assert!(error.is_temporary(), "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, repeat).await.expect("it cannot be published");
}

/// A consumer, as soon as there can be one.
pub async fn consumer(broker: &dyn Broker, queue: &str) -> Box<dyn Consumer> {
    let again = async {
        loop {
            match broker.consume(queue).await {
                Ok(consumer) => return consumer,
                Err(error) => assert!(error.is_temporary(), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("no consumer can be had")
}

/// The end of a consumer, which has to come within five seconds.
pub async fn end(mut consumer: Box<dyn Consumer>) {
    let ended: Result<()> = timeout(Duration::from_secs(5), async {
        loop {
            drop(consumer.next().await?);
        }
    })
    .await
    .expect("it goes on as if nothing had happened");
    assert!(ended.is_err());
}
