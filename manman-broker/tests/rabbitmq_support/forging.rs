//! A host that tries to speak for another one, with its own account and no program of ours.

use std::time::Duration;

use lapin::{
    ExchangeKind,
    options::{
        BasicConsumeOptions, BasicGetOptions, ExchangeBindOptions, ExchangeDeclareOptions,
        ExchangeDeleteOptions, QueueBindOptions, QueueDeleteOptions, QueuePurgeOptions,
    },
    types::FieldTable,
};
use manman_core::{
    broker::{Class, Message, Queue, RoutingKey},
    store::ServerStore as _,
};
use tokio::time::{sleep, timeout};

use super::{
    accounts::{PATIENCE, message},
    plane::{MANMAN, Plane, TELEMETRY, copies, denied, text},
};

/// What RabbitMQ itself refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_refused_what_is_of_another() {
    let plane = Plane::begin().await;
    let (theirs, own) = (plane.victim.server, RoutingKey::host_status(plane.thief.server));
    let (commands, asks) = (Queue::of_host(theirs).name, Queue::of_asks(plane.thief.server).name);
    let none = FieldTable::default;
    for key in [RoutingKey::host_status(theirs), RoutingKey::health(theirs), RoutingKey::command(theirs)] {
        for exchange in [MANMAN, TELEMETRY, "manman.dead"] {
            denied("publish", plane.forge(exchange, key.as_str(), none()).await);
        }
    }
    for queue in [&commands, "processor", &Queue::of_host(plane.thief.server).name] {
        denied("write straight to a queue", plane.forge("", queue, none()).await);
    }
    denied("bury for another", plane.forge("manman.dead", &commands, none()).await);
    denied("bury for all", plane.forge("manman.dead", "processor", none()).await);
    denied("tell others", plane.forge("external", "manman.host.online", none()).await);
    for queue in [commands.as_str(), "processor", "processor.telemetry", "manman.dead"] {
        let channel = plane.channel().await;
        let consume =
            channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), none()).await;
        denied("consume", consume.map(drop));
        let channel = plane.channel().await;
        denied("get", channel.basic_get(queue.into(), BasicGetOptions::default()).await.map(drop));
        let channel = plane.channel().await;
        denied("purge", channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await);
        let channel = plane.channel().await;
        denied("delete", channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await);
        let channel = plane.channel().await;
        let bind = channel.queue_bind(
            queue.into(),
            MANMAN.into(),
            own.as_str().into(),
            QueueBindOptions::default(),
            none(),
        );
        denied("bind", bind.await);
    }
    // Its own queue: what may come in, and where it may die.
    plane.trap(MANMAN, own.as_str()).await.unwrap();
    for key in ["#", RoutingKey::command(theirs).as_str(), RoutingKey::ask(theirs).as_str()] {
        let channel = plane.channel().await;
        let options = QueueBindOptions::default();
        let bind = channel.queue_bind(asks.as_str().into(), MANMAN.into(), key.into(), options, none());
        denied("listen", bind.await);
    }
    denied("die straight into a queue", plane.trap("", "processor").await);
    denied("die among what others hear", plane.trap("external", "manman.host.online").await);
    let channel = plane.channel().await;
    denied(
        "delete an exchange",
        channel.exchange_delete(MANMAN.into(), ExchangeDeleteOptions::default()).await,
    );
    let channel = plane.channel().await;
    let (topic, options) = (ExchangeKind::Topic, ExchangeDeclareOptions::default());
    denied("declare an exchange", channel.exchange_declare("of-my-own".into(), topic, options, none()).await);
    plane.end().await;
}

/// What RabbitMQ lets through is believed by nobody: copies, messages that die under another
/// key, an exchange of one's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_host_says_for_another_is_not_believed() {
    let plane = Plane::begin().await;
    let victim = plane.victim.server;
    let before = plane.store.server_get(victim).await.unwrap();
    let own = RoutingKey::host_status(plane.thief.server);
    let status = RoutingKey::host_status(victim);
    let command = RoutingKey::command(victim);
    let mut at_host = Vec::new();

    // RabbitMQ sends copies to keys that it does not check.
    for header in ["CC", "BCC"] {
        let keys = [status.clone(), RoutingKey::health(victim), command.clone()];
        let id = plane.forge(MANMAN, own.as_str(), copies(header, &keys)).await.unwrap();
        plane.is_refused(id).await;
        at_host.push(id);
    }

    // What dies in a queue of one's own goes on by any key.
    let id = plane.die_into(MANMAN, status.as_str()).await;
    plane.is_refused(id).await;
    at_host.push(plane.die_into(MANMAN, command.as_str()).await);
    // Also among the dead letters, as if it had been in the queue of all reports: put back by an
    // administrator it is believed no more than before.
    for key in ["processor", "processor.limit.20"] {
        let id = plane.die_into("manman.dead", key).await;
        let letter = plane.letter(id, |letter| letter.reason.starts_with("expired")).await;
        assert_ne!(letter.message.key.server(), Some(victim), "{letter:?}");
        plane.broker.dead_letter_requeue(id).await.unwrap();
        plane.is_refused(id).await;
    }

    // An exchange of one's own: what it does not route goes on to ours, or it is bound to ours.
    let exchange = Queue::of_asks(plane.thief.server).name;
    for bound in [false, true] {
        let channel = plane.channel().await;
        let name = || exchange.as_str().into();
        channel.exchange_delete(name(), ExchangeDeleteOptions::default()).await.unwrap();
        let mut arguments = FieldTable::default();
        if !bound {
            arguments.insert("alternate-exchange".into(), text(MANMAN));
        }
        let options = ExchangeDeclareOptions::default();
        channel.exchange_declare(name(), ExchangeKind::Topic, options, arguments).await.unwrap();
        if bound {
            let (options, none) = (ExchangeBindOptions::default(), FieldTable::default());
            channel.exchange_bind(MANMAN.into(), name(), "#".into(), options, none).await.unwrap();
        }
        let id = plane.forge(&exchange, status.as_str(), FieldTable::default()).await.unwrap();
        plane.is_refused(id).await;
        at_host.push(plane.forge(&exchange, command.as_str(), FieldTable::default()).await.unwrap());
    }

    plane.commands(&at_host).await;
    assert_eq!(plane.store.server_get(victim).await.unwrap(), before);
    // It is believed from the victim itself, and would have shown.
    let body = plane.report(plane.victim, 3_000).into();
    let said = Message { body, ..message(Class::Report, status) };
    plane.broker.publish(said).await.unwrap();
    let heard = async {
        while plane.store.server_get(victim).await.unwrap() == before {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, heard).await.expect("the victim itself is not heard");
    plane.end().await;
}
