//! The engine's socket, spoken to directly: for what bollard keeps to itself.
//!
//! A console wants the naked socket under an attach, and a log as it streams
//! in. Everything else goes through bollard.

use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bollard::errors::Error as DockerError;
use bytes::Bytes;
use futures::future::{Fuse, FutureExt};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    client::conn::http1::{self, Connection},
    header,
};
use hyper_util::rt::TokioIo;
use manman_core::error::{Error, ErrorKind, Result};
use tokio::net::UnixStream;

use crate::{
    client::within,
    translate::{refusal, translate},
};

/// How long the engine may take to answer unless said otherwise.
const ANSWER: Duration = Duration::from_secs(10);

/// The longest document we take from the engine; an inspect has some 10 KiB.
const DOCUMENT: usize = 4 << 20;

/// Where a Docker Engine listens, and the API version agreed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    socket: PathBuf,
    api: (u16, u16),
    answer: Duration,
}

impl Engine {
    /// The engine at `socket`, spoken to in API version `api` (major, minor).
    pub fn new(socket: impl Into<PathBuf>, api: (u16, u16)) -> Self {
        Self { socket: socket.into(), api, answer: ANSWER }
    }

    /// Waits so long for each answer, and for each part of a long one; 10 s by default.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.answer = limit;
        self
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Takes over the connection after a request for it, as an attach does. What came
    /// with the answer's head is in the `Bytes`: it is the beginning of the stream.
    pub(crate) async fn upgrade(&self, operation: &'static str, path: &str) -> Result<(UnixStream, Bytes)> {
        within(operation, self.answer, async {
            let request = self
                .request(Method::POST, path)
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, "tcp")
                .body(Empty::new())
                .map_err(|error| broken(operation, error))?;
            let (mut sender, connection) = self.connect(operation).await?;
            let mut connection = pin!(connection.with_upgrades().fuse());
            let answer = drive(operation, connection.as_mut(), sender.send_request(request)).await?;
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                let status = answer.status();
                let body = drive(operation, connection.as_mut(), document(answer)).await?;
                return Err(translate(operation, refusal(status.as_u16(), &body)));
            }
            let upgraded = drive(operation, connection.as_mut(), hyper::upgrade::on(answer)).await?;
            let parts = upgraded.downcast::<TokioIo<UnixStream>>().map_err(|_| {
                Error::new(ErrorKind::Unexpected, operation, "the upgraded stream is not ours")
            })?;
            Ok((parts.io.into_inner(), parts.read_buf))
        })
        .await
    }

    /// Asks for a small document.
    pub(crate) async fn get(&self, operation: &'static str, path: &str) -> Result<Bytes> {
        within(operation, self.answer, async {
            let (answer, mut connection) = self.ask(operation, path).await?;
            let status = answer.status();
            let body = drive(operation, connection.as_mut(), document(answer)).await?;
            if status.is_success() {
                Ok(body)
            } else {
                Err(translate(operation, refusal(status.as_u16(), &body)))
            }
        })
        .await
    }

    /// Asks for a long answer, to be read as it comes.
    pub(crate) async fn stream(&self, operation: &'static str, path: &str) -> Result<Streaming> {
        within(operation, self.answer, async {
            let (answer, mut connection) = self.ask(operation, path).await?;
            let status = answer.status();
            if status.is_success() {
                let limit = self.answer;
                return Ok(Streaming { operation, limit, body: answer.into_body(), connection });
            }
            let body = drive(operation, connection.as_mut(), document(answer)).await?;
            Err(translate(operation, refusal(status.as_u16(), &body)))
        })
        .await
    }

    async fn ask(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<(Response<Incoming>, Pin<Box<Fuse<Wire>>>)> {
        let request =
            self.request(Method::GET, path).body(Empty::new()).map_err(|error| broken(operation, error))?;
        let (mut sender, connection) = self.connect(operation).await?;
        let mut connection = Box::pin(connection.fuse());
        let answer = drive(operation, connection.as_mut(), sender.send_request(request)).await?;
        Ok((answer, connection))
    }

    async fn connect(&self, operation: &'static str) -> Result<(http1::SendRequest<Empty<Bytes>>, Wire)> {
        let socket = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| translate(operation, DockerError::from(error)))?;
        http1::handshake(TokioIo::new(socket)).await.map_err(|error| broken(operation, error))
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let (major, minor) = self.api;
        Request::builder()
            .method(method)
            .uri(format!("/v{major}.{minor}{path}"))
            .header(header::HOST, "engine")
    }
}

type Wire = Connection<TokioIo<UnixStream>, Empty<Bytes>>;

/// An answer that is read piece by piece. Dropping it ends the connection.
pub(crate) struct Streaming {
    operation: &'static str,
    limit: Duration,
    body: Incoming,
    connection: Pin<Box<Fuse<Wire>>>,
}

impl Streaming {
    /// The next bytes, or `None` at the end. Fails if none come within the
    /// time that a call may take.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let (operation, limit) = (self.operation, self.limit);
        within(operation, limit, std::future::poll_fn(|cx| self.poll_next(cx))).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            // The connection moves the bytes into the body: it is polled first, and its
            // own end or failure shows in the body.
            let _ = self.connection.as_mut().poll(cx);
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(broken(self.operation, error))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// Runs `work` together with the connection that it waits for.
async fn drive<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    operation: &'static str,
    mut connection: Pin<&mut Fuse<impl Future<Output = hyper::Result<()>>>>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        let _ = connection.as_mut().poll(cx);
        work.as_mut().poll(cx)
    })
    .await
    .map_err(|error| broken(operation, error))
}

async fn document(answer: Response<Incoming>) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(answer.into_body(), DOCUMENT).collect().await?.to_bytes())
}

fn broken(operation: &'static str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the connection to the engine broke").because(error)
}
