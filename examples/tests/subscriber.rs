//! The sinks of a subscriber: each fails on its own, and what is written is written once.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use manman_core::{
    broker::{Broker, Class, Exchange, Message},
    clock::Timestamp,
    id::{Epoch, Generation, ServerId, SessionId, SgcId},
    memory::MemoryBroker,
    model::{Reason, reason::ReasonCode},
    wire::{Envelope, ExternalEvent, ExternalKind, VERSION},
};
use manman_examples::subscriber::{Audit, Metrics, Sink, Webhook, feed, queue};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn crashed(session: i64) -> Message {
    let event = ExternalKind::SessionCrashed;
    let body = ExternalEvent::Session {
        event,
        session: SessionId(session),
        sgc: SgcId(1),
        server: ServerId(1),
        revision: 3,
        attempt: 1,
        exit_code: Some(42),
        reason: Reason::new(ReasonCode::Exited, "exit code 42"),
    };
    let envelope = Envelope {
        version: VERSION,
        id: Uuid::now_v7(),
        issued_at: Timestamp::default(),
        not_after: None,
        server: ServerId(1),
        epoch: Epoch(1),
        generation: Generation(0),
        sequence: 0,
        trace: None,
        body,
    };
    let bytes = envelope.encode().unwrap();
    Message {
        id: envelope.id,
        exchange: Exchange::External,
        key: event.routing_key(),
        class: Class::Event,
        body: bytes,
    }
}

/// Refuses until it is told to be well; tells what it was sent.
async fn hook(is_well: Arc<AtomicBool>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            // To the end of its body, which is the one brace that closes it.
            while !request.ends_with(b"}") {
                let mut some = [0; 4096];
                let read = stream.read(&mut some).await.unwrap();
                request.extend(&some[..read]);
            }
            let well = is_well.load(Ordering::Relaxed);
            let status = if well { "200 OK" } else { "503 Service Unavailable" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if well {
                tell.send(String::from_utf8(request).unwrap()).unwrap();
            }
        }
    });
    (url, told)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waited = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect(what);
}

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
    std::fs::write(&file, format!("{whole}{{\"id\":\"half")).unwrap();
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
