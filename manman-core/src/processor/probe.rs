//! The way of a report, travelled by ourselves: published, taken from the processors'
//! queue by whoever is next, echoed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    broker::{Broker, Class, Consumer, Exchange, Message, Queue, RoutingKey},
    error::{Error, ErrorKind, Result},
};

/// The answer to a probe; `None` for any other message.
pub(super) fn echo(message: &Message) -> Option<Message> {
    let replica = Uuid::try_parse(message.key.as_str().strip_prefix("probe.")?).ok()?;
    Some(Message {
        id: Uuid::now_v7(),
        exchange: Exchange::Internal,
        key: RoutingKey::echo(replica),
        class: Class::Telemetry,
        body: message.body.clone(),
    })
}

/// Sends probes and waits for their echoes.
#[derive(Debug)]
pub(super) struct Probe {
    broker: Arc<dyn Broker>,
    longest: Duration,
    replica: Uuid,
    echoes: Option<Box<dyn Consumer>>,
}

impl Probe {
    /// Probes through `broker` that may take `longest`.
    pub fn new(broker: Arc<dyn Broker>, longest: Duration) -> Self {
        Self { broker, longest, replica: Uuid::new_v4(), echoes: None }
    }

    /// Whether a probe came back in time: whatever was reported before it has been taken
    /// from the queue by now.
    pub async fn returns(&mut self) -> Result<()> {
        let longest = self.longest;
        let result = match timeout(longest, self.round_trip()).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::Timeout, "probe", format!("no echo within {longest:?}"))),
        };
        if result.is_err() {
            self.echoes = None;
        }
        result
    }

    async fn round_trip(&mut self) -> Result<()> {
        let echoes = match &mut self.echoes {
            Some(echoes) => echoes,
            None => {
                // Anew each time: an echo of before the cut is none of ours.
                self.replica = Uuid::new_v4();
                let queue = Queue::of_echoes(self.replica);
                self.broker.declare(&queue).await?;
                self.echoes.insert(self.broker.consume(&queue.name).await?)
            }
        };
        let id = Uuid::now_v7();
        let probe = Message {
            id,
            exchange: Exchange::Internal,
            key: RoutingKey::probe(self.replica),
            class: Class::Report,
            body: Bytes::copy_from_slice(id.as_bytes()),
        };
        self.broker.publish(probe).await?;
        loop {
            let delivery = echoes.next().await?;
            let ours = delivery.message.body == id.as_bytes().as_slice();
            delivery.handle.ack().await?;
            if ours {
                return Ok(());
            }
        }
    }
}
