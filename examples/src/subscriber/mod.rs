//! What other systems make of manman's events: each sink has a queue of its own at the
//! broker, so that one that fails holds up no other and loses nothing.

mod audit;
mod metrics;
mod webhook;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use manman_core::{
    broker::{Broker, Delivery, Exchange, Pattern, Queue},
    error::{Chain, Result},
    retry::Backoff,
    wire::{Envelope, ExternalEvent},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use audit::Audit;
pub use metrics::Metrics;
pub use webhook::Webhook;

/// How long a sink that could not take an event is left alone.
const LATER: Duration = Duration::from_secs(2);

/// An event that came. It may come twice: the message's id tells, and (session, revision).
#[derive(Clone, Debug)]
pub struct Event {
    /// The message's id.
    pub id: Uuid,
    /// What it is about, such as `manman.session.crashed`.
    pub key: String,
    /// What happened.
    pub what: ExternalEvent,
}

/// Takes events.
#[async_trait]
pub trait Sink: fmt::Debug + Send + 'static {
    /// Its name, and that of its queue.
    fn name(&self) -> &'static str;

    /// Takes one. What it could not take comes again.
    ///
    /// # Errors
    /// Why it could not.
    async fn take(&mut self, event: &Event) -> anyhow::Result<()>;
}

/// The queue of a sink: what happens while it is away waits for it.
pub fn queue(sink: &dyn Sink) -> Queue {
    Queue {
        name: format!("subscriber-{}", sink.name()),
        bindings: vec![(Exchange::External, Pattern::new("manman.#"))],
        durable: true,
        // In order, one after the other.
        single_consumer: true,
        max_messages: 100_000,
        max_deliveries: 1_000,
        max_age: None,
    }
}

/// Feeds a sink until `shutdown`; a broker that is away is waited for.
pub async fn feed(broker: Arc<dyn Broker>, mut sink: Box<dyn Sink>, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), fastrand::u64(..));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            ended = take_all(&*broker, &mut *sink) => {
                if let Err(error) = ended {
                    tracing::warn!(error = %Chain(&error), "{}: no events for now", sink.name());
                }
            }
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}

async fn take_all(broker: &dyn Broker, sink: &mut dyn Sink) -> Result<()> {
    let queue = queue(sink);
    broker.declare(&queue).await?;
    let mut consumer = broker.consume(&queue.name).await?;
    loop {
        let Delivery { message, handle, .. } = consumer.next().await?;
        let what = match Envelope::<ExternalEvent>::decode(&message.body) {
            Ok(envelope) => envelope.body,
            // Of a newer manman, perhaps: an operator finds it among the dead letters.
            Err(unreadable) => {
                handle.dead(&unreadable.to_string()).await?;
                continue;
            }
        };
        let event = Event { id: message.id, key: message.key.to_string(), what };
        match sink.take(&event).await {
            Ok(()) => handle.ack().await?,
            Err(error) => {
                tracing::warn!("{}: {} is tried again: {error:#}", sink.name(), event.key);
                handle.nack(LATER).await?;
            }
        }
    }
}
