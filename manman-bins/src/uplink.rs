//! The uplink over the network: what a host manager asks of a control plane on another
//! machine, through its API.

mod line;

pub use line::Line;

use std::{
    error::Error as _,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, service::interceptor::InterceptedService, transport::Channel};

use manman_core::{
    blob::{BlobKey, BlobStream, Presigned},
    error::{Error, ErrorKind, Result, causes},
    id::{AttemptId, SessionId},
    model::{Invalid, Name, SessionSpec, token::TokenDigest},
    uplink::{HostIdentity, Known, Registration, Snapshot, Uplink, Welcomed},
};

use crate::api::{
    dial::{Address, Proof, endpoint},
    errors::{ErrorCode, Reported},
    hosts::kind_of,
    tls,
    v1::{self, host_api_client::HostApiClient},
};

type Client = HostApiClient<InterceptedService<Channel, Proof>>;

/// The longest that a call may take: the contract of [`Uplink`].
const DEADLINE: Duration = Duration::from_secs(10);

/// How soon a connection that says nothing is asked whether it lives, and how long it may
/// take to answer: a machine that vanished is noticed within the deadline of a call.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// A specification or a snapshot of ten thousand sessions fits.
const LARGEST_ANSWER: usize = 16 << 20;

/// The API of a control plane, as a host uses it. Connects with the first call and again
/// whenever the connection is lost.
#[derive(Clone)]
pub struct GrpcUplink {
    client: Client,
    address: Address,
    line: Line,
    unknown: Option<Arc<str>>,
}

impl fmt::Debug for GrpcUplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcUplink").field("address", &self.address).finish_non_exhaustive()
    }
}

impl GrpcUplink {
    /// Calls the API at `address` with `token`; `ca` is the PEM of the authorities that are
    /// trusted instead of the system's. To be made within a tokio runtime.
    ///
    /// # Errors
    /// `Config` if that cannot be.
    pub fn new(address: Address, ca: Option<&[u8]>, token: &str) -> Result<Self> {
        let config = |message: String| Error::new(ErrorKind::Config, "reach the control plane", message);
        let channel = endpoint(&address, ca)
            .map_err(config)?
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let proof = Proof::token(token).map_err(config)?;
        let client =
            HostApiClient::with_interceptor(channel, proof).max_decoding_message_size(LARGEST_ANSWER);
        Ok(Self { client, address, line: Line::default(), unknown: None })
    }

    /// The same; what becomes of its calls is seen on `line`, which may serve several.
    pub fn on(self, line: &Line) -> Self {
        Self { line: line.clone(), ..self }
    }

    /// The same; `unknown` is said where the control plane does not know the token: whose it
    /// is and what to do knows only whoever has it.
    pub fn or_unknown(self, unknown: impl Into<Arc<str>>) -> Self {
        Self { unknown: Some(unknown.into()), ..self }
    }

    /// Becomes the host `server`, whose own token has the digest `host`; the token that this
    /// was made with is a join token.
    ///
    /// # Errors
    /// `Denied` if the join token is not good for that; else as every call.
    pub async fn join(&self, server: &Name, host: &TokenDigest) -> Result<()> {
        let request = v1::JoinHostRequest { server_name: server.to_string(), token_digest: host.to_vec() };
        self.call("join", request, async |mut client, request| client.join_host(request).await)
            .await
            .map(drop)
    }

    async fn call<Q, A>(
        &self,
        operation: &'static str,
        request: Q,
        call: impl AsyncFnOnce(Client, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A> {
        let called = tokio::time::timeout(DEADLINE, call(self.client.clone(), Request::new(request)));
        let result = match called.await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failed(operation, status)),
            Err(_) => {
                let message = format!("{} gave no answer within {DEADLINE:?}", self.address);
                Err(Error::new(ErrorKind::Timeout, operation, message))
            }
        };
        self.line.note(operation, &result);
        result
    }

    fn failed(&self, operation: &'static str, status: Status) -> Error {
        let reported = Reported::from(&status);
        if reported.code == ErrorCode::Unauthenticated.as_str()
            && let Some(unknown) = &self.unknown
        {
            return Error::new(ErrorKind::Denied, operation, &**unknown);
        }
        if let Some(kind) = kind_of(&reported.code)
            && !status.details().is_empty()
        {
            let remedy = reported.remedy.map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            return Error::new(kind, operation, format!("{}{remedy}", reported.message));
        }
        let kind = match status.code() {
            Code::DeadlineExceeded => ErrorKind::Timeout,
            Code::Unimplemented => ErrorKind::Unsupported,
            Code::Internal | Code::InvalidArgument => ErrorKind::Unexpected,
            _ => ErrorKind::Unavailable,
        };
        if let Some(tls::Trouble { what, remedy }) = tls::trouble(&self.address, &status) {
            return Error::new(ErrorKind::Unavailable, operation, format!("{what} ({remedy})"));
        }
        let why = match status.source() {
            Some(source) => causes(source).last().unwrap_or(source).to_string(),
            None => status.message().to_owned(),
        };
        Error::new(kind, operation, format!("the control plane at {} does not answer: {why}", self.address))
    }
}

/// The largest piece of a blob in one message: a request is bounded.
const PIECE: usize = 256 * 1024;

/// Where an error of the bytes is kept, for it does not come back from the other end.
type Broken = Arc<Mutex<Option<Error>>>;

/// The messages of a put. A type with a name: of a boxed stream the compiler does not see that
/// the call it is given to can be sent.
struct Messages(BoxStream<'static, v1::PutBlobRequest>);

impl Stream for Messages {
    type Item = v1::PutBlobRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// A put as messages. Bytes that end in an error have no end here, and are not put.
fn messages(me: HostIdentity, key: &BlobKey, bytes: BlobStream, broken: Broken) -> Messages {
    use v1::put_blob_request::{Begin, End, Part};
    let begin = Part::Begin(Begin { host: Some(me.into()), key: key.to_string() });
    let rest = stream::unfold(Some((bytes, Bytes::new(), 0)), move |state| {
        let broken = broken.clone();
        async move {
            let (mut bytes, mut piece, size) = state?;
            while piece.is_empty() {
                piece = match bytes.next().await {
                    Some(Ok(piece)) => piece,
                    Some(Err(error)) => {
                        *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return None;
                    }
                    None => return Some((Part::End(End { size_bytes: size }), None)),
                };
            }
            let now = piece.split_to(piece.len().min(PIECE));
            let size = size + now.len() as i64;
            Some((Part::Piece(now.into()), Some((bytes, piece, size))))
        }
    });
    let parts = stream::once(async { begin }).chain(rest);
    Messages(parts.map(|part| v1::PutBlobRequest { part: Some(part) }).boxed())
}

/// What came back does not hold together: another version, most likely.
fn unreadable(operation: &'static str) -> impl Fn(Invalid) -> Error {
    move |invalid| {
        Error::new(ErrorKind::Unsupported, operation, "the control plane's answer cannot be read")
            .because(invalid)
    }
}

#[async_trait]
impl Uplink for GrpcUplink {
    async fn register(&self, hello: &Registration) -> Result<Welcomed> {
        let request = v1::RegisterHostRequest::from(hello);
        let response =
            self.call("register", request, async |mut client, request| client.register_host(request).await);
        response.await?.try_into().map_err(unreadable("register"))
    }

    async fn snapshot(&self, me: HostIdentity, known: &[Known]) -> Result<Snapshot> {
        let known_sessions = known.iter().map(|known| (*known).into()).collect();
        let request = v1::GetSnapshotRequest { host: Some(me.into()), known_sessions };
        let response =
            self.call("snapshot", request, async |mut client, request| client.get_snapshot(request).await);
        response.await?.try_into().map_err(unreadable("snapshot"))
    }

    async fn spec(&self, me: HostIdentity, session: SessionId) -> Result<SessionSpec> {
        let request = v1::GetSessionSpecRequest { host: Some(me.into()), session_id: session.0 };
        let response =
            self.call("spec", request, async |mut client, request| client.get_session_spec(request).await);
        response.await?.try_into().map_err(unreadable("spec"))
    }

    async fn receipts(&self, me: HostIdentity, ends: &[AttemptId]) -> Result<Vec<AttemptId>> {
        let ends = ends.iter().map(|run| (*run).into()).collect();
        let request = v1::ListReceiptsRequest { host: Some(me.into()), ends };
        let response =
            self.call("receipts", request, async |mut client, request| client.list_receipts(request).await);
        let on_record = response.await?.on_record;
        crate::api::convert::attempts_in("on_record", on_record).map_err(unreadable("receipts"))
    }

    async fn blob_put(&self, me: HostIdentity, key: &BlobKey, bytes: BlobStream) -> Result<u64> {
        let broken = Broken::default();
        // No deadline over all of it: silence is bounded at the other end, and a connection
        // whose other end is gone by its probes.
        let answer = self.client.clone().put_blob(messages(me, key, bytes, broken.clone())).await;
        if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let size = answer.map_err(|status| self.failed("put a blob", status))?.into_inner().size_bytes;
        u64::try_from(size).map_err(|_| unreadable("put a blob")(Invalid::new("size_bytes", "is negative")))
    }

    async fn blob_address(&self, me: HostIdentity, key: &BlobKey) -> Result<Option<Presigned>> {
        let request = v1::GetBlobAddressRequest { host: Some(me.into()), key: key.to_string() };
        let response = self.call("address a blob", request, async |mut client, request| {
            client.get_blob_address(request).await
        });
        Ok(response.await?.address.map(Into::into))
    }
}
