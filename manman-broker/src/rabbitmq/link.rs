//! One connection to RabbitMQ: made within a deadline, and ended for good when in doubt.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use lapin::{
    Channel, Connection, Event,
    options::{BasicQosOptions, ConfirmSelectOptions},
};
use manman_core::error::{Error, ErrorKind, Result};
use rustls::ClientConfig;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    config::RabbitConfig,
    connect::{Socket, connect},
    tls::Asked,
    translate::{translate, translate_open},
};

/// How often RabbitMQ is asked for an answer, and how long it may take: a link that is half
/// open is noticed within the sum of both.
const ASK_EVERY: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the exchanges are taken to be there once they were made: long against a fleet that
/// comes at once, of which each host would make them again; short against waiting for one that
/// somebody deleted and that no queue is bound to.
const EXCHANGES_STAY: Duration = Duration::from_secs(10);

/// A connection. It has ended as soon as [`Link::ended`] says so, and never comes back.
pub(super) struct Link {
    connection: Connection,
    socket: Arc<Socket>,
    /// Why RabbitMQ takes no messages now, if so.
    blocked: watch::Receiver<Option<String>>,
    end: CancellationToken,
    /// Open as long as it is: for publishes that are confirmed, and for those that are not.
    confirmed: tokio::sync::Mutex<Option<Channel>>,
    unconfirmed: tokio::sync::Mutex<Option<Channel>>,
    /// When the exchanges were made on it.
    exchanges: Mutex<Option<Instant>>,
}

impl Link {
    /// Connects; `purpose` is for RabbitMQ's list of connections.
    pub async fn open(
        config: &RabbitConfig,
        tls: Option<Arc<ClientConfig>>,
        purpose: &str,
    ) -> Result<Arc<Self>> {
        let socket = Arc::new(Socket::default());
        let within = config.connect_timeout();
        let asked = Asked::default();
        let tls = tls.map(|tls| asked.on(&tls));
        let opened = timeout(within, connect(config, tls, purpose, socket.clone())).await;
        let connection = match opened {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                socket.end();
                return Err(translate_open(&config.place(), &config.user, asked.is_so(), error));
            }
            Err(_) => {
                socket.end();
                let message = format!("{} does not answer within {within:?}", config.place());
                return Err(Error::new(ErrorKind::Timeout, "connect", message));
            }
        };
        let (block, blocked) = watch::channel(None);
        let end = CancellationToken::new();
        let link = Arc::new(Self {
            socket,
            blocked,
            end: end.clone(),
            confirmed: tokio::sync::Mutex::default(),
            unconfirmed: tokio::sync::Mutex::default(),
            exchanges: Mutex::default(),
            connection,
        });
        tokio::spawn(watch_over(Arc::downgrade(&link), link.connection.events_listener(), block, end));
        Ok(link)
    }

    /// When it has ended.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// Ends it now, without a word to the other side.
    pub fn fail(&self, why: &str) {
        if !self.end.is_cancelled() {
            debug!("a connection to RabbitMQ is given up: {why}");
        }
        self.end.cancel();
        self.socket.end();
    }

    /// Takes leave of the other side.
    pub async fn close(&self) {
        let _ = timeout(Duration::from_secs(1), self.connection.close(200, "OK".into())).await;
        self.fail("closed");
    }

    /// Why RabbitMQ takes no messages now, if so.
    pub fn blocked(&self) -> Option<String> {
        self.blocked.borrow().clone()
    }

    /// When RabbitMQ says that it takes no messages now: why.
    pub async fn until_blocked(&self) -> String {
        let mut blocked = self.blocked.clone();
        let why = blocked.wait_for(Option::is_some).await.map(|why| why.clone());
        match why {
            Ok(why) => why.unwrap_or_default(),
            // Nobody tells any more: the connection ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether the exchanges were made on it just now.
    pub fn has_exchanges(&self) -> bool {
        self.exchanges().is_some_and(|made| made.elapsed() < EXCHANGES_STAY)
    }

    /// Notes that they were made.
    pub fn note_exchanges(&self) {
        *self.exchanges() = Some(Instant::now());
    }

    fn exchanges(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel of one's own.
    pub async fn channel(&self, operation: &'static str, within: Duration) -> Result<Channel> {
        self.call(operation, within, self.connection.create_channel()).await
    }

    /// The channel for publishes that are confirmed.
    pub async fn confirmed(&self, operation: &'static str, within: Duration) -> Result<Channel> {
        let mut slot = self.confirmed.lock().await;
        if let Some(channel) = slot.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        let channel = self.channel(operation, within).await?;
        self.call(operation, within, channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(slot.insert(channel).clone())
    }

    /// The channel for publishes that are not.
    pub async fn unconfirmed(&self, operation: &'static str, within: Duration) -> Result<Channel> {
        let mut slot = self.unconfirmed.lock().await;
        if let Some(channel) = slot.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        Ok(slot.insert(self.channel(operation, within).await?).clone())
    }

    /// Waits for lapin within a deadline. Whoever does not answer in time is not waited for
    /// any more by anybody: the connection ends.
    pub async fn call<T>(
        &self,
        operation: &'static str,
        within: Duration,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            result = call => result.map_err(|error| {
                self.look();
                translate(operation, error)
            }),
            () = self.ended() => Err(lost(operation)),
            () = tokio::time::sleep(within) => {
                self.fail("it does not answer");
                Err(Error::new(ErrorKind::Timeout, operation, format!("no answer within {within:?}")))
            }
        }
    }

    /// Ends it if lapin knows that it has ended.
    pub fn look(&self) {
        if !self.connection.status().connected() {
            self.fail("lapin lost it");
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("ended", &self.end.is_cancelled()).finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end.cancel();
        self.socket.end();
    }
}

/// The connection that a call was on is gone: whether it happened is not known.
pub(super) fn lost(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the connection to RabbitMQ was lost")
}

/// Notes what RabbitMQ says of the connection, and asks it for answers.
async fn watch_over(
    link: std::sync::Weak<Link>,
    events: impl futures::Stream<Item = Event> + Send,
    block: watch::Sender<Option<String>>,
    end: CancellationToken,
) {
    let mut events = std::pin::pin!(events);
    let mut ask = tokio::time::interval(ASK_EVERY);
    ask.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut channel = None;
    loop {
        let event = tokio::select! {
            biased;
            () = end.cancelled() => return,
            event = events.next() => Some(event),
            _ = ask.tick() => None,
        };
        let Some(link) = link.upgrade() else { return };
        match event {
            Some(Some(Event::ConnectionBlocked(why))) => {
                block.send_replace(Some(why));
            }
            Some(Some(Event::ConnectionUnblocked)) => {
                block.send_replace(None);
            }
            Some(Some(Event::Error(_)) | None) => link.look(),
            Some(Some(_)) => {}
            // While it is blocked lapin writes nothing.
            None if link.connection.status().blocked() => link.look(),
            None => {
                link.look();
                let asked = async {
                    let channel = match &channel {
                        Some(channel) => channel,
                        None => channel.insert(link.channel("ask", ANSWER_WITHIN).await?),
                    };
                    link.call("ask", ANSWER_WITHIN, channel.basic_qos(1, BasicQosOptions::default())).await
                };
                // Whoever is not answered ends the link.
                tokio::select! {
                    biased;
                    why = link.until_blocked() => debug!("RabbitMQ takes nothing: {why}"),
                    _ = asked => {}
                }
            }
        }
    }
}
