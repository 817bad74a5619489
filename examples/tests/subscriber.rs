//! The sinks of a subscriber: each fails on its own, and what is written is written once.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use manman_core::{
    broker::{Broker, Message},
    memory::MemoryBroker,
    wire::{Envelope, ExternalEvent},
};
use manman_examples::subscriber::{Audit, Metrics, Sink, Webhook, feed, queue};
use tokio_util::sync::CancellationToken;

use support::{crashed, hook, lines, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_fails_holds_up_no_other_and_loses_nothing() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.jsonl");
    let is_well = Arc::new(AtomicBool::new(false));
    let (url, mut told) = hook(is_well.clone()).await;
    let metrics = Metrics::default();
    let sinks: [Box<dyn Sink>; 3] = [
        Box::new(Audit::open(&file).unwrap()),
        Box::new(metrics.clone()),
        Box::new(Webhook::new(url).unwrap()),
    ];
    let shutdown = CancellationToken::new();
    for sink in sinks {
        // Before anything happens, so that nothing is missed.
        broker.declare(&queue(&*sink)).await.unwrap();
        tokio::spawn(feed(broker.clone(), sink, shutdown.clone()));
    }
    let (first, second) = (crashed(1), crashed(2));
    for message in [&first, &second, &first] {
        broker.publish(message.clone()).await.unwrap();
    }
    until("both are written, each once", || lines(&file).len() == 2).await;
    until("all are counted", || metrics.page().contains("event=\"manman.session.crashed\"} 3")).await;
    is_well.store(true, Ordering::Relaxed);
    for session in [1, 2] {
        let said = tokio::time::timeout(Duration::from_secs(60), told.recv()).await.unwrap().unwrap();
        assert!(said.contains(&format!("session {session} of deployment 1: exit code 42")), "{said}");
    }
    shutdown.cancel();
}

#[tokio::test]
async fn an_audit_goes_on_where_a_death_left_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.jsonl");
    let event = |message: &Message| manman_examples::subscriber::Event {
        id: message.id,
        key: message.key.to_string(),
        what: Envelope::<ExternalEvent>::decode(&message.body).unwrap().body,
    };
    let (first, second) = (crashed(1), crashed(2));
    Audit::open(&file).unwrap().take(&event(&first)).await.unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    // In the middle of a character, too.
    std::fs::write(&file, [whole.as_bytes(), b"{\"id\":\"half \xC3"].concat()).unwrap();
    let mut audit = Audit::open(&file).unwrap();
    for message in [&first, &second] {
        audit.take(&event(message)).await.unwrap();
    }
    let written = lines(&file);
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(written[0].contains(&first.id.to_string()) && written[1].contains(&second.id.to_string()));

    std::fs::write(&file, "no audit\n").unwrap();
    assert!(Audit::open(&file).unwrap_err().to_string().contains("audit.jsonl"));
}
