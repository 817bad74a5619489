//! Bodies that no broker of ours sends, and RabbitMQ takes.

use std::time::Duration;

use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use manman_core::{
    broker::{Broker, Class, DeadLetter, MAX_BODY, Queue, RoutingKey},
    id::{ServerId, SessionId},
};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    Ground,
    accounts::{message, permit_host},
    full, node,
};

const SERVER: ServerId = ServerId(7);
const PATIENCE: Duration = Duration::from_secs(60);

async fn letter(broker: &dyn Broker, id: Uuid) -> Option<DeadLetter> {
    broker.dead_letters(10).await.unwrap().into_iter().find(|letter| letter.message.id == id)
}

/// With the account of a host: its dead letter says how large it was, those before it are
/// still there, and the next report flows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_far_too_large_pushes_no_letter_out() {
    // RabbitMQ keeps 64 MiB of dead letters.
    let size = if full() { 80 } else { 2 } * 1024 * 1024;
    let ground = Ground::new();
    let (broker, queue) = (ground.broker(), Queue::of_processor());
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let key = RoutingKey::session_status(SERVER, SessionId(1));
    let earlier = message(Class::Report, key.clone());
    broker.publish(earlier.clone()).await.unwrap();
    let taken = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    taken.handle.dead("not understood").await.unwrap();

    let user = format!("large-of-{}", ground.vhost);
    node().user(&user, "hunter2");
    permit_host(&ground, &user, SERVER);
    let url = ground.url(&user, "hunter2");
    let link = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = link.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let id = Uuid::now_v7();
    let properties = BasicProperties::default()
        .with_message_id(id.to_string().into())
        .with_type("report".into())
        .with_delivery_mode(2);
    let (options, body) = (BasicPublishOptions::default(), vec![b'x'; size]);
    let publish = channel.basic_publish("manman".into(), key.as_str().into(), options, &body, properties);
    publish.await.unwrap().await.unwrap();
    let next = message(Class::Report, key.clone());
    broker.publish(next.clone()).await.unwrap();

    let large = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    assert_eq!((large.message.id, large.message.body.len()), (id, size));
    large.handle.dead("malformed").await.unwrap();
    let flows = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    assert_eq!(flows.message, next);
    flows.handle.ack().await.unwrap();
    let dead = letter(&*broker, id).await.expect("it is no dead letter");
    assert_eq!((&dead.message.key, dead.message.body.len()), (&key, 0));
    let reason = format!("too_large: its {size} bytes are over {MAX_BODY} and not kept; malformed");
    assert_eq!((dead.queue, dead.reason), (queue.name, reason));
    let before = letter(&*broker, earlier.id).await.expect("the one before was pushed out");
    assert_eq!(before.message, earlier);
    node().remove_user(&user);
}
