//! Queues, and what they stand on.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use manman_broker::rabbitmq::RabbitBroker;
use manman_core::{
    broker::{Broker, Class, Queue, RoutingKey},
    error::{ErrorKind, Result},
    id::ServerId,
};
use tokio::time::Instant;

use super::{Ground, accounts::message, node};

/// A fleet that comes at once, on the one connection of its control plane: nobody is told that
/// RabbitMQ does not answer, which would end the connection for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queues_of_a_fleet_are_made_without_a_timeout() {
    let ground = Ground::new();
    let broker = RabbitBroker::connect(ground.config()).await.unwrap();
    let queues: Vec<_> = (1..=200).map(|server| Queue::of_host(ServerId(server))).collect();
    let begun = Instant::now();
    let make = async |queue: &Queue| -> Result<u32> {
        let mut put_off = 0;
        loop {
            match broker.declare(queue).await {
                Err(error) if error.kind() == ErrorKind::Busy => put_off += 1,
                made => return made.map(|()| put_off),
            }
        }
    };
    let made: Vec<u32> = future::try_join_all(queues.iter().map(make)).await.unwrap();
    println!("200 queues in {:?}, put off {} times", begun.elapsed(), made.iter().sum::<u32>());
    broker.publish(message(Class::Command, RoutingKey::command(ServerId(200)))).await.unwrap();
    // RabbitMQ takes its time to remove as many with their virtual host.
    let gone = stream::iter(&queues).map(|queue| broker.delete(&queue.name)).buffer_unordered(4);
    gone.try_collect::<Vec<()>>().await.unwrap();
}

/// Exchanges are taken to be there for a while after they were made. What an administrator
/// deletes in that time is made again by who needs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_an_administrator_deletes_is_made_again() {
    let ground = Ground::new();
    let broker = ground.broker();
    broker.declare(&Queue::of_processor()).await.unwrap();
    for server in [7, 8] {
        node().ask("DELETE", &format!("/api/exchanges/{}/manman", ground.vhost), "");
        let server = ServerId(server);
        let sent = message(Class::Command, RoutingKey::command(server));
        assert_eq!(broker.publish(sent.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
        broker.declare(&Queue::of_host(server)).await.unwrap();
        broker.publish(sent.clone()).await.unwrap();
        let mut consumer = broker.consume(&Queue::of_host(server).name).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await.unwrap().unwrap();
        assert_eq!(next.message, sent);
        next.handle.ack().await.unwrap();
    }
    node().ask("DELETE", &format!("/api/exchanges/{}/manman.telemetry", ground.vhost), "");
    broker.declare(&Queue::of_processor()).await.unwrap();
    broker.publish(message(Class::Telemetry, RoutingKey::health(ServerId(7)))).await.unwrap();
    let mut beats = broker.consume(&Queue::of_processor().name).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), beats.next()).await.unwrap().unwrap();
}
