//! Messages that nobody understands.

use std::time::{Duration, Instant};

use bytes::Bytes;
use manman_bins::compose::Carrier;
use manman_core::{
    broker::{Class, Exchange, Message, RoutingKey},
    id::ServerId,
};

use crate::{
    faults::{answers, playing_on},
    support::{Cluster, Kind, PATIENCE, told_on, until},
};

/// Within this the next message has flowed; five times what is meant, as all figures here.
const FLOWS: Duration = Duration::from_secs(5);

/// Row 44: a message that nobody understands is a dead letter with a reason, and the next one
/// flows; an operator reads it, puts it back, throws it away.
#[test]
fn row_44_a_poison_message_is_a_dead_letter() {
    told_on([Kind::Nats, Kind::RabbitMq], messages_are_poison);
}

fn messages_are_poison(kind: Kind) {
    let cluster = playing_on(kind);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let broker = runtime.block_on(Carrier::open(&cluster.broker.config())).unwrap().broker();
    let poison = |body: &'static str| {
        runtime.block_on(async {
            let id = uuid::Uuid::now_v7();
            let key = RoutingKey::host_status(ServerId(1));
            let body = Bytes::from_static(body.as_bytes());
            let message = Message { id, exchange: Exchange::Internal, key, class: Class::Report, body };
            while broker.publish(message.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            id.to_string()
        })
    };
    let usual = next_report(&cluster);
    cluster.ok(&["start", "town"]);
    let poisoned = || (poison("{garbage"), poison(r#"{"version":99,"kind":"dance"}"#));
    // The machine may be slow for a while; a queue that is held up is so each time.
    let mut letters = Vec::new();
    let flowed = (0..3).any(|_| {
        letters.push(poisoned());
        let took = next_report(&cluster);
        eprintln!("the next message flows {took:?} after the poison, {usual:?} without");
        cluster.ok(&["start", "town"]);
        took <= FLOWS.max(5 * usual)
    });
    assert!(flowed, "the next message took longer than {FLOWS:?}, each time; without poison {usual:?}");
    answers(&cluster, 0, "flows");

    let listed = |id: &str| cluster.run_at(0, &["deadletter", "list"]).out.contains(id);
    for (garbage, future) in &letters {
        until("both are dead letters", PATIENCE, || (listed(garbage) && listed(future)).then_some(()));
        let shown = cluster.ok_at(1, &["deadletter", "show", future]).out;
        assert!(shown.contains("unsupported_version: 99"), "{shown}");
    }
    let (garbage, future) = &letters[0];
    cluster.ok(&["deadletter", "requeue", future]);
    until("it is a dead letter again", PATIENCE, || listed(future).then_some(()));
    for id in [garbage, future] {
        cluster.ok(&["deadletter", "drop", id]);
        assert!(!cluster.ok(&["deadletter", "list"]).out.contains(id));
    }
}

/// How long it takes until the report of a game that was told to crash is on record.
fn next_report(cluster: &Cluster) -> Duration {
    cluster.crash("town");
    let begun = Instant::now();
    cluster.await_state("town", "crashed");
    begun.elapsed()
}
