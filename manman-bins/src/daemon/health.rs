//! How a process is, for whoever supervises it: `/health` says that it lives, `/ready`
//! that it can do its work, part by part.

use std::{
    convert::Infallible,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use manman_core::error::{Chain, Result};

/// The longest that the parts may take to say how they are.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest that a request may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// The most connections at a time: supervisors are few.
const MOST: usize = 64;

/// A part of a process, looked at.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    state: Result<()>,
    needed: bool,
}

impl Part {
    /// One without which the process cannot do its work.
    pub fn needed(name: &'static str, state: Result<()>) -> Self {
        Self { name, state, needed: true }
    }

    /// One without which it does nearly all of it: what is wrong is said, and that is all.
    pub fn beside(name: &'static str, state: Result<()>) -> Self {
        Self { name, state, needed: false }
    }
}

/// What a process works with.
#[async_trait]
pub trait Parts: Send + Sync + 'static {
    /// Each part, and what is wrong with it.
    async fn look(&self) -> Vec<Part>;
}

/// Serves `/health` and `/ready` until `shutdown`, to anybody: they tell no secrets.
pub async fn serve(listener: TcpListener, parts: Arc<dyn Parts>, shutdown: CancellationToken) {
    let room = Arc::new(tokio::sync::Semaphore::new(MOST));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, say: the next try at once would spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let parts = parts.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let parts = parts.clone();
            async move { Ok::<_, Infallible>(respond(&request, &*parts).await) }
        });
        tokio::spawn(async move {
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(ARRIVES_WITHIN)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // Whoever hangs up has heard enough.
            let _ = served.await;
            drop(permit);
        });
    }
}

async fn respond(request: &Request<Incoming>, parts: &dyn Parts) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return page(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "only GET is known here"}));
    }
    match request.uri().path() {
        "/health" => page(StatusCode::OK, &json!({"status": "alive", "version": env!("CARGO_PKG_VERSION")})),
        "/ready" => {
            let (ready, page_of) = ready(parts).await;
            page(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &page_of)
        }
        _ => page(StatusCode::NOT_FOUND, &json!({"error": "there are /health and /ready"})),
    }
}

async fn ready(parts: &dyn Parts) -> (bool, Value) {
    let Ok(looked) = tokio::time::timeout(PATIENCE, parts.look()).await else {
        return (false, json!({"status": "not ready", "error": "no part answers in time"}));
    };
    let ready = looked.iter().all(|part| part.state.is_ok() || !part.needed);
    let state = |state: Result<()>| match state {
        Ok(()) => Value::from("ok"),
        Err(error) => Value::from(Chain(&error).to_string()),
    };
    let parts: Map<String, Value> =
        looked.into_iter().map(|part| (part.name.to_owned(), state(part.state))).collect();
    (ready, json!({"status": if ready { "ready" } else { "not ready" }, "parts": parts}))
}

fn page(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Asks the process that serves at `address` whether it is ready: what `PROGRAM health` does
/// in an image that has neither a shell nor curl.
///
/// # Errors
/// Why it is not, in its own words or the system's.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    // A process that listens everywhere is asked on loopback.
    let address = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    };
    let longest = PATIENCE + Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, longest)?;
    stream.set_read_timeout(Some(longest))?;
    write!(stream, "GET /ready HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 << 10).read_to_string(&mut answer)?;
    let said = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(io::Error::other(said.to_owned())) }
}

#[cfg(test)]
mod tests {
    use manman_core::{
        clock::SystemClock,
        id::{ClusterId, ServerId},
        memory::{MemoryBroker, MemoryStore, runtime::Engine},
        model::EnvironmentName,
        runtime::Owner,
        testkit::broker::{BrokerFaults as _, Nastiness, Nasty},
    };

    use super::*;
    use crate::{
        daemon::parts::{Control, Machine},
        uplink::Line,
    };

    fn broker() -> Nasty {
        Nasty::new(Arc::new(MemoryBroker::new()), 7, Nastiness::default())
    }

    /// Each part speaks for itself, however long another one takes.
    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_is_named() {
        let broker = broker();
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let control = Control { store, broker: Arc::new(broker.clone()), blobs: None };
        let (is_ready, page) = ready(&control).await;
        assert_eq!((is_ready, &page["parts"]), (true, &json!({"store": "ok", "broker": "ok"})));
        broker.freeze().await;
        let (is_ready, page) = ready(&control).await;
        let parts = json!({"store": "ok", "broker": "look: no answer within 2s"});
        assert_eq!((is_ready, &page["parts"]), (false, &parts));

        let engine = Engine::new(7);
        let owner = Owner {
            cluster: ClusterId::random(),
            server: ServerId(1),
            environment: EnvironmentName::default(),
        };
        let machine = Machine {
            runtime: Arc::new(engine.runtime(owner)),
            broker: Arc::new(broker),
            line: Line::default(),
            registered: Arc::new(true.into()),
        };
        engine.freeze();
        let (is_ready, page) = ready(&machine).await;
        let late = "look: no answer within 2s";
        let parts = json!({"engine": late, "broker": late, "control plane": "ok"});
        assert_eq!((is_ready, &page["parts"]), (false, &parts));
    }
}
