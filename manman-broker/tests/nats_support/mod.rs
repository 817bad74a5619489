//! What the tests of NATS share.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(dead_code, unused_macros, reason = "each test program uses its part")]

use std::time::Duration;

use bytes::Bytes;
use manman_broker::nats::NatsBroker;
use manman_core::{
    broker::{Broker, Class, Exchange, Message, Pattern, Queue, RoutingKey},
    id::{ServerId, SessionId},
};
use tokio::time::timeout;
use uuid::Uuid;

/// Each case on the server that Debian packages, and on the newest.
macro_rules! on_each_server {
    ($($case:ident,)*) => {
        mod packaged { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(manman_services::NatsVersion::Packaged).await;
            }
        )* }

        mod newest { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(manman_services::NatsVersion::Newest).await;
            }
        )* }
    };
}

/// How long what is to come is waited for: it bounds a hang, it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether counts and durations are those of the long run.
pub fn full() -> bool {
    std::env::var("MANMAN_TESTS").as_deref() == Ok("full")
}

/// Whether it gets through is not known yet.
pub async fn open(url: &str) -> NatsBroker {
    NatsBroker::open(&url.parse().unwrap()).await.unwrap()
}

/// Gets through, as soon as it can.
pub async fn connected(url: &str) -> NatsBroker {
    let broker = open(url).await;
    let probed = async {
        while let Err(error) = broker.probe().await {
            assert!(error.is_temporary(), "{url}: {error:?}");
        }
    };
    timeout(PATIENCE, probed).await.unwrap_or_else(|_| panic!("{url} does not get in"));
    broker
}

pub fn message(class: Class, key: RoutingKey, number: usize) -> Message {
    let body = Bytes::from(number.to_string());
    Message { id: Uuid::now_v7(), exchange: Exchange::Internal, key, class, body }
}

pub fn command(server: ServerId, number: usize) -> Message {
    message(Class::Command, RoutingKey::command(server), number)
}

pub fn report(server: ServerId, number: usize) -> Message {
    message(Class::Report, RoutingKey::session_status(server, SessionId(1)), number)
}

/// A queue for the reports of a host.
pub fn reports(server: ServerId) -> Queue {
    Queue {
        name: format!("reports-{server}"),
        bindings: vec![(Exchange::Internal, Pattern::new(format!("status.session.{server}.#")))],
        single_consumer: false,
        ..Queue::of_host(server)
    }
}

/// Publishes until it is told that it is done.
pub async fn insist(broker: &dyn Broker, message: Message) {
    let repeat = async {
        while let Err(error) = broker.publish(message.clone()).await {
            assert!(error.is_temporary(), "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(2 * PATIENCE, repeat).await.expect("it cannot be published");
}
