//! What happens, as a stream for whoever embeds us or runs beside us.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tracing::warn;
use uuid::Uuid;

use crate::{
    broker::{Broker, Consumer, Exchange, Pattern, Queue},
    error::{Chain, Error, Result},
    wire::{Envelope, ExternalEvent},
};

/// Something that the stream of events says.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// This happened. Rarely twice: (session, revision) tells.
    Event(ExternalEvent),
    /// The stream was cut off from the broker; events before this one may be missing.
    /// What is so now, the store tells.
    Interrupted,
}

/// The most events that wait for a subscriber; the oldest go first.
const WAITING: usize = 10_000;

/// Changes of hosts and sessions from now on, as they leave the control plane. It never
/// ends: a cut is told, and listening begins again.
///
/// # Errors
/// What the broker says to a queue.
pub async fn events(broker: Arc<dyn Broker>) -> Result<BoxStream<'static, Happening>> {
    let consumer = subscribe(&*broker).await?;
    let listening = Listening { broker, consumer: Some(consumer) };
    Ok(stream::unfold(listening, |mut listening| async move {
        let happening = listening.next().await;
        Some((happening, listening))
    })
    .boxed())
}

struct Listening {
    broker: Arc<dyn Broker>,
    consumer: Option<Box<dyn Consumer>>,
}

impl Listening {
    async fn next(&mut self) -> Happening {
        loop {
            let Some(consumer) = &mut self.consumer else {
                self.consumer = Some(subscribe_again(&*self.broker).await);
                return Happening::Interrupted;
            };
            match consumer.next().await {
                Ok(delivery) => {
                    let event = Envelope::<ExternalEvent>::decode(&delivery.message.body);
                    if let Err(error) = delivery.handle.ack().await {
                        self.cut(&error);
                    }
                    match event {
                        Ok(event) => return Happening::Event(event.body),
                        Err(error) => warn!(%error, "an event cannot be read and is passed over"),
                    }
                }
                Err(error) => self.cut(&error),
            }
        }
    }

    fn cut(&mut self, error: &Error) {
        warn!(error = %Chain(error), "the stream of events was cut off from the broker");
        self.consumer = None;
    }
}

async fn subscribe_again(broker: &dyn Broker) -> Box<dyn Consumer> {
    let mut backoff = super::ControlConfig::default().backoff();
    loop {
        match subscribe(broker).await {
            Ok(consumer) => return consumer,
            Err(error) => {
                let wait = backoff.delay();
                warn!(error = %Chain(&error), "no events for now, will retry in {wait:?}");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

async fn subscribe(broker: &dyn Broker) -> Result<Box<dyn Consumer>> {
    let queue = Queue {
        name: format!("events-{}", Uuid::new_v4().simple()),
        bindings: vec![(Exchange::External, Pattern::new("manman.#"))],
        durable: false,
        single_consumer: true,
        max_messages: WAITING,
        max_deliveries: 1,
        max_age: None,
    };
    broker.declare(&queue).await?;
    broker.consume(&queue.name).await
}
