//! What only a network and an administrator can do.

use std::time::Duration;

use lapin::{
    Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicNackOptions, QueueDeclareOptions},
};
use manman_broker::rabbitmq::RabbitBroker;
use manman_core::{
    broker::{Broker, Class, Exchange, Message, Queue, RoutingKey},
    id::ServerId,
};
use manman_services::Rabbit;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{Ground, node, patient, url};
use crate::slow_link::everything_arrives;

const SERVER: ServerId = ServerId(7);

fn command(number: usize) -> Message {
    Message {
        id: Uuid::now_v7(),
        exchange: Exchange::Internal,
        key: RoutingKey::command(SERVER),
        class: Class::Command,
        body: number.to_string().into(),
    }
}

async fn insist(broker: &dyn Broker, message: Message) {
    while let Err(error) = broker.publish(message.clone()).await {
        assert!(error.is_temporary(), "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Row 21 of the faults: within ten seconds, on a machine that has nothing else to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_is_noticed() {
    let ground = Ground::new();
    let broker = RabbitBroker::connect(ground.config()).await.unwrap();
    let queue = Queue::of_host(SERVER);
    broker.declare(&queue).await.unwrap();
    broker.publish(command(1)).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    delivery.handle.ack().await.unwrap();
    ground.proxy.blackhole();
    let begun = Instant::now();
    timeout(Duration::from_secs(40), consumer.next()).await.expect("it goes on").unwrap_err();
    println!("noticed after {:?}", begun.elapsed());
    ground.proxy.pass();
    timeout(Duration::from_secs(30), insist(&broker, command(2))).await.expect("it does not heal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_an_administrator_deletes_ends_its_consumer() {
    let ground = Ground::new();
    let broker = ground.broker();
    let queue = Queue { single_consumer: false, ..Queue::of_host(SERVER) };
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    node().ask("DELETE", &format!("/api/queues/{}/{}", ground.vhost, queue.name), "");
    timeout(Duration::from_secs(20), consumer.next()).await.expect("it goes on").unwrap_err();
    broker.declare(&queue).await.unwrap();
    broker.publish(command(1)).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    timeout(Duration::from_secs(30), consumer.next()).await.unwrap().unwrap().handle.ack().await.unwrap();
}

/// Publishes are on their way together: a hundred are stored before one of them is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_do_not_wait_for_each_other() {
    let ground = Ground::new();
    let broker = ground.broker();
    let queue = Queue::of_host(SERVER);
    broker.declare(&queue).await.unwrap();
    broker.publish(command(0)).await.unwrap();
    let url = url(Rabbit::USER, Rabbit::PASSWORD, node().port(), &ground.vhost);
    let direct = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = direct.create_channel().await.unwrap();
    ground.proxy.withhold();
    let stored = async {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let count = async || {
            let declare = channel.queue_declare(queue.name.as_str().into(), passive, Default::default());
            declare.await.unwrap().message_count()
        };
        while count().await < 101 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ground.proxy.pass();
    };
    let all = futures::future::join_all((1..=100).map(|number| broker.publish(command(number))));
    let (published, stored) = tokio::join!(all, timeout(Duration::from_secs(30), stored));
    stored.expect("they wait for each other");
    for published in published {
        published.unwrap();
    }
}

/// Row 23 of the faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_arrives_over_a_slow_link_that_breaks() {
    let ground = Ground::new();
    let plane = url(Rabbit::USER, Rabbit::PASSWORD, node().port(), &ground.vhost);
    let plane = RabbitBroker::connect(patient(&plane)).await.unwrap();
    everything_arrives(&plane, &*ground.broker(), &ground.proxy).await;
}

/// Whoever reads dead letters and goes away midway leaves nothing locked and nothing out: the
/// next one, over another connection, reads them all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_of_dead_letters_that_is_dropped_holds_up_nobody() {
    let ground = Ground::new();
    let (queue, broker) = (Queue::of_host(SERVER), ground.broker());
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    for number in 0..5 {
        broker.publish(command(number)).await.unwrap();
        consumer.next().await.unwrap().handle.dead("not understood").await.unwrap();
    }
    let begun = Instant::now();
    assert_eq!(broker.dead_letters(10).await.unwrap().len(), 5);
    let usual = begun.elapsed();
    let other = ground.broker();
    other.probe().await.unwrap();
    for part in 0..20 {
        // Some of these are through before they are dropped; most are not.
        let _ = timeout(usual * part / 20, broker.dead_letters(10)).await;
        // While the first connection stands: nothing but its reading gives the lock back.
        assert_eq!(other.dead_letters(10).await.unwrap().len(), 5, "{part}");
    }
    drop(broker);
}

/// Where nothing was declared yet there are no dead letters, and nobody is held up either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_dead_letters_hold_up_nobody() {
    let ground = Ground::new();
    let (one, other) = (ground.broker(), ground.broker());
    assert!(one.dead_letters(10).await.unwrap().is_empty());
    assert!(other.dead_letters(10).await.unwrap().is_empty());
    drop(one);
}

/// What RabbitMQ itself gives up, as those who took it died of it, is a dead letter like any
/// other, and goes back by the key that it came by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kills_its_consumers_can_be_put_back() {
    let ground = Ground::new();
    let broker = ground.broker();
    let queue = Queue { max_deliveries: 1, single_consumer: false, ..Queue::of_host(SERVER) };
    broker.declare(&queue).await.unwrap();
    let sent = command(1);
    broker.publish(sent.clone()).await.unwrap();
    let url = url(Rabbit::USER, Rabbit::PASSWORD, node().port(), &ground.vhost);
    let link = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = link.create_channel().await.unwrap();
    let given_up = async {
        loop {
            let get = channel.basic_get(queue.name.as_str().into(), BasicGetOptions::default());
            if let Some(taken) = get.await.unwrap() {
                let back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
                taken.nack(back).await.unwrap();
            }
            if let Some(letter) = broker.dead_letters(10).await.unwrap().pop() {
                return letter;
            }
        }
    };
    let letter = timeout(Duration::from_secs(30), given_up).await.expect("it is never given up");
    assert_eq!((&letter.message, letter.queue.as_str()), (&sent, queue.name.as_str()));
    assert!(letter.reason.starts_with("max_deliveries"), "{letter:?}");
    broker.dead_letter_requeue(sent.id).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let again = timeout(Duration::from_secs(30), consumer.next()).await.unwrap().unwrap();
    assert_eq!(again.message, sent);
    again.handle.ack().await.unwrap();
}

/// What nobody took for too long is a dead letter that says so, and goes back by the key that
/// it came by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_too_long_can_be_put_back() {
    let ground = Ground::new();
    let broker = ground.broker();
    let queue = Queue { max_age: Some(Duration::from_secs(1)), ..Queue::of_host(SERVER) };
    broker.declare(&queue).await.unwrap();
    let sent = command(1);
    broker.publish(sent.clone()).await.unwrap();
    let given_up = async {
        loop {
            if let Some(letter) = broker.dead_letters(10).await.unwrap().pop() {
                return letter;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let letter = timeout(Duration::from_secs(30), given_up).await.expect("it is never given up");
    assert_eq!((&letter.message, letter.queue.as_str()), (&sent, queue.name.as_str()));
    assert_eq!((letter.reason.as_str(), letter.attempts), ("expired: nobody took it in time", 0));
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let next = timeout(Duration::from_secs(30), consumer.next());
    let (again, back) = tokio::join!(next, broker.dead_letter_requeue(sent.id));
    back.unwrap();
    let again = again.unwrap().unwrap();
    assert_eq!(again.message, sent);
    again.handle.ack().await.unwrap();
    // And what RabbitMQ cannot count is refused.
    let long = Queue { max_age: Some(Duration::from_secs(50 * 24 * 60 * 60)), ..Queue::of_host(ServerId(8)) };
    let error = broker.declare(&long).await.unwrap_err();
    assert_eq!(error.kind(), manman_core::error::ErrorKind::Invalid, "{error:?}");
}
