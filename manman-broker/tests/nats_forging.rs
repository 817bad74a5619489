//! A host that tries to speak for another one over NATS, with its own user and no program of
//! ours: on the server that Debian packages and on the newest.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[macro_use]
mod nats_support;

use std::{sync::Arc, time::Duration};

use async_nats::ConnectOptions;
use futures::{FutureExt as _, StreamExt as _};
use manman_broker::nats::NatsPermissions;
use manman_core::{
    broker::{Broker as _, Queue},
    clock::SystemClock,
    control::ControlConfig,
    id::ServerId,
    memory::MemoryStore,
    processor::Processor,
    store::{Registration, ServerStore as _, Store},
    wire::{Command, Envelope},
};
use manman_services::{NatsServer, NatsVersion};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use nats_support::{PATIENCE, command, connected, open};

const INBOX: &str = "_INBOX_thief";

async fn register(store: &MemoryStore, name: &str) -> ServerId {
    let hello = Registration {
        name: name.parse().unwrap(),
        environment: "test".parse().unwrap(),
        machine_id: name.to_owned(),
        engine_id: "engine".to_owned(),
        capacity: Default::default(),
        public_address: None,
        take_over: false,
    };
    store.server_register(&hello, Duration::from_secs(60)).await.unwrap().server
}

async fn what_a_host_says_for_another_is_not_believed(version: NatsVersion) {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let (thief, victim) = (register(&store, "thief").await, register(&store, "victim").await);
    let server = NatsServer::with(version, |_| {
        let host = NatsPermissions::of_host("manman", INBOX, thief);
        let permissions = json!({ "publish": host.publish, "subscribe": host.subscribe });
        format!(
            "authorization {{ users = [ {{ user: plane, password: plane }},
             {{ user: thief, password: thief, permissions: {permissions} }} ] }}"
        )
    });
    let at = format!("127.0.0.1:{}", server.port());
    let plane = connected(&format!("nats://plane:plane@{at}")).await;
    for queue in [Queue::of_host(thief), Queue::of_host(victim), Queue::of_processor()] {
        plane.declare(&queue).await.unwrap();
    }
    let waits = command(victim, 1);
    plane.publish(waits.clone()).await.unwrap();
    plane.publish(command(thief, 2)).await.unwrap();
    let mut config = ControlConfig::default();
    config.stale_after_secs = 3_600;
    let (shared, end): (Arc<dyn Store>, _) = (store.clone(), CancellationToken::new());
    let processor = Processor::new(shared, Arc::new(open(&format!("nats://plane:plane@{at}")).await), config);
    let stats = processor.stats();
    tokio::spawn(processor.run(end.clone()));
    let before = store.server_get(victim).await.unwrap();

    let raw = ConnectOptions::with_user_and_password("thief".to_owned(), "thief".to_owned());
    let raw = raw.custom_inbox_prefix(INBOX).connect(&at).await.unwrap();
    let mut heard = Vec::new();
    for subject in ["manman.>", "_INBOX.>", "$JS.EVENT.>", &format!("manman.turn.host-{victim}")] {
        heard.push(raw.subscribe(subject.to_owned()).await.unwrap());
    }
    // What the server refuses, without a word to who publishes so.
    let queue = format!("manman_q_host-{victim}");
    for subject in [
        format!("manman.q.host-{victim}.i.command.{victim}"),
        format!("manman.q.host-{thief}.i.command.{thief}"),
        format!("manman.q.processor.i.status.host.{victim}"),
        format!("manman.l.i.status.host.{victim}"),
        format!("manman.t.i.health.{victim}"),
        format!("manman.dead.host-{victim}.{}", waits.id),
        "manman.dead.processor.one".to_owned(),
        "manman.l.e.manman.host.online".to_owned(),
        format!("$JS.API.STREAM.PURGE.{queue}"),
        format!("$JS.API.STREAM.DELETE.{queue}"),
        format!("$JS.API.CONSUMER.DELETE.{queue}.take"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{queue}.take"),
        format!("$JS.ACK.{queue}.take.1.1.1.1.0"),
        "$JS.API.STREAM.PURGE.manman_dead".to_owned(),
        "$JS.API.DIRECT.GET.manman_dead".to_owned(),
    ] {
        raw.publish_with_reply(subject, format!("{INBOX}.answer"), "{}".into()).await.unwrap();
    }
    let delete = json!({ "seq": 1 }).to_string();
    raw.publish(format!("$JS.API.STREAM.MSG.DELETE.{queue}"), delete.into()).await.unwrap();
    // What it lets through: its own words under a key that it does not check.
    let as_victim = format!("manman.q.processor.i.status.host.{victim}");
    raw.publish_with_reply("$JS.API.INFO", as_victim.clone(), "".into()).await.unwrap();
    let own = format!("manman.q.processor.i.status.host.{thief}");
    raw.publish_with_reply(own, as_victim, "{}".into()).await.unwrap();
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.manman_q_host-{thief}.take");
    let as_plane = format!("manman.q.host-{victim}.i.command.{victim}");
    raw.publish_with_reply(next, as_plane, "".into()).await.unwrap();
    raw.flush().await.unwrap();

    // Two words of the server, and one of its own that says nothing.
    let refused = async {
        while plane.dead_letters(100).await.unwrap().len() < 3 || stats.counters().dead < 3 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("it is not refused");
    let mut commands = plane.consume(&Queue::of_host(victim).name).await.unwrap();
    let last = command(victim, 3);
    plane.publish(last.clone()).await.unwrap();
    let mut taken = Vec::new();
    while taken.last() != Some(&last.id) {
        let delivery = timeout(PATIENCE, commands.next()).await.expect("it does not come").unwrap();
        taken.push(delivery.message.id);
        if ![waits.id, last.id].contains(&delivery.message.id) {
            let envelope = Envelope::<Command>::decode(&delivery.message.body);
            assert!(envelope.is_err() || envelope.unwrap().server != victim);
        }
        delivery.handle.ack().await.unwrap();
    }
    assert_eq!(taken[0], waits.id);
    for heard in &mut heard {
        assert!(heard.next().now_or_never().flatten().is_none(), "it hears of others");
    }
    assert_eq!(store.server_get(victim).await.unwrap(), before);
    let dead = plane.dead_letters(100).await.unwrap();
    assert!(dead.iter().all(|letter| letter.queue == "processor" && !letter.reason.is_empty()), "{dead:?}");
    assert_eq!(dead.len(), 3, "{dead:?}");
    end.cancel();
}

on_each_server! {
    what_a_host_says_for_another_is_not_believed,
}
