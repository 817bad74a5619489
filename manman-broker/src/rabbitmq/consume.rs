//! Taking messages out of a queue.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, future::poll_fn};
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use manman_core::{
    broker::{Consumer, Delivery},
    error::{Error, ErrorKind, Result},
};
use tokio::sync::{Notify, oneshot};

use super::{
    backend::{Inner, Kind},
    link::{Link, lost},
    map,
    settle::{At, Held, RabbitSettle},
};

const OPERATION: &str = "consume";

/// How many unsettled messages a queue of telemetry hands out ahead.
const AHEAD: usize = 64;

/// So many heartbeats in a row go before a report that waits: a probe is then seldom
/// earlier than the beats that it speaks for.
const BEATS_IN_A_ROW: u32 = 16;

/// Which of its two queues a message came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Road {
    Stored,
    Passing,
}

pub(super) struct RabbitConsumer {
    broker: Arc<Inner>,
    link: Arc<Link>,
    channel: Channel,
    queue: String,
    kind: Kind,
    max_deliveries: u32,
    main: lapin::Consumer,
    beside: Option<lapin::Consumer>,
    beats: u32,
    shared: Arc<Shared>,
}

/// What a consumer and its unsettled messages know of each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub changed: Notify,
    /// One is out, and the next waits for it.
    pub busy: AtomicBool,
    /// A message is given back later, and takes the room of the next one until then. Held
    /// while room is made, so that it does not come back meanwhile.
    pub held: tokio::sync::Mutex<Option<u64>>,
    /// What was dropped without a word.
    pub returned: Mutex<Vec<At>>,
}

impl RabbitConsumer {
    pub async fn begin(broker: Arc<Inner>, queue: &str) -> Result<Self> {
        let within = broker.config.call_timeout();
        let link = broker.work.link(OPERATION, within).await?;
        let channel = link.channel(OPERATION, within).await?;
        let kind = broker.kind(queue);
        let ahead = match kind {
            Kind::Passing { max_messages, .. } => max_messages.clamp(1, AHEAD),
            // What is handed out ahead would count as tried when we die.
            Kind::Single | Kind::Shared => 1,
        };
        let max_deliveries = broker.max_deliveries(queue);
        let main = subscribe(&link, &channel, queue, ahead, within).await?;
        let beside = match kind {
            Kind::Shared => Some(subscribe(&link, &channel, &map::telemetry_of(queue), AHEAD, within).await?),
            Kind::Single | Kind::Passing { .. } => None,
        };
        let (queue, shared) = (queue.to_owned(), Arc::default());
        Ok(Self { broker, link, channel, queue, kind, max_deliveries, main, beside, beats: 0, shared })
    }

    /// Takes from another subscription, so that a message that is held does not hold up the
    /// next one. The old one has no room, so nothing is on its way to it.
    async fn make_room(&mut self) -> Result<()> {
        let within = self.broker.config.call_timeout();
        let mut held = self.shared.held.lock().await;
        if held.take().is_none() {
            return Ok(());
        }
        let cancel = self.channel.basic_cancel(self.main.tag(), BasicCancelOptions::default());
        self.link.call(OPERATION, within, cancel).await?;
        self.main = subscribe(&self.link, &self.channel, &self.queue, 1, within).await?;
        Ok(())
    }

    /// Gives back what was dropped without a word.
    async fn give_back(&self) -> Result<()> {
        while let Some(at) = self.returned() {
            // Whoever waits for the next one may give up meanwhile: this is done all the same.
            at.settled();
            let (told, given) = oneshot::channel();
            let given_back = async move { drop(told.send(at.give_back().await)) };
            self.broker.spawn(given_back.boxed());
            given.await.unwrap_or_else(|_| Err(lost(OPERATION)))?;
        }
        Ok(())
    }

    fn returned(&self) -> Option<At> {
        let mut returned = self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner);
        (!returned.is_empty()).then(|| returned.remove(0))
    }

    /// The next message of either queue; an end of one is the end of all.
    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(Road, lapin::message::Delivery)>> {
        let ended = |queue: &str, item: Option<lapin::Result<lapin::message::Delivery>>| match item {
            Some(Ok(delivery)) => Ok(delivery),
            Some(Err(error)) => Err(lost(OPERATION).because(error)),
            None => {
                let message = format!("queue {queue} was deleted, or has moved");
                Err(Error::new(ErrorKind::Unavailable, OPERATION, message))
            }
        };
        for beside in [self.beats < BEATS_IN_A_ROW, self.beats >= BEATS_IN_A_ROW] {
            if beside {
                if let Some(Poll::Ready(item)) = self.beside.as_mut().map(|it| it.poll_next_unpin(cx)) {
                    self.beats += 1;
                    return Poll::Ready(ended(&self.queue, item).map(|delivery| (Road::Passing, delivery)));
                }
            } else if let Poll::Ready(item) = self.main.poll_next_unpin(cx) {
                self.beats = 0;
                return Poll::Ready(ended(&self.queue, item).map(|delivery| (Road::Stored, delivery)));
            }
        }
        Poll::Pending
    }
}

async fn subscribe(
    link: &Link,
    channel: &Channel,
    queue: &str,
    ahead: usize,
    within: Duration,
) -> Result<lapin::Consumer> {
    let long = || {
        Error::new(ErrorKind::NotFound, OPERATION, format!("no queue has a name of {} bytes", queue.len()))
    };
    let name = map::short(queue).ok_or_else(long)?;
    let ahead = u16::try_from(ahead).unwrap_or(u16::MAX);
    link.call(OPERATION, within, channel.basic_qos(ahead, BasicQosOptions::default())).await?;
    let consume =
        channel.basic_consume(name, "".into(), BasicConsumeOptions::default(), FieldTable::default());
    link.call(OPERATION, within, consume).await
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        let shared = self.shared.clone();
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change falls in between.
            changed.as_mut().enable();
            self.give_back().await?;
            if self.kind == Kind::Shared {
                self.make_room().await?;
            }
            let waits = self.kind.one_at_a_time() && shared.busy.load(Ordering::Acquire);
            let link = self.link.clone();
            let taken = tokio::select! {
                biased;
                taken = poll_fn(|cx| if waits { Poll::Pending } else { self.poll(cx) }) => taken,
                () = link.ended() => return Err(lost(OPERATION)),
                () = changed => continue,
            };
            let (road, mut delivery) = taken?;
            let road = if matches!(self.kind, Kind::Passing { .. }) { Road::Passing } else { road };
            shared.busy.store(true, Ordering::Release);
            let message = map::message(&mut delivery);
            let attempt = map::attempt(&delivery);
            let again = match (road, self.kind) {
                (Road::Stored, _) => attempt < self.max_deliveries,
                // It is not counted there: twice is often enough.
                (Road::Passing, Kind::Passing { .. }) => attempt == 1 && self.max_deliveries > 1,
                (Road::Passing, _) => false,
            };
            let handle = RabbitSettle::new(
                self.broker.clone(),
                self.link.clone(),
                self.channel.clone(),
                self.shared.clone(),
                Held {
                    tag: delivery.delivery_tag,
                    queue: self.queue.clone(),
                    message: message.clone(),
                    attempt,
                    stored: road == Road::Stored,
                    again,
                    makes_room: road == Road::Stored && self.kind == Kind::Shared,
                },
            );
            return Ok(Delivery { message, attempt, handle: Box::new(handle) });
        }
    }
}

impl fmt::Debug for RabbitConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RabbitConsumer({})", self.queue)
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (link, channel, broker) = (self.link.clone(), self.channel.clone(), self.broker.clone());
        // lapin cancels a subscription that is dropped. A queue for one consumer would turn to
        // the next one then, and get back what is unsettled here after it has handed out more.
        let kept = (self.main.clone(), self.beside.clone());
        let within = broker.config.call_timeout();
        self.broker.spawn(
            async move {
                // What is unsettled goes back to its place, and only then comes the next one's
                // turn. A channel that has ended already is as good.
                let _ = link.call("end a consumer", within, channel.close(200, "OK".into())).await;
                drop((kept, broker));
            }
            .boxed(),
        );
    }
}
