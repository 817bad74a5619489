//! What every call passes, whatever it is for: who calls, how long it may take, and the
//! transport's own refusals in the catalogue's words.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, http},
    transport::server::{TcpConnectInfo, UdsConnectInfo},
};
use tower::{Layer, Service};

use super::{
    auth::{Authenticator, Peer, Presented},
    errors::{ApiError, ErrorCode, reworded},
    lasting::{Proof, as_long_as, no_longer},
    listen::Accepted,
    permit::{may_call, takes_its_time},
};

/// The longest time that a call is worked on; a stream, until it begins. What takes as long as
/// its caller sends is not bound by it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Lets in who can prove who they are.
#[derive(Clone, Debug)]
pub struct Gate {
    authenticator: Arc<dyn Authenticator>,
    deadline: Duration,
}

impl Gate {
    /// Asks `authenticator` about every call.
    pub fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self { authenticator, deadline: DEADLINE }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

/// A service behind a gate.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S> Service<http::Request<Body>> for Gated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The one that was found ready is the one to call.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let gate = self.gate.clone();
        Box::pin(async move {
            let presented = Presented {
                peer: peer(&request),
                authorization: request
                    .headers()
                    .get(http::header::AUTHORIZATION)
                    .map(|value| value.as_bytes()),
            };
            let caller = match gate.authenticator.authenticate(&presented).await {
                Ok(Some(caller)) => caller,
                Ok(None) => {
                    let message = "a valid token is needed";
                    return Ok(refused(ApiError::new(ErrorCode::Unauthenticated, message)));
                }
                Err(error) => return Ok(refused(error.into())),
            };
            if !may_call(caller.role(), request.uri().path()) {
                let call = request.uri().path().rsplit('/').next().unwrap_or_default();
                let message =
                    format!("{} is a {} and may not call {call}", caller.name(), caller.role().as_str());
                tracing::info!("{message}");
                return Ok(refused(ApiError::new(ErrorCode::PermissionDenied, message)));
            }
            let proof = Proof {
                peer: presented.peer,
                authorization: presented.authorization.map(<[u8]>::to_vec),
                authenticator: gate.authenticator,
            };
            request.extensions_mut().insert(caller);
            if takes_its_time(request.uri().path()) {
                return tokio::select! {
                    biased;
                    response = inner.call(request) => response.map(in_our_words),
                    () = proof.over() => Ok(no_longer().into_http()),
                };
            }
            match tokio::time::timeout(gate.deadline, inner.call(request)).await {
                Ok(response) => {
                    response.map(|response| in_our_words(response).map(|body| as_long_as(proof, body)))
                }
                Err(_) => {
                    let message = format!("no answer within {} s", gate.deadline.as_secs());
                    Ok(refused(ApiError::new(ErrorCode::DeadlineExceeded, message)))
                }
            }
        })
    }
}

fn peer(request: &http::Request<Body>) -> Option<Peer> {
    let extensions = request.extensions();
    if let Some(Accepted(info)) = extensions.get::<Accepted<UdsConnectInfo>>() {
        return Some(Peer::Unix { uid: info.peer_cred.map(|peer| peer.uid()) });
    }
    let Accepted(info) = extensions.get::<Accepted<TcpConnectInfo>>()?;
    info.remote_addr().map(Peer::Tcp)
}

fn refused(error: ApiError) -> http::Response<Body> {
    Status::from(error).into_http()
}

fn in_our_words(response: http::Response<Body>) -> http::Response<Body> {
    match Status::from_header_map(response.headers()).and_then(|status| reworded(&status)) {
        Some(status) => status.into_http(),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use futures::{StreamExt as _, stream};
    use http_body_util::{BodyStream, StreamBody};
    use hyper::body::Frame;
    use tonic::Code;

    use super::*;
    use crate::api::{auth::Caller, errors::Reported, lasting::LOOK_AGAIN};

    #[derive(Debug)]
    struct Everybody;

    #[async_trait]
    impl Authenticator for Everybody {
        async fn authenticate(&self, _: &Presented<'_>) -> manman_core::error::Result<Option<Caller>> {
            Ok(Some(Caller::new("anybody", manman_core::model::Role::Admin)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_too_long_is_ended() {
        let hangs = tower::service_fn(|_: http::Request<Body>| async {
            std::future::pending::<Result<http::Response<Body>, Infallible>>().await
        });
        let mut gated = Gate::new(Arc::new(Everybody)).layer(hangs);
        let Ok(response) = gated.call(http::Request::new(Body::empty())).await;
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(Reported::from(&status).code, "deadline_exceeded");
    }

    /// Lets in until it is told not to.
    #[derive(Debug)]
    struct Until(AtomicBool);

    #[async_trait]
    impl Authenticator for Until {
        async fn authenticate(&self, _: &Presented<'_>) -> manman_core::error::Result<Option<Caller>> {
            let host = manman_core::model::Role::Host { server: "box".parse().unwrap() };
            Ok((!self.0.load(Ordering::Relaxed)).then(|| Caller::new("box", host)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_ends_with_the_right_to_it() {
        const STREAM: &str = "/manman.v1.HostAPI/GetSnapshot";
        const PUT: &str = "/manman.v1.HostAPI/PutBlob";
        let goes_on = tower::service_fn(|request: http::Request<Body>| async move {
            if takes_its_time(request.uri().path()) {
                return std::future::pending().await;
            }
            let first = stream::iter([Ok::<_, Infallible>(Frame::data(bytes::Bytes::from("first")))]);
            let body = Body::new(StreamBody::new(first.chain(stream::pending())));
            Ok::<_, Infallible>(http::Response::new(body))
        });
        let until = Arc::new(Until(AtomicBool::new(false)));
        let mut gated = Gate::new(until.clone()).layer(goes_on);
        let call = |uri| http::Request::builder().uri(uri).body(Body::empty()).unwrap();
        let Ok(response) = gated.call(call(STREAM)).await;
        let mut frames = BodyStream::new(response.into_body());
        assert_eq!(frames.next().await.unwrap().unwrap().into_data().unwrap(), "first");
        let valid = tokio::time::timeout(LOOK_AGAIN * 10, frames.next()).await;
        assert!(valid.is_err(), "{valid:?}");
        until.0.store(true, Ordering::Relaxed);
        let last = tokio::time::timeout(LOOK_AGAIN * 2, frames.next()).await.unwrap().unwrap().unwrap();
        let status = Status::from_header_map(&last.into_trailers().unwrap()).unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(frames.next().await.is_none());

        until.0.store(false, Ordering::Relaxed);
        let put = tokio::spawn(gated.call(call(PUT)));
        tokio::time::sleep(LOOK_AGAIN * 10).await;
        assert!(!put.is_finished());
        until.0.store(true, Ordering::Relaxed);
        let Ok(response) = put.await.unwrap();
        assert_eq!(Status::from_header_map(response.headers()).unwrap().code(), Code::Unauthenticated);
    }
}
