//! A broker that does everything that its contract allows, and often.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use super::fixture::BrokerFaults;
use crate::{
    broker::{Broker, Class, Consumer, DeadLetter, Delivery, Message, Queue, RoutingKey, Settle},
    error::{Error, ErrorKind, Result},
    watched::Watched,
};

/// How nasty a broker is: each a chance from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nastiness {
    /// A publish is refused, `Unavailable`.
    pub refuse: f64,
    /// A publish is stored, and its publisher told `Timeout`.
    pub lose_word: f64,
    /// A publish is told `Timeout`, and arrives at the next [`Nasty::crash`], in any order.
    pub limbo: f64,
    /// A message is stored twice.
    pub duplicate: f64,
    /// With a message comes one that was published long ago, settled or not.
    pub replay: f64,
    /// Telemetry is dropped.
    pub drop_telemetry: f64,
    /// Telemetry comes after telemetry that was sent later, half of it now as well. Not part
    /// of [`Nastiness::worst`]: for stories whose telemetry is numbered.
    pub scramble_telemetry: f64,
    /// A consumer is cut off instead of getting its next message.
    pub cut: f64,
    /// An ack arrives and is told to have failed.
    pub lose_ack: f64,
    /// An ack does not arrive: the message comes again.
    pub refuse_ack: f64,
    /// The longest that a publish may take.
    pub delay: Duration,
}

impl Nastiness {
    /// Worse than any real one on its worst day.
    pub fn worst() -> Self {
        Self {
            refuse: 0.1,
            lose_word: 0.1,
            limbo: 0.05,
            duplicate: 0.1,
            replay: 0.2,
            drop_telemetry: 0.1,
            scramble_telemetry: 0.0,
            cut: 0.05,
            lose_ack: 0.05,
            refuse_ack: 0.05,
            delay: Duration::from_millis(50),
        }
    }
}

/// A broker around another one that does everything that the contract allows: the same
/// things for the same seed and the same calls. Clones are the same broker.
#[derive(Clone)]
pub struct Nasty(Arc<Inner>);

struct Inner {
    broker: Arc<dyn Broker>,
    state: Mutex<State>,
    link: Watched<Link>,
}

struct State {
    random: fastrand::Rng,
    nastiness: Nastiness,
    history: VecDeque<Message>,
    limbo: Vec<Message>,
    /// Telemetry that is late.
    late: VecDeque<Message>,
    /// What nothing is said to.
    silent: Option<RoutingKey>,
}

/// The way to the broker. Each cut makes a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    number: u64,
    up: bool,
    frozen: bool,
    /// Each way.
    delay: Duration,
}

/// How many messages may be replayed.
const REMEMBERED: usize = 1_000;

impl Nasty {
    /// Makes `broker` as nasty as `nastiness` says; `seed` fixes all chance.
    pub fn new(broker: Arc<dyn Broker>, seed: u64, nastiness: Nastiness) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let state = State {
            random,
            nastiness,
            history: VecDeque::new(),
            limbo: Vec::new(),
            late: VecDeque::new(),
            silent: None,
        };
        let link = Watched::new(Link { number: 0, up: true, frozen: false, delay: Duration::ZERO });
        Self(Arc::new(Inner { broker, state: Mutex::new(state), link }))
    }

    /// Is as nasty as `nastiness` says from now on.
    pub fn set(&self, nastiness: Nastiness) {
        self.with(|state| state.nastiness = nastiness);
    }

    /// Says nothing to who publishes with `key`, and takes nothing of that.
    pub fn silence(&self, key: Option<RoutingKey>) {
        self.with(|state| state.silent = key);
    }

    /// The broker dies and is back at once: all consumers are cut off, and what was in
    /// limbo arrives, in any order.
    pub async fn crash(&self) {
        self.0.link.modify(|link| link.number += 1);
        let limbo = self.with(|state| {
            let mut limbo = std::mem::take(&mut state.limbo);
            state.random.shuffle(&mut limbo);
            limbo
        });
        for message in limbo {
            // What is not routed any more is gone: its publisher was told "unknown".
            let _ = self.0.broker.publish(message).await;
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn draw(&self, chance: impl FnOnce(&Nastiness) -> f64) -> bool {
        self.with(|state| {
            let chance = chance(&state.nastiness);
            chance > 0.0 && state.random.f64() < chance
        })
    }

    /// What comes of this telemetry now, and what comes of earlier one.
    fn scramble(&self, message: Message) -> (Option<Message>, Option<Message>) {
        let scrambled = self.draw(|it| it.scramble_telemetry);
        self.with(|state| match scrambled {
            true => {
                state.late.push_back(message.clone());
                (state.random.bool().then_some(message), None)
            }
            false => (Some(message), state.late.pop_front()),
        })
    }

    /// Waits while frozen, and as long as the way there and back takes; fails while down.
    async fn way(&self, operation: &'static str) -> Result<Link> {
        let mut watch = self.0.link.watch();
        let link = *watch.until(|link| !link.frozen).await.map_err(|_| gone(operation))?;
        if !link.delay.is_zero() {
            tokio::time::sleep(2 * link.delay).await;
        }
        if link.up { Ok(link) } else { Err(gone(operation)) }
    }

    fn remember(&self, message: &Message) -> Option<Message> {
        self.with(|state| {
            let replayed = (!state.history.is_empty() && state.random.f64() < state.nastiness.replay)
                .then(|| state.random.usize(..state.history.len()))
                .map(|index| state.history[index].clone());
            if message.class != Class::Telemetry {
                if state.history.len() == REMEMBERED {
                    state.history.pop_front();
                }
                state.history.push_back(message.clone());
            }
            replayed
        })
    }
}

fn gone(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "injected: the broker is away")
}

fn unknown(operation: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, operation, "injected: no answer")
}

#[async_trait]
impl Broker for Nasty {
    async fn declare(&self, queue: &Queue) -> Result<()> {
        self.way("declare queue").await?;
        self.0.broker.declare(queue).await
    }

    async fn delete(&self, queue: &str) -> Result<()> {
        self.way("delete queue").await?;
        self.0.broker.delete(queue).await
    }

    async fn publish(&self, message: Message) -> Result<()> {
        if self.with(|state| state.silent.as_ref() == Some(&message.key)) {
            return std::future::pending().await;
        }
        let telemetry = message.class == Class::Telemetry;
        let longest = self.with(|state| state.nastiness.delay);
        if !telemetry && !longest.is_zero() {
            let part = self.with(|state| state.random.f64());
            tokio::time::sleep(longest.mul_f64(part)).await;
        }
        if telemetry {
            // Never waits and never tells.
            let way = *self.0.link.look();
            if !way.up || way.frozen || self.draw(|it| it.drop_telemetry) {
                return Ok(());
            }
            return match self.scramble(message) {
                (now, Some(late)) => {
                    if let Some(now) = now {
                        self.0.broker.publish(now).await?;
                    }
                    self.0.broker.publish(late).await
                }
                (Some(now), None) => self.0.broker.publish(now).await,
                (None, None) => Ok(()),
            };
        }
        self.way("publish").await?;
        if self.draw(|it| it.refuse) {
            return Err(gone("publish"));
        }
        if self.draw(|it| it.limbo) {
            self.with(|state| state.limbo.push(message));
            return Err(unknown("publish"));
        }
        self.0.broker.publish(message.clone()).await?;
        if self.draw(|it| it.duplicate) {
            let _ = self.0.broker.publish(message.clone()).await;
        }
        if let Some(old) = self.remember(&message) {
            let _ = self.0.broker.publish(old).await;
        }
        if self.draw(|it| it.lose_word) { Err(unknown("publish")) } else { Ok(()) }
    }

    async fn consume(&self, queue: &str) -> Result<Box<dyn Consumer>> {
        let link = self.way("consume").await?;
        let inner = self.0.broker.consume(queue).await?;
        Ok(Box::new(NastyConsumer { nasty: self.clone(), inner: Some(inner), number: link.number }))
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.way("dead letters").await?;
        self.0.broker.dead_letters(limit).await
    }

    async fn dead_letter_requeue(&self, message: Uuid) -> Result<()> {
        self.way("requeue a dead letter").await?;
        self.0.broker.dead_letter_requeue(message).await
    }

    async fn dead_letter_drop(&self, message: Uuid) -> Result<()> {
        self.way("drop a dead letter").await?;
        self.0.broker.dead_letter_drop(message).await
    }

    async fn probe(&self) -> Result<()> {
        self.way("probe").await?;
        self.0.broker.probe().await
    }
}

#[async_trait]
impl BrokerFaults for Nasty {
    async fn cut(&self) {
        self.crash().await;
    }

    async fn stop(&self) {
        self.0.link.modify(|link| (link.number, link.up) = (link.number + 1, false));
    }

    async fn kill(&self) {
        self.crash().await;
        self.stop().await;
    }

    async fn start(&self) {
        self.0.link.modify(|link| link.up = true);
    }

    async fn freeze(&self) {
        self.0.link.modify(|link| link.frozen = true);
    }

    async fn thaw(&self) {
        self.0.link.modify(|link| link.frozen = false);
    }

    async fn delay(&self, each_way: Duration) {
        self.0.link.modify(|link| link.delay = each_way);
    }
}

impl fmt::Debug for Nasty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nasty").field(&self.0.broker).finish()
    }
}

#[derive(Debug)]
struct NastyConsumer {
    nasty: Nasty,
    inner: Option<Box<dyn Consumer>>,
    number: u64,
}

#[async_trait]
impl Consumer for NastyConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        let cut = self.nasty.draw(|it| it.cut);
        let Some(inner) = self.inner.as_mut().filter(|_| !cut) else {
            self.inner = None;
            return Err(gone("consume"));
        };
        let number = self.number;
        let mut link = self.nasty.0.link.watch();
        let delivery = tokio::select! {
            biased;
            _ = link.until(|link| link.number != number) => None,
            delivery = async {
                let _ = self.nasty.way("consume").await;
                inner.next().await
            } => Some(delivery),
        };
        let Some(Ok(Delivery { message, attempt, handle })) = delivery else {
            self.inner = None;
            return Err(match delivery {
                Some(Err(error)) => error,
                _ => gone("consume"),
            });
        };
        let handle = NastySettle { nasty: self.nasty.clone(), inner: handle, number };
        Ok(Delivery { message, attempt, handle: Box::new(handle) })
    }
}

#[derive(Debug)]
struct NastySettle {
    nasty: Nasty,
    inner: Box<dyn Settle>,
    number: u64,
}

impl Nasty {
    /// Whether a settling arrives, at the connection that handed the message out.
    async fn settles(&self, number: u64) -> Result<()> {
        let link = self.way("settle").await?;
        if link.number != number || self.draw(|it| it.refuse_ack) {
            return Err(unknown("settle"));
        }
        Ok(())
    }
}

#[async_trait]
impl Settle for NastySettle {
    async fn ack(self: Box<Self>) -> Result<()> {
        self.nasty.settles(self.number).await?;
        let lost = self.nasty.draw(|it| it.lose_ack);
        self.inner.ack().await?;
        if lost { Err(unknown("ack")) } else { Ok(()) }
    }

    async fn nack(self: Box<Self>, delay: Duration) -> Result<()> {
        self.nasty.settles(self.number).await?;
        self.inner.nack(delay).await
    }

    async fn dead(self: Box<Self>, reason: &str) -> Result<()> {
        self.nasty.settles(self.number).await?;
        self.inner.dead(reason).await
    }
}
