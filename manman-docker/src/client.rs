//! The connection to the engine: bollard over connections of our own, which are
//! kept alive and shared, and a deadline for every call.

use std::{
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bollard::{BollardRequest, ClientVersion, Docker, errors::Error as DockerError};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use manman_core::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use tokio::{net::UnixStream, sync::OnceCell};

use crate::{
    config::DockerConfig,
    translate::{refusal, translate},
};

/// The newest API that is spoken: that of Docker 20.10, which every later engine
/// still takes.
pub(crate) const API: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// Bollard has one timeout for all calls. Ours are set call by call, so this one is
/// longer than any of them: a year.
const NO_TIMEOUT_SECS: u64 = 365 * 24 * 3600;

/// Idle connections that are kept.
const KEPT: usize = 8;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An engine behind a socket. Making one connects to nothing.
pub(crate) struct Client {
    connections: Arc<Connections>,
    docker: Docker,
    /// The same engine over connections that are used once.
    fresh: Docker,
    negotiated: OnceCell<()>,
    call_timeout: Duration,
}

impl Client {
    pub(crate) fn new(config: &DockerConfig) -> Result<Self> {
        let connections = |kept| {
            let connections = Connections { socket: config.socket.clone(), kept, idle: Mutex::default() };
            Arc::new(connections)
        };
        let shared = connections(KEPT);
        Ok(Self {
            docker: docker(&shared)?,
            fresh: docker(&connections(0))?,
            connections: shared,
            negotiated: OnceCell::new(),
            call_timeout: config.call_timeout(),
        })
    }

    /// Bollard over a connection of its own for each call: an engine that is going down
    /// still answers on the old ones.
    pub(crate) async fn fresh(&self, operation: &'static str) -> Result<&Docker> {
        let docker = self.fresh.clone().negotiate_version().await;
        docker.map_err(|error| translate(operation, error))?;
        Ok(&self.fresh)
    }

    /// Bollard, speaking a version that the engine knows. To be called within a deadline.
    pub(crate) async fn docker(&self, operation: &'static str) -> Result<&Docker> {
        let negotiate = || async {
            let docker = self.docker.clone().negotiate_version().await;
            docker.map(|_| ()).map_err(|error| translate(operation, error))
        };
        self.negotiated.get_or_try_init(negotiate).await?;
        Ok(&self.docker)
    }

    /// The engine's socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.connections.socket
    }

    /// The process that listens on the engine's socket, where it can be seen.
    pub(crate) async fn listener(&self) -> Option<i32> {
        let stream = UnixStream::connect(&self.connections.socket).await.ok()?;
        stream.peer_cred().ok()?.pid()
    }

    /// The result of `work`, or `Timeout` once the deadline of an ordinary call has passed.
    pub(crate) async fn within<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        within(operation, self.call_timeout, work).await
    }

    /// Posts what bollard's types have no field for, in the `version` that was agreed on.
    pub(crate) async fn post<T: for<'a> Deserialize<'a>>(
        &self,
        version: ClientVersion,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, DockerError> {
        let request = Request::post(format!("http://docker/v{version}{path}"))
            .header(CONTENT_TYPE, "application/json")
            .body(boxed(Full::new(Bytes::from(serde_json::to_vec(body)?))))?;
        let response = Arc::clone(&self.connections).send(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(serde_json::from_slice(&bytes)?);
        }
        Err(refusal(status.as_u16(), &bytes))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("socket", &self.connections.socket).finish_non_exhaustive()
    }
}

fn docker(connections: &Arc<Connections>) -> Result<Docker> {
    let connections = Arc::clone(connections);
    let send = move |request: BollardRequest| Arc::clone(&connections).send(request.map(boxed));
    Docker::connect_with_custom_transport(send, Some("http://docker"), NO_TIMEOUT_SECS, &API)
        .map_err(|error| translate("connect to the engine", error))
}

/// The result of `work`, or `Timeout` after `limit`.
pub(crate) async fn within<T>(
    operation: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("the engine did not answer within {limit:?}");
            Err(Error::new(ErrorKind::Timeout, operation, message))
        }
    }
}

/// Connections to the engine's socket: one a request at a time, kept for the next one.
struct Connections {
    socket: PathBuf,
    /// How many may lie idle.
    kept: usize,
    idle: Mutex<Vec<SendRequest<Body>>>,
}

impl Connections {
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Incoming>, DockerError> {
        let mut request = origin_form(request)?;
        loop {
            let (mut connection, reused) = match self.take() {
                Some(connection) => (connection, true),
                None => (self.connect().await?, false),
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    tokio::spawn(keep(Arc::downgrade(&self), connection));
                    return Ok(response);
                }
                // The engine closed an idle connection and nothing was sent over it yet.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    fn take(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle();
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<Body>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, DockerError> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the engine or the last sender goes; what failed is told to the request.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Puts a connection back once its response was read to the end. One whose response
/// was dropped closes instead.
async fn keep(connections: Weak<Connections>, mut connection: SendRequest<Body>) {
    if connection.ready().await.is_ok()
        && let Some(connections) = connections.upgrade()
    {
        let mut idle = connections.idle();
        if idle.len() < connections.kept {
            idle.push(connection);
        }
    }
}

/// Over a connection of one's own a request names the path alone, and the host in a header.
fn origin_form(request: Request<Body>) -> Result<Request<Body>, DockerError> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    parts.uri = path.parse()?;
    parts.headers.insert(HOST, HeaderValue::from_static("docker"));
    Ok(Request::from_parts(parts, body))
}

fn boxed<B>(body: B) -> Body
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    body.map_err(io::Error::other).boxed_unsync()
}
