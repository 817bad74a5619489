//! Reports of hosts, applied to the store.

use std::sync::Arc;

use futures::future;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{Stats, probe, turns::Turns, within::within};
use crate::{
    broker::{Broker, Class, Consumer, Delivery, Exchange, Message, Queue, RoutingKey},
    clock::Timestamp,
    control::ControlConfig,
    error::{Chain, Error, ErrorKind, Result},
    id::Generation,
    store::{Applied, Source, Store},
    wire::{Command, Envelope, Report, SessionReport, VERSION},
};

/// Takes reports from the queue `processor` and applies them through the store's deeds.
///
/// Who sent a report is read from its routing key, which the broker vouches for; a body
/// that says otherwise is a dead letter. So is whatever cannot be read, but for telemetry:
/// hosts of a newer version would push all other letters out. What the store refuses for
/// good is counted and done with; while the store is away nothing is taken.
#[derive(Debug)]
pub struct Consume {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    stats: Stats,
    turns: Turns,
}

/// What is to become of a message.
enum Verdict {
    Done,
    Dead(String),
    Later(Error),
}

impl Consume {
    /// Applies what comes through `broker` to `store`.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig, stats: Stats) -> Self {
        Self { store, broker, config, stats, turns: Turns::default() }
    }

    /// Runs until `shutdown`; what is being applied then is finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        let consumers = (0..self.config.consumers.max(1)).map(|_| self.consume(&shutdown));
        future::join_all(consumers).await;
    }

    async fn consume(&self, shutdown: &CancellationToken) {
        let mut backoff = self.config.backoff();
        while !shutdown.is_cancelled() {
            let error = match self.subscribe().await {
                Ok(mut consumer) => {
                    backoff.reset();
                    match self.take(&mut *consumer, shutdown).await {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            let wait = backoff.delay();
            warn!(error = %Chain(&error), "no reports from the broker for now, will retry in {wait:?}");
            pause(wait, shutdown).await;
        }
    }

    async fn subscribe(&self) -> Result<Box<dyn Consumer>> {
        let queue = Queue::of_processor();
        let longest = self.config.publish_timeout();
        within("declare", longest, self.broker.declare(&queue)).await?;
        within("consume", longest, self.broker.consume(&queue.name)).await
    }

    async fn take(&self, consumer: &mut dyn Consumer, shutdown: &CancellationToken) -> Result<()> {
        loop {
            let delivery = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                delivery = consumer.next() => delivery?,
            };
            self.settle(delivery, shutdown).await?;
        }
    }

    async fn settle(&self, delivery: Delivery, shutdown: &CancellationToken) -> Result<()> {
        let Delivery { message, attempt, handle } = delivery;
        match self.judge(&message).await {
            Verdict::Done => handle.ack().await,
            Verdict::Dead(reason) if is_telemetry(&message) => {
                let unread = self.stats.telemetry_unread(1);
                if unread.is_power_of_two() {
                    warn!(message.key = %message.key, "telemetry that cannot be read is dropped, {unread} so far: {reason}");
                }
                handle.ack().await
            }
            Verdict::Dead(reason) => {
                warn!(message.id = %message.id, message.key = %message.key, "a dead letter: {reason}");
                handle.dead(&reason).await?;
                self.stats.dead(1);
                Ok(())
            }
            Verdict::Later(error) => {
                self.stats.given_back(1);
                let wait = self.config.delay_after(attempt.saturating_sub(1));
                warn!(error = %Chain(&error), message.key = %message.key, "a report cannot be applied for now, will retry in {wait:?}");
                handle.nack(wait).await?;
                self.store_back(shutdown).await;
                Ok(())
            }
        }
    }

    /// Waits until the store answers, so that reports do not use up their deliveries on
    /// a store that is away.
    async fn store_back(&self, shutdown: &CancellationToken) {
        let mut backoff = self.config.backoff();
        while !shutdown.is_cancelled() && self.now().await.is_err() {
            pause(backoff.delay(), shutdown).await;
        }
    }

    async fn judge(&self, message: &Message) -> Verdict {
        if let Some(echo) = probe::echo(message) {
            // A lost echo is a probe that did not return, which its sender counts.
            let echoed = self.broker.publish(echo);
            let _ = within("publish", self.config.publish_timeout(), echoed).await;
            return Verdict::Done;
        }
        let Some(server) = message.key.server() else {
            return Verdict::Dead(format!("unknown_key: {} names no host", message.key));
        };
        let envelope = match Envelope::<Report>::decode(&message.body) {
            Ok(envelope) => envelope,
            Err(unreadable) => return Verdict::Dead(unreadable.to_string()),
        };
        if envelope.server != server {
            let body = envelope.server;
            return Verdict::Dead(format!(
                "identity_mismatch: sent by server {server}, in the name of {body}"
            ));
        }
        let source =
            Source { message: envelope.id, server, epoch: envelope.epoch, sequence: envelope.sequence };
        let beat = matches!(envelope.body, Report::Beat(_));
        let _turn = self.turns.of(server, envelope.epoch, envelope.sequence).await;
        let applied = self.apply(source, &envelope.body);
        match within("apply a report", self.config.store_timeout(), applied).await {
            Ok(applied) => {
                if beat && applied == Applied::Changed {
                    self.ask_again(source).await;
                }
                self.count(source, applied);
                Verdict::Done
            }
            Err(error) if error.is_temporary() => Verdict::Later(error),
            Err(error) if beat => {
                debug!(error = %Chain(&error), server.id = %server, "a beat is refused");
                self.stats.beats_refused(1);
                Verdict::Done
            }
            // About the store, not the report: a password that was changed, say. Whoever is
            // handed it too often buries it all the same.
            Err(error)
                if matches!(error.kind(), ErrorKind::Config | ErrorKind::Denied | ErrorKind::Unexpected) =>
            {
                Verdict::Later(error)
            }
            Err(error) => Verdict::Dead(format!("refused: {}", Chain(&error))),
        }
    }

    async fn apply(&self, source: Source, report: &Report) -> Result<Applied> {
        match report {
            Report::Beat(beat) => self.store.server_beat(source, beat).await,
            Report::Host(report) => self.store.server_report(source, report).await,
            Report::Session(report) => {
                let applied = self.store.session_report(source, report).await?;
                if applied == Applied::Changed && matches!(report, SessionReport::Outcome { .. }) {
                    self.stats.settled(1);
                }
                Ok(applied)
            }
        }
    }

    /// A host that is heard again may not know that it was missed, and that its sessions
    /// are on record as lost: it is told to look. Only a hint; it looks by itself as well.
    async fn ask_again(&self, source: Source) {
        let issued_at = match self.now().await {
            Ok(now) => now,
            Err(_) => return,
        };
        let envelope = Envelope {
            version: VERSION,
            id: Uuid::now_v7(),
            issued_at,
            not_after: None,
            server: source.server,
            epoch: source.epoch,
            generation: Generation::default(),
            sequence: 0,
            trace: None,
            body: Command::Snapshot {},
        };
        let Ok(body) = envelope.encode() else { return };
        let hint = Message {
            id: envelope.id,
            exchange: Exchange::Internal,
            key: RoutingKey::command(source.server),
            class: Class::Command,
            body,
        };
        let told = self.broker.publish(hint);
        if let Err(error) = within("publish", self.config.publish_timeout(), told).await {
            debug!(error = %Chain(&error), server.id = %source.server, "a host could not be told to look");
        }
    }

    async fn now(&self) -> Result<Timestamp> {
        within("now", self.config.store_timeout(), self.store.now()).await
    }

    fn count(&self, source: Source, applied: Applied) {
        match applied {
            Applied::Changed => self.stats.changed(1),
            Applied::Same => self.stats.same(1),
            Applied::Duplicate => self.stats.duplicate(1),
            Applied::Fenced => self.stats.fenced(1),
            Applied::Illegal(why) => {
                debug!(server.id = %source.server, "a report cannot be: {why}");
                self.stats.illegal(1)
            }
        };
    }
}

/// Whether it may be dropped. Its sender says so; under the key of a report, which the broker
/// vouches for, nothing is dropped whatever it says.
fn is_telemetry(message: &Message) -> bool {
    message.class == Class::Telemetry && !message.key.as_str().starts_with("status.")
}

/// Waits, but not beyond `shutdown`.
pub(super) async fn pause(wait: std::time::Duration, shutdown: &CancellationToken) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
