//! The connection: whether it stands, what the server complains about, and questions with
//! a deadline.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, HeaderMap, Request, Subscriber};
use bytes::Bytes;
use futures::FutureExt as _;
use manman_core::error::{Error, ErrorKind, Result};
use tokio::sync::{broadcast, mpsc, watch};

use super::{config::NatsConfig, connect, translate};

/// The longest that a call takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// The longest that a call waits for a connection, or for word of why there is none.
const CONNECTED: Duration = Duration::from_secs(2);
/// How much longer it waits for the next try before it fails.
const ONCE_MORE: Duration = Duration::from_millis(500);

/// How the connection stands. Each loss makes a new number.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub number: u64,
    pub up: bool,
    /// Why the last try to connect failed.
    pub trouble: Option<String>,
}

/// What the server does not let us do.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub subject: String,
    /// Whether it is where answers come: without it nothing can be asked.
    pub is_answers: bool,
}

/// A connection to the server that is made again for ever.
pub(super) struct Link {
    pub client: Client,
    state: watch::Sender<State>,
    violations: broadcast::Sender<Violation>,
    courier: mpsc::UnboundedSender<(String, Bytes)>,
    /// Telemetry that could not be sent.
    unsent: AtomicU64,
    /// Gone with the last of us.
    _wanted: Arc<()>,
}

impl Link {
    /// Begins to connect; waits for no server.
    pub async fn open(config: &NatsConfig) -> Result<Arc<Self>> {
        let (state, violations) = (watch::Sender::new(State::default()), broadcast::Sender::new(64));
        let wanted = Arc::new(());
        let client = connect::connect(config, &wanted, &state, &violations).await?;
        let (courier, mut letters) = mpsc::unbounded_channel::<(String, Bytes)>();
        let carrier = client.clone();
        tokio::spawn(async move {
            while let Some((subject, payload)) = letters.recv().await {
                let _ = carrier.publish(subject, payload).await;
            }
        });
        Ok(Arc::new(Self { client, state, violations, courier, unsent: AtomicU64::new(0), _wanted: wanted }))
    }

    /// Waits for the connection, not for long.
    pub async fn up(&self, operation: &'static str) -> Result<watch::Receiver<State>> {
        let mut state = self.state.subscribe();
        let tried = state.wait_for(|state| state.up || state.trouble.is_some()).map(|_| ());
        let _ = tokio::time::timeout(CONNECTED, tried).await;
        let up = state.wait_for(|state| state.up).map(|up| up.is_ok());
        if tokio::time::timeout(ONCE_MORE, up).await.unwrap_or(false) {
            return Ok(state);
        }
        let trouble = self.state.borrow().trouble.clone();
        Err(translate::away(operation, trouble.as_deref()))
    }

    /// Asks, and waits for the answer until the deadline. `None` where nobody listens.
    pub async fn ask(
        &self,
        operation: &'static str,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Option<async_nats::Message>> {
        let mut violations = self.violations();
        let mut state = self.up(operation).await?;
        let number = state.borrow().number;
        let mut request = Request::new().payload(payload).timeout(None);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let unknown = |what: &str| Error::new(ErrorKind::Timeout, operation, what.to_owned());
        tokio::select! {
            biased;
            answer = self.client.send_request(subject.to_owned(), request) => match answer {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == async_nats::RequestErrorKind::NoResponders => Ok(None),
                Err(error) if error.kind() == async_nats::RequestErrorKind::MaxPayloadExceeded => {
                    Err(translate::too_large(operation, self.client.max_payload()))
                }
                Err(error) => Err(unknown("the question could not be sent").because(error)),
            },
            error = refused(&mut violations, operation, subject) => Err(error),
            _ = state.wait_for(|state| state.number != number) => {
                Err(unknown("the connection was lost before the answer came"))
            }
            () = tokio::time::sleep(DEADLINE) => Err(unknown(&format!("no answer within {DEADLINE:?}"))),
        }
    }

    /// Begins to listen, on this connection and those after it.
    pub async fn listen(
        &self,
        operation: &'static str,
        subject: &str,
        group: Option<&str>,
    ) -> Result<Subscriber> {
        self.up(operation).await?;
        let subject = subject.to_owned();
        let listening = match group {
            Some(group) => self.client.queue_subscribe(subject, group.to_owned()).boxed(),
            None => self.client.subscribe(subject).boxed(),
        };
        match tokio::time::timeout(DEADLINE, listening).await {
            Ok(Ok(subscriber)) => Ok(subscriber),
            Ok(Err(error)) => {
                Err(Error::new(ErrorKind::Unavailable, operation, "cannot listen").because(error))
            }
            Err(_) => Err(Error::new(ErrorKind::Timeout, operation, "the connection does not take anything")),
        }
    }

    /// Waits until the server has taken what was sent before.
    pub async fn flush(&self, operation: &'static str) -> Result<()> {
        self.ask(operation, "$JS.API.INFO", None, Bytes::new()).await.map(drop)
    }

    /// Sends without a promise, and without waiting.
    pub fn send_now(&self, subject: String, headers: HeaderMap, payload: Bytes) {
        let sent = self.state.borrow().up
            && matches!(
                self.client.publish_with_headers(subject, headers, payload).now_or_never(),
                Some(Ok(()))
            );
        if !sent {
            self.unsent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends without a promise, in the order of the calls; for what cannot wait itself.
    pub fn post(&self, subject: &str, payload: impl Into<Bytes>) {
        let _ = self.courier.send((subject.to_owned(), payload.into()));
    }

    /// How much telemetry could not be sent.
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub fn violations(&self) -> broadcast::Receiver<Violation> {
        self.violations.subscribe()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.borrow().fmt(f)
    }
}

/// The error that the server's refusal of `subject` is; waits for one.
pub(super) async fn refused(
    violations: &mut broadcast::Receiver<Violation>,
    operation: &'static str,
    subject: &str,
) -> Error {
    loop {
        match violations.recv().await {
            Ok(violation) if violation.subject == subject || violation.is_answers => {
                return translate::denied(operation, &violation.subject);
            }
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            _ => {}
        }
    }
}
