//! Questions, as they come from the broker.

use std::sync::Arc;

use futures::{Stream, stream};
use tokio::time::sleep;

use super::super::host::Host;
use crate::{
    broker::{Consumer, Message, Queue},
    error::{Chain, Result},
};

/// All questions to this host, for as long as it is polled. The queue lives as long as its
/// consumer; both are made anew when they break.
pub(super) fn questions(host: Arc<Host>) -> impl Stream<Item = Message> {
    let backoff = host.backoff();
    stream::unfold((host, None, backoff), async |(host, mut consumer, mut backoff)| {
        loop {
            let error = match taken(&host, &mut consumer).await {
                Ok(message) => {
                    backoff.reset();
                    return Some((message, (host, consumer, backoff)));
                }
                Err(error) => error,
            };
            consumer = None;
            let wait = backoff.delay();
            tracing::debug!(error = %Chain(&error), "no questions from the broker for now, will retry in {wait:?}");
            sleep(wait).await;
        }
    })
}

async fn taken(host: &Host, consumer: &mut Option<Box<dyn Consumer>>) -> Result<Message> {
    let listening = match consumer {
        Some(listening) => listening,
        None => consumer.insert(host.call("listen for questions", listen(host)).await?),
    };
    let delivery = listening.next().await?;
    // Asked again if it was not answered, and not handed out again.
    delivery.handle.ack().await?;
    Ok(delivery.message)
}

async fn listen(host: &Host) -> Result<Box<dyn Consumer>> {
    let queue = Queue::of_asks(host.me()?.server);
    host.broker.declare(&queue).await?;
    host.broker.consume(&queue.name).await
}
