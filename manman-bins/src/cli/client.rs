//! The connection to a manman: calls with a deadline, repeated when the connection is
//! lost.
//!
//! Every write carries an idempotency key inside its request, so a repetition of the
//! same request is done once.

use std::{error::Error as _, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time};
use tonic::{
    Code, Request, Response, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};
use uuid::Uuid;

use super::{failure::Failure, place::Place};
use crate::api::{
    dial::{self, Proof},
    errors::{ErrorCode, Reported},
    v1::man_man_api_client::ManManApiClient,
};

/// The generated client with our proof in it.
pub type Api = ManManApiClient<InterceptedService<Channel, Proof>>;

/// How long a call may take. What the server does in one call is short; it waits longer
/// only when it is asked to.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Before each repetition of a call whose connection was lost.
const BEFORE_REPETITION: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// A page of 200 configs may be large.
const LARGEST_ANSWER: usize = 64 << 20;

/// A connection to a manman.
#[derive(Clone, Debug)]
pub struct Client {
    api: Api,
    place: Place,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// A failure that says what to do when nobody is there.
    pub async fn connect(place: Place) -> Result<Self, Failure> {
        let (endpoint, proof) = match &place {
            Place::Socket(_) => (Endpoint::from_static("http://localhost"), Proof::none()),
            Place::Tcp { address, token, ca } => {
                let endpoint = dial::endpoint(address, ca.as_deref()).map_err(Failure::usage)?;
                (endpoint, Proof::token(token.reveal()).map_err(Failure::usage)?)
            }
        };
        let endpoint = endpoint
            // A machine that vanished is noticed while a stream is silent.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let connected = match &place {
            Place::Socket(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                endpoint.connect_with_connector(connector).await
            }
            Place::Tcp { .. } => endpoint.connect().await,
        };
        let channel = connected.map_err(|error| place.unreached(&error))?;
        Ok(Self {
            api: ManManApiClient::with_interceptor(channel, proof).max_decoding_message_size(LARGEST_ANSWER),
            place,
        })
    }

    /// A connection that was made already, for tests.
    #[cfg(test)]
    pub fn over(channel: Channel) -> Self {
        let api = ManManApiClient::with_interceptor(channel, Proof::none());
        Self { api, place: Place::Socket("/made/up/manman.sock".into()) }
    }

    /// Calls, with the usual deadline; repeats the call when the connection was lost.
    pub async fn call<Q: Clone, A>(
        &self,
        request: Q,
        call: impl AsyncFn(Api, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let mut pauses = BEFORE_REPETITION.iter();
        loop {
            match self.call_once(request.clone(), CALL_DEADLINE, &call).await {
                Ok(answer) => return Ok(answer),
                Err(status) if is_lost(&status) => match pauses.next() {
                    Some(&pause) => time::sleep(pause).await,
                    None => return Err(self.lost(&status)),
                },
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Calls once.
    pub async fn call_once<Q, A>(
        &self,
        request: Q,
        deadline: Duration,
        call: impl AsyncFn(Api, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        match time::timeout(deadline, call(self.api.clone(), Request::new(request))).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", deadline.as_secs()))),
        }
    }

    /// What to say when the connection is lost and does not come back.
    pub fn lost(&self, status: &Status) -> Failure {
        if status.code() == Code::DeadlineExceeded {
            return Failure::from(status.clone());
        }
        self.place
            .nobody()
            .cause("The connection was lost and could not be made again; whether it was done is not known.")
    }
}

/// Whether a call ended for want of a connection, so that nobody knows what became of it.
pub fn is_lost(status: &Status) -> bool {
    if !status.details().is_empty() {
        // The server's own refusals carry details; this one says that it is on its way out.
        return Reported::from(status).code == ErrorCode::ShuttingDown.as_str();
    }
    status.source().is_some()
        || matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
}

/// A key for one write.
pub fn new_key() -> String {
    Uuid::new_v4().to_string()
}
