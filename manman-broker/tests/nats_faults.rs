//! What happens to the broker over NATS when its server, the way there or an administrator
//! does something: on the server that Debian packages and on the newest.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stdout, reason = "a test run shows how long things took")]

#[macro_use]
mod nats_support;
mod slow_link;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use manman_core::{
    broker::{Broker, Class, Message, Queue},
    error::ErrorKind,
    id::ServerId,
};
use manman_services::{NatsServer, NatsVersion, Proxy};
use tokio::time::timeout;

use nats_support::{PATIENCE, command, connected, full, insist, open, report, reports};

/// Row 18 of the faults: with the server killed again and again, whatever was told to be
/// stored is delivered.
async fn every_ok_is_delivered_through_kills(version: NatsVersion) {
    let (count, kills) = if full() { (10_000, 20) } else { (2_000, 3) };
    let server = Arc::new(NatsServer::start(version));
    let url = format!("nats://127.0.0.1:{}", server.port());
    let queue = Queue { max_messages: 2 * count, ..reports(ServerId(7)) };
    let broker = open(&url).await;
    insist_on_queue(&broker, &queue).await;
    let published = Arc::new(AtomicBool::new(false));
    let killer = {
        let (server, published) = (server.clone(), published.clone());
        tokio::spawn(async move {
            for kill in 0.. {
                if kill == kills || published.load(Ordering::Relaxed) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                let server = server.clone();
                tokio::task::spawn_blocking(move || {
                    server.kill();
                    server.begin();
                })
                .await
                .unwrap();
            }
        })
    };
    let sent = Mutex::new(HashSet::new());
    stream::iter(0..count)
        .for_each_concurrent(64, |index| {
            let (broker, sent) = (&broker, &sent);
            async move {
                let message = report(ServerId(7), index);
                insist(broker, message.clone()).await;
                sent.lock().unwrap().insert(message.id);
            }
        })
        .await;
    published.store(true, Ordering::Relaxed);
    killer.await.unwrap();
    let mut missing = sent.into_inner().unwrap();
    let taken = async {
        while !missing.is_empty() {
            let Ok(mut consumer) = broker.consume(&queue.name).await else { continue };
            while let Ok(delivery) = consumer.next().await {
                missing.remove(&delivery.message.id);
                if delivery.handle.ack().await.is_err() || missing.is_empty() {
                    break;
                }
            }
        }
    };
    let taken = timeout(4 * PATIENCE, taken).await;
    assert!(taken.is_ok(), "told to be stored and gone: {}", missing.len());
}

/// A server that hangs for long: nothing is promised meanwhile, and all flows after it.
async fn a_server_that_hangs_is_survived(version: NatsVersion) {
    let server = NatsServer::start(version);
    let broker = open(&format!("nats://127.0.0.1:{}", server.port())).await;
    let queue = reports(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    server.freeze();
    let begun = Instant::now();
    let noticed = async { tokio::join!(consumer.next(), broker.publish(report(ServerId(7), 1))) };
    let (next, published) = timeout(PATIENCE, noticed).await.expect("it hangs");
    assert!(next.unwrap_err().is_temporary());
    assert!(published.unwrap_err().is_temporary());
    let hangs = Duration::from_secs(if full() { 15 } else { 4 });
    tokio::time::sleep(hangs.saturating_sub(begun.elapsed())).await;
    server.thaw();
    flows(&broker, &queue).await;
}

/// Row 21 of the faults: a half-open link is noticed within ten seconds, by who waits and by
/// who publishes, and a new one is made.
async fn a_half_open_link_is_noticed(version: NatsVersion) {
    let server = NatsServer::start(version);
    let proxy = Proxy::to_port(server.port());
    let broker = open(&format!("nats://127.0.0.1:{}", proxy.port())).await;
    let queue = reports(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    proxy.blackhole();
    let noticed = async { tokio::join!(consumer.next(), broker.publish(report(ServerId(7), 1))) };
    let begun = Instant::now();
    let (next, published) = timeout(Duration::from_secs(40), noticed).await.expect("it is not noticed");
    println!("noticed after {:?}", begun.elapsed());
    assert!(next.unwrap_err().is_temporary());
    assert!(published.unwrap_err().is_temporary());
    proxy.pass();
    flows(&broker, &queue).await;
}

/// Row 23 of the faults.
async fn all_arrives_over_a_slow_link_that_breaks(version: NatsVersion) {
    let server = NatsServer::start(version);
    let proxy = Proxy::to_port(server.port());
    let plane = connected(&format!("nats://127.0.0.1:{}", server.port())).await;
    let host = connected(&format!("nats://127.0.0.1:{}", proxy.port())).await;
    slow_link::everything_arrives(&plane, &host, &proxy).await;
}

/// A host so far away that an answer takes more than a second gets its turn, and keeps it.
async fn a_host_that_is_far_away_gets_its_commands(version: NatsVersion) {
    let server = NatsServer::start(version);
    let proxy = Proxy::to_port(server.port());
    let near = connected(&format!("nats://127.0.0.1:{}", server.port())).await;
    let far = connected(&format!("nats://127.0.0.1:{}", proxy.port())).await;
    let queue = Queue::of_host(ServerId(7));
    insist_on_queue(&near, &queue).await;
    proxy.delay(Duration::from_millis(600));
    let mut consumer = far.consume(&queue.name).await.unwrap();
    for number in 0..2 {
        let sent = command(ServerId(7), number);
        insist(&near, sent.clone()).await;
        let delivery = timeout(PATIENCE, consumer.next()).await.expect("it gets no turn").unwrap();
        assert_eq!(delivery.message.id, sent.id);
        delivery.handle.ack().await.unwrap();
    }
}

/// Publishing while there is no connection fails, and does not happen later.
async fn what_was_refused_without_a_connection_does_not_arrive(version: NatsVersion) {
    let server = NatsServer::start(version);
    let proxy = Proxy::to_port(server.port());
    let broker = open(&format!("nats://127.0.0.1:{}", proxy.port())).await;
    let queue = reports(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    proxy.refuse();
    let refused = loop {
        let error = broker.publish(report(ServerId(7), 1)).await.unwrap_err();
        if error.kind() == ErrorKind::Unavailable {
            break report(ServerId(7), 2);
        }
    };
    let begun = Instant::now();
    assert_eq!(broker.publish(refused.clone()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    proxy.pass();
    let last = report(ServerId(7), 3);
    insist(&broker, last.clone()).await;
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    loop {
        let delivery = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
        assert_ne!(delivery.message.id, refused.id);
        let id = delivery.message.id;
        delivery.handle.ack().await.unwrap();
        if id == last.id {
            return;
        }
    }
}

/// A server that comes up later than we do is found.
async fn a_server_that_comes_later_is_found(version: NatsVersion) {
    let server = NatsServer::start(version);
    server.kill();
    let begun = Instant::now();
    let broker = open(&format!("nats://127.0.0.1:{}", server.port())).await;
    assert_eq!(broker.probe().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    server.begin();
    let queue = reports(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    flows(&broker, &queue).await;
}

/// A user who is no longer let in gets an error that says so, and goes on when let in again.
async fn revoked_credentials_heal(version: NatsVersion) {
    let users =
        |user: &str| format!("authorization {{ users = [ {{ user: {user}, password: canary-word }} ] }}");
    let server = NatsServer::with(version, |_| users("manman"));
    let broker = open(&format!("nats://manman:canary-word@127.0.0.1:{}", server.port())).await;
    let queue = reports(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    server.configure(&users("other"));
    server.reload();
    let ended = timeout(PATIENCE, consumer.next()).await.expect("it goes on").unwrap_err();
    assert!(ended.is_temporary());
    let refused = async {
        loop {
            let error = broker.publish(report(ServerId(7), 1)).await.unwrap_err();
            assert!(error.is_temporary() && !format!("{error:?}").contains("canary"), "{error:?}");
            if error.kind() == ErrorKind::Denied {
                assert!(error.message().contains("refuses our credentials"), "{error}");
                return;
            }
        }
    };
    timeout(PATIENCE, refused).await.expect("nobody is told why");
    server.configure(&users("manman"));
    server.reload();
    flows(&broker, &queue).await;
}

/// An administrator deletes the consumer of a queue: who takes from it is told within
/// seconds; declared again it goes on, with what was in the queue.
async fn a_consumer_that_an_administrator_deleted_heals(version: NatsVersion) {
    let server = NatsServer::start(version);
    let url = format!("nats://127.0.0.1:{}", server.port());
    let broker = open(&url).await;
    let queue = Queue::of_host(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let begun = async {
        let next = timeout(Duration::from_secs(20), consumer.next());
        let deleted = async {
            let admin = async_nats::connect(&url).await.unwrap();
            let subject = "$JS.API.CONSUMER.DELETE.manman_q_host-7.take";
            // The question of the consumer may be on its way.
            tokio::time::sleep(Duration::from_millis(100)).await;
            admin.request(subject, "".into()).await.unwrap();
        };
        tokio::join!(next, deleted).0
    };
    let error = begun.await.expect("it is not told").unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    let missing = broker.consume(&queue.name).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
    insist(&broker, command(ServerId(7), 1)).await;
    broker.declare(&queue).await.unwrap();
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let delivery = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    delivery.handle.ack().await.unwrap();
}

/// A report that was handed out too often leaves its queue over a slow link too, while beats
/// come one after the other.
async fn beats_do_not_hold_up_a_burial(version: NatsVersion) {
    let server = NatsServer::start(version);
    let url = format!("nats://127.0.0.1:{}", server.port());
    let proxy = Proxy::to_port(server.port());
    let far = format!("nats://127.0.0.1:{}", proxy.port());
    let (near, far) = (connected(&url).await, connected(&far).await);
    let queue = Queue { max_deliveries: 2, ..reports(ServerId(7)) };
    insist_on_queue(&near, &queue).await;
    let sent = report(ServerId(7), 1);
    insist(&near, sent.clone()).await;
    // Consumers that died with it.
    let admin = async_nats::connect(&url).await.unwrap();
    let inbox = admin.new_inbox();
    let mut come = admin.subscribe(inbox.clone()).await.unwrap();
    for _ in 0..queue.max_deliveries {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.manman_q_{}.take", queue.name);
        admin.publish_with_reply(next, inbox.clone(), "".into()).await.unwrap();
        let taken = timeout(PATIENCE, come.next()).await.unwrap().unwrap();
        admin.publish(taken.reply.unwrap(), "-NAK".into()).await.unwrap();
        admin.flush().await.unwrap();
    }
    let mut consumer = far.consume(&queue.name).await.unwrap();
    proxy.delay(Duration::from_millis(200));
    let beats = async {
        let beat = || Message { class: Class::Telemetry, ..report(ServerId(7), 0) };
        loop {
            near.publish(beat()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let taken = async {
        loop {
            let delivery = consumer.next().await.unwrap();
            assert_eq!(delivery.message.class, Class::Telemetry);
            delivery.handle.ack().await.unwrap();
        }
    };
    let left = async {
        loop {
            let info = admin.request(format!("$JS.API.STREAM.INFO.manman_q_{}", queue.name), "".into());
            let info = String::from_utf8_lossy(&info.await.unwrap().payload).replace(' ', "");
            if info.contains("\"messages\":0,") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = left => {}
        () = beats => {}
        () = taken => {}
        () = tokio::time::sleep(PATIENCE) => panic!("it stays in its queue"),
    }
    let dead = near.dead_letters(9).await.unwrap();
    assert_eq!(dead.iter().map(|dead| dead.message.id).collect::<Vec<_>>(), [sent.id]);
}

/// C10: a stream that somebody made otherwise is a `Conflict`, and stays as it is.
async fn a_stream_of_another_make_conflicts(version: NatsVersion) {
    let server = NatsServer::start(version);
    let url = format!("nats://127.0.0.1:{}", server.port());
    let broker = connected(&url).await;
    let admin = async_nats::connect(&url).await.unwrap();
    let other = r#"{"name":"manman_q_host-7","subjects":["manman.q.host-7.>"],"retention":"limits","storage":"file","max_msgs":-1,"max_bytes":-1,"max_age":0,"num_replicas":1,"discard":"old"}"#;
    admin.request("$JS.API.STREAM.CREATE.manman_q_host-7", other.into()).await.unwrap();
    let error = broker.declare(&Queue::of_host(ServerId(7))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(!error.is_temporary());
    let info = admin.request("$JS.API.STREAM.INFO.manman_q_host-7", "".into()).await.unwrap();
    assert!(String::from_utf8_lossy(&info.payload).contains(r#""retention":"limits""#));
}

/// A server that takes only small messages says so, instead of being asked again and again.
async fn a_bound_of_the_server_is_named(version: NatsVersion) {
    let server = NatsServer::with(version, |_| "max_payload: 8KB".to_owned());
    let broker = open(&format!("nats://127.0.0.1:{}", server.port())).await;
    let queue = reports(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    let mut large = report(ServerId(7), 1);
    large.body = vec![b'x'; 10_000].into();
    let error = broker.publish(large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.message().contains("max_payload"), "{error}");
    flows(&broker, &queue).await;
}

/// A server that takes larger messages than ours may be: of one that dies its size is kept,
/// and the next one flows.
async fn a_body_that_is_far_too_large_is_not_kept(version: NatsVersion) {
    let server = NatsServer::with(version, |_| "max_payload: 8MB".to_owned());
    let url = format!("nats://127.0.0.1:{}", server.port());
    let broker = open(&url).await;
    let queue = reports(ServerId(7));
    insist_on_queue(&broker, &queue).await;
    let mut consumer = broker.consume(&queue.name).await.unwrap();
    let host = async_nats::connect(&url).await.unwrap();
    let (id, size) = (uuid::Uuid::now_v7(), 2 * 1024 * 1024);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Manman-Id", id.to_string());
    headers.insert("Manman-Class", "report");
    let subject = format!("manman.q.{}.i.status.session.7.1", queue.name);
    let request = async_nats::Request::new().headers(headers).payload(vec![b'x'; size].into());
    host.send_request(subject, request).await.unwrap();
    let large = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    assert_eq!((large.message.id, large.message.body.len()), (id, size));
    large.handle.dead("malformed").await.unwrap();
    let letters = broker.dead_letters(10).await.unwrap();
    let [dead] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((dead.message.id, dead.message.body.len()), (id, 0));
    assert!(dead.reason.starts_with(&format!("too_large: its {size} bytes")), "{}", dead.reason);
    drop(consumer);
    flows(&broker, &queue).await;
}

/// Two installations on one server have nothing to do with each other.
async fn prefixes_keep_installations_apart(version: NatsVersion) {
    let server = NatsServer::start(version);
    let (one, other) = (
        connected(&format!("nats://127.0.0.1:{}?prefix=one", server.port())).await,
        connected(&format!("nats://127.0.0.1:{}?prefix=other", server.port())).await,
    );
    let queue = Queue::of_host(ServerId(7));
    insist_on_queue(&one, &queue).await;
    let error = other.publish(command(ServerId(7), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(other.consume(&queue.name).await.unwrap_err().kind(), ErrorKind::NotFound);
    one.publish(command(ServerId(7), 1)).await.unwrap();
}

/// A queue is declared as soon as the server can be reached.
async fn insist_on_queue(broker: &dyn Broker, queue: &Queue) {
    let declared = async {
        while let Err(error) = broker.declare(queue).await {
            assert!(error.is_temporary(), "{error:?}");
        }
    };
    timeout(PATIENCE, declared).await.expect("the queue cannot be declared");
}

/// What is published now arrives.
async fn flows(broker: &dyn Broker, queue: &Queue) {
    let sent = report(ServerId(7), 1_000);
    insist(broker, sent.clone()).await;
    let arrived = async {
        loop {
            let Ok(mut consumer) = broker.consume(&queue.name).await else { continue };
            while let Ok(delivery) = consumer.next().await {
                let id = delivery.message.id;
                let _ = delivery.handle.ack().await;
                if id == sent.id {
                    return;
                }
            }
        }
    };
    timeout(PATIENCE, arrived).await.expect("it does not arrive");
}

on_each_server! {
    every_ok_is_delivered_through_kills,
    a_server_that_hangs_is_survived,
    a_half_open_link_is_noticed,
    all_arrives_over_a_slow_link_that_breaks,
    a_host_that_is_far_away_gets_its_commands,
    what_was_refused_without_a_connection_does_not_arrive,
    a_server_that_comes_later_is_found,
    revoked_credentials_heal,
    a_consumer_that_an_administrator_deleted_heals,
    beats_do_not_hold_up_a_burial,
    a_stream_of_another_make_conflicts,
    a_bound_of_the_server_is_named,
    a_body_that_is_far_too_large_is_not_kept,
    prefixes_keep_installations_apart,
}
