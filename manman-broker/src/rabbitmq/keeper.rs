//! Keeps a connection: makes a new one as long as there is none, for ever.

use std::{sync::Arc, time::Duration};

use manman_core::{
    error::{Chain, Error, ErrorKind, Result},
    retry::Backoff,
};
use rustls::ClientConfig;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::{config::RabbitConfig, link::Link};

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(5);

/// A connection that lived so long was a good one: the pauses begin anew.
const GOOD: Duration = Duration::from_secs(5);

/// A connection, whenever there can be one. It ends with its value.
#[derive(Debug)]
pub(super) struct Keeper {
    state: watch::Receiver<State>,
    _end: DropGuard,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// It is being made, for the first time or just after it was lost.
    Begins,
    Up(Arc<Link>),
    Away(Arc<Why>),
}

/// Why there is none.
#[derive(Debug)]
pub(super) struct Why {
    kind: ErrorKind,
    message: String,
}

impl Keeper {
    /// Begins to connect in the background.
    pub fn new(config: Arc<RabbitConfig>, tls: Option<Arc<ClientConfig>>, purpose: &'static str) -> Self {
        let (tell, state) = watch::channel(State::Begins);
        let end = CancellationToken::new();
        let keep = Keep { config, tls, purpose, tell, end: end.clone() };
        tokio::spawn(keep.run());
        Self { state, _end: end.drop_guard() }
    }

    /// The connection; waits while it is being made.
    pub async fn link(&self, operation: &'static str, within: Duration) -> Result<Arc<Link>> {
        let mut state = self.state.clone();
        let settled = async {
            state.wait_for(|state| !matches!(state, State::Begins)).await.map(|state| state.clone())
        };
        let unavailable = |what: String| Error::new(ErrorKind::Unavailable, operation, what);
        match tokio::time::timeout(within, settled).await {
            Ok(Ok(State::Up(link))) => Ok(link),
            Ok(Ok(State::Away(why))) => {
                Err(Error::new(why.kind, operation, why.message.clone()).temporary(true))
            }
            Ok(Ok(State::Begins)) | Err(_) => Err(unavailable(format!("no connection within {within:?}"))),
            Ok(Err(_)) => Err(unavailable("the broker is being closed".to_owned())),
        }
    }

    /// How it stands with the connection.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }
}

struct Keep {
    config: Arc<RabbitConfig>,
    tls: Option<Arc<ClientConfig>>,
    purpose: &'static str,
    tell: watch::Sender<State>,
    end: CancellationToken,
}

impl Keep {
    async fn run(self) {
        let end = self.end.clone();
        let last = tokio::select! {
            biased;
            () = end.cancelled() => match &*self.tell.borrow() {
                State::Up(link) => Some(link.clone()),
                _ => None,
            },
            () = self.keep() => None,
        };
        if let Some(link) = last {
            link.close().await;
        }
    }

    async fn keep(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), LONGEST, fastrand::u64(..));
        let mut complained = None;
        loop {
            let error = match Link::open(&self.config, self.tls.clone(), self.purpose).await {
                Ok(link) => {
                    let begun = Instant::now();
                    if complained.take().is_some() {
                        info!("{} answers again", self.config.place());
                    }
                    self.tell.send_replace(State::Up(link.clone()));
                    link.ended().await;
                    drop(link);
                    self.tell.send_replace(State::Begins);
                    if begun.elapsed() > GOOD {
                        backoff.reset();
                    }
                    sleep(backoff.delay()).await;
                    continue;
                }
                Err(error) => error,
            };
            let wait = backoff.delay();
            let message = Chain(&error).to_string();
            if complained.as_ref() != Some(&message) {
                warn!("no connection for now, tried again for ever: {message}");
            }
            let why = Why { kind: error.kind(), message: error.message().to_owned() };
            self.tell.send_replace(State::Away(Arc::new(why)));
            complained = Some(message);
            sleep(wait).await;
        }
    }
}
