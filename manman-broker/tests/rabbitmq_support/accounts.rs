//! Who may do what.

use std::time::Duration;

use manman_broker::rabbitmq::{HostAccount, RabbitBroker};
use manman_core::{
    broker::{Broker, Class, Exchange, Message, Pattern, Queue, RoutingKey},
    error::{Chain, ErrorKind},
    id::{ServerId, SessionId},
};
use manman_services::{Permissions, Rabbit};
use tokio::time::timeout;
use uuid::Uuid;

use super::{Ground, node, patient, url};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn message(class: Class, key: RoutingKey) -> Message {
    let exchange = if class == Class::Event { Exchange::External } else { Exchange::Internal };
    Message { id: Uuid::now_v7(), exchange, key, class, body: "{}".into() }
}

pub fn permit_host(ground: &Ground, user: &str, server: ServerId) {
    let account = HostAccount::of(server);
    let permissions = Permissions {
        configure: &account.configure,
        write: &account.write,
        read: &account.read,
        topics: &account.topics,
    };
    node().permit(user, &ground.vhost, &permissions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_may_do_what_is_its_own_and_nothing_else() {
    let ground = Ground::new();
    let (ours, theirs) = (ServerId(7), ServerId(77));
    let control = ground.broker();
    let processor = Queue::of_processor();
    for queue in [&processor, &Queue::of_host(ours), &Queue::of_host(theirs)] {
        control.declare(queue).await.unwrap();
    }
    let user = format!("host-7-of-{}", ground.vhost);
    node().user(&user, "hunter2");
    permit_host(&ground, &user, ours);
    let host = RabbitBroker::connect(patient(&ground.url(&user, "hunter2"))).await.unwrap();

    // What is its own.
    control.publish(message(Class::Command, RoutingKey::command(ours))).await.unwrap();
    let mut commands = host.consume(&Queue::of_host(ours).name).await.unwrap();
    let command = timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    command.handle.dead("not understood").await.unwrap();
    host.declare(&Queue::of_asks(ours)).await.unwrap();
    let mut asks = host.consume(&Queue::of_asks(ours).name).await.unwrap();
    control.publish(message(Class::Telemetry, RoutingKey::ask(ours))).await.unwrap();
    timeout(PATIENCE, asks.next()).await.unwrap().unwrap().handle.ack().await.unwrap();
    let own = [RoutingKey::host_status(ours), RoutingKey::session_status(ours, SessionId(3))];
    for key in own.clone() {
        host.publish(message(Class::Report, key)).await.unwrap();
    }
    let mut reports = control.consume(&processor.name).await.unwrap();
    for key in own {
        let report = timeout(PATIENCE, reports.next()).await.unwrap().unwrap();
        assert_eq!(report.message.key, key);
        report.handle.ack().await.unwrap();
    }

    // What is not.
    for key in [
        RoutingKey::host_status(theirs),
        RoutingKey::session_status(theirs, SessionId(3)),
        RoutingKey::command(ours),
        RoutingKey::command(theirs),
        RoutingKey::probe(Uuid::new_v4()),
    ] {
        let error = host.publish(message(Class::Report, key.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{key}: {error:?}");
    }
    let event = host.publish(message(Class::Event, "manman.host.online".parse().unwrap())).await;
    assert_eq!(event.unwrap_err().kind(), ErrorKind::Denied);
    let refused = [
        host.consume(&Queue::of_host(theirs).name).await.map(drop),
        host.consume(&processor.name).await.map(drop),
        host.declare(&Queue::of_host(ours)).await,
        host.declare(&Queue::of_asks(theirs)).await,
        host.delete(&Queue::of_host(theirs).name).await,
        host.dead_letters(10).await.map(drop),
    ];
    for (index, refused) in refused.into_iter().enumerate() {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{index}: {error:?}");
    }
    // A queue of its own name does not let it listen to others.
    host.delete(&Queue::of_asks(ours).name).await.unwrap();
    let everything = Pattern::new("#");
    let curious = Queue { bindings: vec![(Exchange::Internal, everything)], ..Queue::of_asks(ours) };
    assert_eq!(host.declare(&curious).await.unwrap_err().kind(), ErrorKind::Denied);

    // Telemetry says nothing, and arrives for its own alone; a refusal is over soon.
    host.publish(message(Class::Telemetry, RoutingKey::health(theirs))).await.unwrap();
    let beat = async {
        loop {
            host.publish(message(Class::Telemetry, RoutingKey::health(ours))).await.unwrap();
            if let Ok(beat) = timeout(Duration::from_millis(100), reports.next()).await {
                return beat.unwrap().message.key.clone();
            }
        }
    };
    assert_eq!(timeout(PATIENCE, beat).await.unwrap(), RoutingKey::health(ours));
    // And with all that it goes on as before.
    host.publish(message(Class::Report, RoutingKey::host_status(ours))).await.unwrap();
    node().remove_user(&user);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_told_once_and_clearly() {
    let ground = Ground::new();
    let begin = async |url: String| RabbitBroker::connect(patient(&url)).await.unwrap_err();
    let port = ground.proxy.port();
    let error = begin(ground.url(Rabbit::USER, "hunter2")).await;
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Denied, true), "{error:?}");
    let text = format!("{} {error:?}", Chain(&error));
    assert!(text.contains(&format!("RabbitMQ at 127.0.0.1:{port} refuses user \"admin\": check")), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let error = begin(url(Rabbit::USER, Rabbit::PASSWORD, port, "nowhere")).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("nowhere"), "{error}");
    ground.proxy.refuse();
    let error = begin(ground.url(Rabbit::USER, Rabbit::PASSWORD)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains(&format!("127.0.0.1:{port} cannot be reached")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_taken_away_and_given_back() {
    let ground = Ground::new();
    let user = format!("fickle-of-{}", ground.vhost);
    let all = Permissions { configure: ".*", write: ".*", read: ".*", topics: &[] };
    let let_in = || {
        node().user(&user, "hunter2");
        node().permit(&user, &ground.vhost, &all);
    };
    let_in();
    let broker = RabbitBroker::connect(patient(&ground.url(&user, "hunter2"))).await.unwrap();
    let queue = Queue::of_host(ServerId(7));
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    node().remove_user(&user);
    ground.proxy.cut();
    timeout(Duration::from_secs(20), consumer.next()).await.expect("it goes on").unwrap_err();
    let refused = async {
        loop {
            let command = message(Class::Command, RoutingKey::command(ServerId(7)));
            if let Err(error) = broker.publish(command).await {
                assert!(error.is_temporary(), "{error:?}");
                if error.kind() == ErrorKind::Denied {
                    return Chain(&error).to_string();
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let text = timeout(PATIENCE, refused).await.unwrap();
    assert!(text.contains(&user) && !text.contains("hunter2"), "{text}");
    let_in();
    let healed = async {
        while broker.publish(message(Class::Command, RoutingKey::command(ServerId(7)))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Over a connection of its own, which may hold its last refusal a moment longer.
        while let Err(error) = broker.consume(&queue.name).await {
            assert!(error.is_temporary(), "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, healed).await.unwrap();
    node().remove_user(&user);
}
