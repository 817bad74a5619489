//! Sending: with RabbitMQ's word that it is stored, or without.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use lapin::{BasicProperties, Channel, Confirmation, options::BasicPublishOptions};
use manman_core::{
    broker::Message,
    error::{Chain, Error, ErrorKind, Result},
    retry::Backoff,
};
use rustls::ClientConfig;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Duration, Instant, sleep, sleep_until},
};
use tracing::warn;

use super::{
    config::RabbitConfig,
    keeper::{Keeper, State},
    link::{Link, lost},
    map,
    translate::{is_about, translate},
};
use crate::missed::Missed;

/// How much telemetry waits to leave: so many messages, so many bytes.
const WAITING: usize = 4_096;
const WAITING_BYTES: usize = 8 * 1024 * 1024;

/// What is sent, and where.
#[derive(Debug)]
pub(super) struct Letter {
    /// Empty for a queue by its name.
    pub exchange: &'static str,
    pub key: String,
    pub properties: BasicProperties,
    pub message: Message,
    /// Whether it has to reach a queue, and each that takes it.
    pub mandatory: bool,
}

/// Sends on a connection of its own: RabbitMQ stops reading from those who send when it is
/// full, and whoever takes messages must not stop with them.
#[derive(Debug)]
pub(super) struct Publisher {
    keeper: Arc<Keeper>,
    config: Arc<RabbitConfig>,
    telemetry: mpsc::Sender<(Letter, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    dropped: Arc<AtomicU64>,
    missed: Arc<Missed>,
}

impl Publisher {
    pub fn new(config: Arc<RabbitConfig>, tls: Option<Arc<ClientConfig>>) -> Self {
        let keeper = Arc::new(Keeper::new(config.clone(), tls, "publish"));
        let (telemetry, waiting) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        tokio::spawn(send_telemetry(keeper.clone(), config.clone(), waiting, dropped.clone()));
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        Self { keeper, config, telemetry, room, dropped, missed: Arc::default() }
    }

    /// The connection.
    pub async fn link(&self, operation: &'static str, within: Duration) -> Result<Arc<Link>> {
        self.keeper.link(operation, within).await
    }

    /// How much telemetry was dropped here.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many events were missed by a queue that was full.
    pub fn missed(&self) -> u64 {
        self.missed.count()
    }

    /// Sends without a word back, if there is room.
    pub fn offer(&self, letter: Letter) {
        let size = u32::try_from(letter.message.body.len()).unwrap_or(u32::MAX);
        let offered = self.room.clone().try_acquire_many_owned(size).is_ok_and(|permit| {
            !matches!(self.keeper.state(), State::Away(_))
                && self.telemetry.try_send((letter, permit)).is_ok()
        });
        if !offered {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends, and waits until it is stored.
    pub async fn send(&self, operation: &'static str, letter: Letter) -> Result<()> {
        let within = self.config.publish_timeout();
        let deadline = Instant::now() + within;
        let link = self.keeper.link(operation, within).await?;
        if let Some(why) = link.blocked() {
            return Err(Error::new(ErrorKind::Busy, operation, format!("RabbitMQ takes nothing now: {why}")));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let channel = link.confirmed(operation, left).await?;
        // Whoever asked may go away; lapin keeps for ever what nobody waits for.
        let sent = tokio::spawn(send(operation, link, channel, letter, deadline, self.missed.clone()));
        sent.await.map_err(|_| Error::new(ErrorKind::Unavailable, operation, "the runtime is ending"))?
    }
}

async fn send(
    operation: &'static str,
    link: Arc<Link>,
    channel: Channel,
    letter: Letter,
    deadline: Instant,
    missed: Arc<Missed>,
) -> Result<()> {
    let options = BasicPublishOptions { mandatory: letter.mandatory, immediate: false };
    let unknown = |what: String| Error::new(ErrorKind::Timeout, operation, what);
    let confirm = async {
        let key = short(operation, &letter.key)?;
        let body = &letter.message.body;
        let published =
            channel.basic_publish(letter.exchange.into(), key, options, body, letter.properties.clone());
        let refused = |error| refused(operation, &letter, error);
        published.await.map_err(refused)?.await.map_err(refused)
    };
    let confirmation = tokio::select! {
        biased;
        confirmation = confirm => confirmation,
        () = link.ended() => Err(lost(operation)),
        why = link.until_blocked() => {
            Err(unknown(format!("RabbitMQ takes nothing now ({why}); whether this is stored is not known")))
        }
        () = sleep_until(deadline) => {
            link.fail("it does not confirm");
            Err(unknown("not confirmed in time".to_owned()))
        }
    };
    let confirmation = match confirmation {
        Ok(confirmation) => confirmation,
        Err(error) => {
            link.look();
            return unrouted_is_fine(&letter, error);
        }
    };
    let key = &letter.key;
    match confirmation {
        // What was returned is confirmed all the same.
        Confirmation::Ack(Some(_)) => {
            Err(Error::new(ErrorKind::NotFound, operation, format!("no queue takes {key}")))
        }
        Confirmation::Ack(None) => Ok(()),
        // Of several queues one is full, and the others have it: it is not said which. The word
        // comes at once, so that theirs may still be on its way to the disk.
        Confirmation::Nack(_) if !letter.mandatory => {
            missed.note("a queue", &letter.message.key);
            Ok(())
        }
        Confirmation::Nack(_) => {
            Err(Error::new(ErrorKind::Busy, operation, format!("a queue that takes {key} is full")))
        }
        Confirmation::NotRequested => {
            Err(Error::new(ErrorKind::Unexpected, operation, "the channel does not confirm"))
        }
    }
}

/// The channel was closed on a publish. RabbitMQ does that to all that is on its way there
/// when one of them is refused; the others do not know.
fn refused(operation: &'static str, letter: &Letter, error: lapin::Error) -> Error {
    if is_about(&error, letter.exchange, &letter.key) {
        translate(operation, error)
    } else {
        lost(operation).because(error)
    }
}

/// Without the exchange there is no queue either.
fn unrouted_is_fine(letter: &Letter, error: Error) -> Result<()> {
    if error.kind() == ErrorKind::NotFound && !letter.mandatory { Ok(()) } else { Err(error) }
}

fn short(operation: &'static str, name: &str) -> Result<lapin::types::ShortString> {
    let long =
        || Error::new(ErrorKind::Invalid, operation, format!("{} bytes are too long for a name", name.len()));
    map::short(name).ok_or_else(long)
}

/// Sends telemetry on a channel of its own, one after the other. What cannot be sent is
/// dropped.
async fn send_telemetry(
    keeper: Arc<Keeper>,
    config: Arc<RabbitConfig>,
    mut waiting: mpsc::Receiver<(Letter, OwnedSemaphorePermit)>,
    dropped: Arc<AtomicU64>,
) {
    const OPERATION: &str = "publish telemetry";
    let within = config.publish_timeout();
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), fastrand::u64(..));
    // The publisher's own end ends this; the keeper is not kept for it.
    let keeper = {
        let weak = Arc::downgrade(&keeper);
        drop(keeper);
        weak
    };
    while let Some((letter, _room)) = waiting.recv().await {
        let Some(keeper) = keeper.upgrade() else { return };
        let sent = async {
            let link = keeper.link(OPERATION, within).await?;
            if let Some(why) = link.blocked() {
                return Err(Error::new(ErrorKind::Busy, OPERATION, why));
            }
            let channel = link.unconfirmed(OPERATION, within).await?;
            let key = short(OPERATION, &letter.key)?;
            let (options, body) = (BasicPublishOptions::default(), &letter.message.body);
            let publish =
                channel.basic_publish(letter.exchange.into(), key, options, body, letter.properties.clone());
            tokio::select! {
                biased;
                why = link.until_blocked() => Err(Error::new(ErrorKind::Busy, OPERATION, why)),
                sent = link.call(OPERATION, within, publish) => sent,
            }
        };
        match sent.await {
            Ok(_) => backoff.reset(),
            Err(error) => {
                dropped.fetch_add(1, Ordering::Relaxed);
                if error.kind() == ErrorKind::Denied || error.kind() == ErrorKind::NotFound {
                    // The channel ends with each that is refused: that is not done at full speed.
                    let wait = backoff.delay();
                    warn!("telemetry is dropped for {wait:?}: {}", Chain(&error));
                    sleep(wait).await;
                }
            }
        }
    }
}
