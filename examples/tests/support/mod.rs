//! Events as the control plane publishes them, and what sinks make of them.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use manman_core::{
    broker::{Class, Exchange, Message},
    clock::Timestamp,
    id::{Epoch, Generation, ServerId, SessionId, SgcId},
    model::{Reason, reason::ReasonCode},
    wire::{Envelope, ExternalEvent, ExternalKind, VERSION},
};
use manman_services::Patience;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};
use uuid::Uuid;

/// A session that crashed.
pub fn crashed(session: i64) -> Message {
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
    message(event, body)
}

/// A host of this name that fell silent.
pub fn stale(name: &str) -> Message {
    let event = ExternalKind::HostStale;
    message(event, ExternalEvent::Host { event, name: name.to_owned() })
}

fn message(event: ExternalKind, body: ExternalEvent) -> Message {
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
    Message {
        id: envelope.id,
        exchange: Exchange::External,
        key: event.routing_key(),
        class: Class::Event,
        body: envelope.encode().unwrap(),
    }
}

/// Refuses until it is told to be well; tells what it was sent.
pub async fn hook(is_well: Arc<AtomicBool>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        'asked: while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            // To the end of its body, which is the one brace that closes it.
            while !request.ends_with(b"}") {
                let mut some = [0; 4096];
                match stream.read(&mut some).await {
                    Ok(read @ 1..) => request.extend(&some[..read]),
                    // Who was about to ask is dead.
                    _ => continue 'asked,
                }
            }
            let well = is_well.load(Ordering::Relaxed);
            let status = if well { "200 OK" } else { "503 Service Unavailable" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            // Who has asked may be dead by now.
            let _ = stream.write_all(answer.as_bytes()).await;
            if well {
                tell.send(String::from_utf8(request).unwrap()).unwrap();
            }
        }
    });
    (url, told)
}

/// The lines of a file, if it is there.
pub fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Waits until it is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let mut patience = Patience::new(Duration::from_secs(60));
    while !so() {
        assert!(!patience.is_spent(), "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
