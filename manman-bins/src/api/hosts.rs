//! The calls of host managers: each host sees and changes only what is its own.

use std::{fmt, sync::Arc};

use tonic::{Request, Response, Status};

use manman_core::{
    error::{Error, ErrorKind},
    id::SessionId,
    model::{Invalid, Name, Role, token::TokenDigest},
    store::{Registration, Store},
    uplink::{HostIdentity, Uplink},
};

use super::{
    auth::Caller,
    convert::{attempts_in, host_in, id, parsed, sessions_in},
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
        let known = few("known_session_ids", request.known_session_ids)?;
        let known = sessions_in("known_session_ids", known)?;
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
        ErrorCode::StoreUnavailable | ErrorCode::ShuttingDown => ErrorKind::Unavailable,
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
        }
    };
}

calls! {
    join_host: JoinHostRequest => JoinHostResponse, join;
    register_host: RegisterHostRequest => RegisterHostResponse, register;
    get_snapshot: GetSnapshotRequest => GetSnapshotResponse, snapshot;
    get_session_spec: GetSessionSpecRequest => GetSessionSpecResponse, spec;
    list_receipts: ListReceiptsRequest => ListReceiptsResponse, receipts;
}
