//! The calls of host managers: each host sees and changes only what is its own.

use std::{fmt, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming};

use manman_core::{
    blob::{BlobKey, BlobStream},
    error::{Error, ErrorKind},
    id::SessionId,
    model::{Invalid, Name, Role, token::TokenDigest},
    store::{Registration, Store},
    uplink::{HostIdentity, Uplink},
};

use super::{
    auth::Caller,
    convert::{attempts_in, host_in, id, known_in, parsed},
    errors::{ApiError, ErrorCode},
    service::caller,
    v1,
};

/// The most sessions or ends in one question: of both a host has far fewer.
const MOST: usize = 10_000;

/// What hosts ask, over the network.
#[derive(Clone)]
pub struct Hosts {
    uplink: Arc<dyn Uplink>,
    store: Arc<dyn Store>,
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").field("uplink", &self.uplink).finish_non_exhaustive()
    }
}

impl Hosts {
    /// Answers from `uplink`; `store` knows whose token is whose.
    pub fn new(uplink: Arc<dyn Uplink>, store: Arc<dyn Store>) -> Self {
        Self { uplink, store }
    }

    /// The server that `caller` is the host of, if it is the one it claims to be.
    async fn identity(
        &self,
        caller: &Caller,
        claimed: Option<v1::HostIdentity>,
    ) -> Result<HostIdentity, ApiError> {
        let claimed = host_in(claimed)?;
        let name = host_of(caller)?;
        match self.store.server_get(claimed.server).await? {
            Some(server) if server.name == *name => Ok(claimed),
            // Another's server is as good as none.
            _ => Err(ApiError::not_found("server", claimed.server)),
        }
    }

    async fn join(
        &self,
        caller: &Caller,
        request: v1::JoinHostRequest,
    ) -> Result<v1::JoinHostResponse, ApiError> {
        let server: Name = parsed("server_name", &request.server_name)?;
        let host: TokenDigest = request.token_digest.try_into().map_err(|bytes: Vec<u8>| {
            Invalid::new("token_digest", format!("has {} bytes, 32 are expected", bytes.len()))
        })?;
        let Some(join) = caller.digest() else {
            return Err(ApiError::new(ErrorCode::PermissionDenied, "a host joins with a join token"));
        };
        let token = self.store.token_join(join, &server, &host).await?;
        tracing::info!(token.id = %token.id, "host {server} has joined");
        Ok(v1::JoinHostResponse { token_id: token.id.0 })
    }

    async fn register(
        &self,
        caller: &Caller,
        request: v1::RegisterHostRequest,
    ) -> Result<v1::RegisterHostResponse, ApiError> {
        let hello = Registration::try_from(request)?;
        let name = host_of(caller)?;
        if hello.name != *name {
            let message = format!("the token is that of server {name}, not {}", hello.name);
            let remedy = format!("Set SERVER_NAME={name}, or join anew with a join token.");
            return Err(ApiError::new(ErrorCode::PermissionDenied, message).remedy(remedy));
        }
        Ok(self.uplink.register(&hello).await.map_err(of_uplink)?.into())
    }

    async fn snapshot(
        &self,
        caller: &Caller,
        request: v1::GetSnapshotRequest,
    ) -> Result<v1::GetSnapshotResponse, ApiError> {
        let me = self.identity(caller, request.host).await?;
        let known = few("known_sessions", request.known_sessions)?;
        let known = known_in("known_sessions", known)?;
        Ok(self.uplink.snapshot(me, &known).await.map_err(of_uplink)?.into())
    }

    async fn spec(
        &self,
        caller: &Caller,
        request: v1::GetSessionSpecRequest,
    ) -> Result<v1::GetSessionSpecResponse, ApiError> {
        let me = self.identity(caller, request.host).await?;
        let session = id("session_id", request.session_id, SessionId)?;
        Ok(self.uplink.spec(me, session).await.map_err(of_uplink)?.into())
    }

    async fn receipts(
        &self,
        caller: &Caller,
        request: v1::ListReceiptsRequest,
    ) -> Result<v1::ListReceiptsResponse, ApiError> {
        let me = self.identity(caller, request.host).await?;
        let ends = attempts_in("ends", few("ends", request.ends)?)?;
        let on_record = self.uplink.receipts(me, &ends).await.map_err(of_uplink)?;
        Ok(v1::ListReceiptsResponse { on_record: on_record.into_iter().map(Into::into).collect() })
    }

    async fn blob(
        &self,
        caller: &Caller,
        mut messages: Streaming<v1::PutBlobRequest>,
    ) -> Result<v1::PutBlobResponse, ApiError> {
        use v1::put_blob_request::Part;
        let first = tokio::time::timeout(BEGIN, messages.message()).await;
        let begin = match first {
            Ok(Ok(Some(v1::PutBlobRequest { part: Some(Part::Begin(begin)) }))) => begin,
            Err(_) => {
                return Err(ApiError::new(ErrorCode::DeadlineExceeded, "a put has not begun in time"));
            }
            Ok(_) => return Err(Invalid::new("begin", "comes first: who puts, and which key").into()),
        };
        let me = self.identity(caller, begin.host).await?;
        let key: BlobKey = parsed("key", &begin.key)?;
        let put = self.uplink.blob_put(me, &key, pieces(messages)).await;
        let size = put.map_err(|failed| of_blobs(failed, me, &key))?;
        Ok(v1::PutBlobResponse { size_bytes: i64::try_from(size).unwrap_or(i64::MAX) })
    }

    async fn address(
        &self,
        caller: &Caller,
        request: v1::GetBlobAddressRequest,
    ) -> Result<v1::GetBlobAddressResponse, ApiError> {
        let me = self.identity(caller, request.host).await?;
        let key: BlobKey = parsed("key", &request.key)?;
        let address = self.uplink.blob_address(me, &key).await;
        let address = address.map_err(|failed| of_blobs(failed, me, &key))?.map(Into::into);
        Ok(v1::GetBlobAddressResponse { address })
    }
}

/// How long the beginning of a put may take to come.
const BEGIN: Duration = Duration::from_secs(10);

/// The bytes of a put. Its end has to come, and to know how many they were.
fn pieces(messages: Streaming<v1::PutBlobRequest>) -> BlobStream {
    use v1::put_blob_request::Part;
    let broken = |kind, why: &str| Some((Err(Error::new(kind, "put a blob", why)), None));
    stream::unfold(Some((messages, 0)), move |state| async move {
        let (mut messages, size) = state?;
        match messages.message().await {
            Ok(Some(v1::PutBlobRequest { part: Some(Part::Piece(piece)) })) => {
                let size = size + piece.len() as i64;
                Some((Ok(piece.into()), Some((messages, size))))
            }
            Ok(Some(v1::PutBlobRequest { part: Some(Part::End(end)) })) if end.size_bytes == size => None,
            Ok(Some(_)) => {
                broken(ErrorKind::Invalid, "the pieces of the blob and its end do not hold together")
            }
            Ok(None) | Err(_) => broken(ErrorKind::Invalid, "the blob broke off before its end"),
        }
    })
    .boxed()
}

/// The server whose host's token `caller` has shown.
fn host_of(caller: &Caller) -> Result<&Name, ApiError> {
    match caller.role() {
        Role::Host { server } => Ok(server),
        role => {
            let message = format!("a token of a host is needed, and this is one of a {}", role.as_str());
            Err(ApiError::new(ErrorCode::PermissionDenied, message))
        }
    }
}

fn few<T>(field: &str, all: Vec<T>) -> Result<Vec<T>, Invalid> {
    if all.len() > MOST {
        return Err(Invalid::new(field, format!("has {} entries, {MOST} are allowed", all.len())));
    }
    Ok(all)
}

/// What the uplink refuses, so that [`kind_of`] finds its kind again.
fn of_uplink(failed: Error) -> ApiError {
    let code = match failed.kind() {
        ErrorKind::Fenced => ErrorCode::Fenced,
        ErrorKind::Conflict => ErrorCode::ServerTaken,
        ErrorKind::Denied => ErrorCode::PermissionDenied,
        _ => return failed.into(),
    };
    ApiError::new(code, failed.message())
}

/// The same of a blob.
fn of_blobs(failed: Error, me: HostIdentity, key: &BlobKey) -> ApiError {
    match failed.kind() {
        // Of two keys, which is no other machine.
        ErrorKind::Conflict => ApiError::new(ErrorCode::InvalidArgument, failed.message()),
        ErrorKind::Unsupported => ApiError::new(ErrorCode::Unsupported, failed.message())
            .remedy("Set BLOB_URL of the control plane."),
        ErrorKind::NotFound | ErrorKind::Fenced => of_uplink(failed),
        ErrorKind::Denied if !key.is_beneath(&BlobKey::of_host(me.server)) => of_uplink(failed),
        // Of what keeps the blobs, which refuses us and not the host where it does.
        _ => ApiError::of_blobs(&failed),
    }
}

/// The kind of a refusal as the uplink's caller acts on it; `None` for a code that is none
/// of the catalogue's.
pub fn kind_of(code: &str) -> Option<ErrorKind> {
    let code = ErrorCode::ALL.iter().find(|known| known.as_str() == code)?;
    Some(match code {
        ErrorCode::Fenced => ErrorKind::Fenced,
        ErrorCode::ServerTaken | ErrorCode::TokenKnown => ErrorKind::Conflict,
        ErrorCode::NotFound => ErrorKind::NotFound,
        ErrorCode::InvalidArgument | ErrorCode::MessageTooLarge => ErrorKind::Invalid,
        ErrorCode::DeadlineExceeded => ErrorKind::Timeout,
        ErrorCode::StoreUnavailable | ErrorCode::BlobsUnavailable | ErrorCode::ShuttingDown => {
            ErrorKind::Unavailable
        }
        ErrorCode::TooManyPuts => ErrorKind::Busy,
        ErrorCode::PermissionDenied | ErrorCode::Unauthenticated | ErrorCode::JoinRefused => {
            ErrorKind::Denied
        }
        ErrorCode::UnknownCall | ErrorCode::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Unexpected,
    })
}

macro_rules! calls {
    ($($name:ident: $request:ident => $reply:ident, $answer:ident;)*) => {
        #[tonic::async_trait]
        impl v1::host_api_server::HostApi for Hosts {
            $(
                async fn $name(&self, request: Request<v1::$request>) -> Result<Response<v1::$reply>, Status> {
                    let caller = caller(&request)?;
                    Ok(Response::new(self.$answer(&caller, request.into_inner()).await?))
                }
            )*

            async fn put_blob(
                &self,
                request: Request<Streaming<v1::PutBlobRequest>>,
            ) -> Result<Response<v1::PutBlobResponse>, Status> {
                let caller = caller(&request)?;
                Ok(Response::new(self.blob(&caller, request.into_inner()).await?))
            }
        }
    };
}

calls! {
    join_host: JoinHostRequest => JoinHostResponse, join;
    register_host: RegisterHostRequest => RegisterHostResponse, register;
    get_snapshot: GetSnapshotRequest => GetSnapshotResponse, snapshot;
    get_session_spec: GetSessionSpecRequest => GetSessionSpecResponse, spec;
    list_receipts: ListReceiptsRequest => ListReceiptsResponse, receipts;
    get_blob_address: GetBlobAddressRequest => GetBlobAddressResponse, address;
}
