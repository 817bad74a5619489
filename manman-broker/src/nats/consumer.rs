//! Taking messages out of a durable queue.

use std::{fmt, sync::Arc, time::Duration};

use async_nats::{StatusCode, Subscriber, jetstream};
use async_trait::async_trait;
use futures::StreamExt as _;
use manman_core::{
    broker::{Consumer, Delivery, Message},
    error::{Error, ErrorKind, Result},
};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep_until},
};
use tracing::warn;

use super::{
    api::ConsumerInfo,
    backend::Shared,
    link::{Violation, refused},
    live::Settled,
    map::{Spec, TAKE},
    ring::Ring,
    settle::{Held, NatsSettle, Origin},
    turn::Turn,
};

const OPERATION: &str = "consume";
/// How often the server says that it still has our question, while nothing comes.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Two missed heartbeats: the server does not know us any more.
const SILENCE: Duration = Duration::from_millis(4_500);
/// After which the question is asked again.
const EXPIRES: Duration = Duration::from_secs(30);

/// Takes messages one by one, each when it is asked for.
pub(super) struct NatsConsumer {
    shared: Arc<Shared>,
    queue: String,
    spec: Spec,
    /// Where messages and statuses come.
    inbox: String,
    come: Option<Subscriber>,
    violations: broadcast::Receiver<Violation>,
    /// Since when nothing was heard of our question, if one is out.
    asked: Option<Instant>,
    turn: Option<Turn>,
    telemetry: Option<Arc<Ring>>,
    /// Whether telemetry goes first this time: neither is to wait for the other for long.
    telemetry_first: bool,
    held: Arc<Held>,
    /// The number of the connection on which it began.
    number: u64,
}

/// What came to the inbox.
enum Came {
    Delivery(Delivery),
    /// Nothing to hand out: look again.
    Nothing,
}

impl NatsConsumer {
    pub async fn begin(shared: Arc<Shared>, queue: &str) -> Result<Self> {
        let number = shared.link.up(OPERATION).await?.borrow().number;
        let call = format!("CONSUMER.INFO.{}.{TAKE}", shared.names.stream(queue));
        let info: ConsumerInfo =
            shared.link.api(OPERATION, &call, &serde_json::json!({})).await.map_err(|error| {
                let missing = error.kind() == ErrorKind::NotFound;
                if missing {
                    Error::new(ErrorKind::NotFound, OPERATION, format!("there is no queue {queue}"))
                } else {
                    error
                }
            })?;
        let spec: Spec = serde_json::from_str(&info.config.description).map_err(|error| {
            let message = format!("the consumer of queue {queue} was not made by manman");
            Error::new(ErrorKind::Conflict, OPERATION, message).because(error)
        })?;
        let violations = shared.link.violations();
        let inbox = shared.link.client.new_inbox();
        let come = shared.link.listen(OPERATION, &inbox, None).await?;
        let turn = if spec.single_consumer {
            Some(Turn::take(shared.link.clone(), shared.names.turn(queue)).await?)
        } else {
            None
        };
        // Who stands by would get some of it: what comes in order to one takes none.
        let telemetry = if spec.single_consumer {
            None
        } else {
            let (bindings, room) = (spec.bindings(), spec.max_messages.div_ceil(2));
            Some(Arc::new(Ring::listen(&shared.link, &shared.names, queue, bindings, false, room).await?))
        };
        let held = Held::new(shared.link.clone());
        Ok(Self {
            queue: queue.to_owned(),
            spec,
            inbox,
            come: Some(come),
            violations,
            asked: None,
            turn,
            telemetry,
            telemetry_first: false,
            held,
            number,
            shared,
        })
    }

    fn question(&self) -> String {
        format!("$JS.API.CONSUMER.MSG.NEXT.{}.{TAKE}", self.shared.names.stream(&self.queue))
    }

    /// Asks for one message, unless that question is out.
    async fn ask(&mut self) -> Result<()> {
        if self.asked.is_some() {
            return Ok(());
        }
        let request = serde_json::json!({
            "batch": 1,
            "expires": nanos(EXPIRES),
            "idle_heartbeat": nanos(HEARTBEAT),
        });
        let payload = request.to_string().into();
        let sent = self.shared.link.client.publish_with_reply(self.question(), self.inbox.clone(), payload);
        sent.await.map_err(|error| lost().because(error))?;
        self.asked = Some(Instant::now());
        Ok(())
    }

    /// The next message that is stored for us.
    async fn stored(&mut self) -> Result<Delivery> {
        loop {
            if let Some(turn) = &mut self.turn {
                turn.ours().await;
            }
            self.ask().await?;
            let silent = self.asked.unwrap_or_else(Instant::now) + SILENCE;
            let question = self.question();
            let Some(come) = &mut self.come else { return Err(lost()) };
            let came = tokio::select! {
                biased;
                came = come.next() => came.ok_or_else(lost)?,
                error = refused(&mut self.violations, OPERATION, &question) => return Err(error),
                () = sleep_until(silent) => {
                    let message = format!("nothing is heard of queue {}", self.queue);
                    return Err(Error::new(ErrorKind::Unavailable, OPERATION, message));
                }
            };
            if let Came::Delivery(delivery) = self.came(came)? {
                return Ok(delivery);
            }
        }
    }

    fn came(&mut self, came: async_nats::Message) -> Result<Came> {
        match came.status {
            None | Some(StatusCode::OK) => {
                self.asked = None;
                Ok(self.delivery(came))
            }
            Some(StatusCode::IDLE_HEARTBEAT) => {
                self.asked = Some(Instant::now());
                Ok(Came::Nothing)
            }
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                self.asked = None;
                Ok(Came::Nothing)
            }
            Some(status) => {
                let said = came.description.unwrap_or_default();
                let message = format!("queue {} cannot be taken from: status {status} {said}", self.queue);
                Err(Error::new(ErrorKind::Unavailable, OPERATION, message))
            }
        }
    }

    /// A message to hand out, unless it was handed out too often.
    fn delivery(&self, came: async_nats::Message) -> Came {
        let Some(reply) = came.reply.as_ref().map(ToString::to_string) else { return Came::Nothing };
        let context = jetstream::new(self.shared.link.client.clone());
        let came = jetstream::Message { message: came, context };
        let Ok((delivered, sequence, published)) = came
            .info()
            .map(|info| (info.delivered, info.stream_sequence, info.published.unix_timestamp_nanos()))
        else {
            return Came::Nothing;
        };
        let attempt = u32::try_from(delivered).unwrap_or(u32::MAX).max(1);
        let read = self.shared.names.message(&came.subject, came.headers.as_ref(), came.payload.clone());
        let Some(message) = read else {
            warn!(
                "queue {} holds a message under {} that is not ours: thrown away",
                self.queue, came.subject
            );
            self.shared.link.post(&reply, "+TERM");
            return Came::Nothing;
        };
        let origin = Origin {
            shared: self.shared.clone(),
            queue: self.queue.clone(),
            max_deliveries: self.spec.max_deliveries,
            mark: format!("{sequence}/{published}"),
            reply,
        };
        if attempt > self.spec.max_deliveries {
            self.bury(origin, message, attempt - 1);
            return Came::Nothing;
        }
        let handle = NatsSettle::hold(origin, message.clone(), attempt, &self.held);
        Came::Delivery(Delivery { message, attempt, handle: Box::new(handle) })
    }

    /// Consumers that died with it used up its deliveries. Done whoever waits for the next
    /// one: it gives up when anything else comes.
    fn bury(&self, origin: Origin, message: Message, attempts: u32) {
        self.shared.runtime.spawn(async move {
            if let Err(error) = origin.bury_too_often(&message, attempts).await {
                warn!(message.id = %message.id, "a message that was handed out too often stays: {error}");
                origin.give_back(Duration::from_secs(5));
            }
        });
    }

    /// Asks for nothing more; what is on its way goes back.
    fn leave(&mut self) {
        let (Some(mut come), link) = (self.come.take(), self.shared.link.clone()) else { return };
        self.shared.runtime.spawn(async move {
            let rest = async {
                let _ = come.drain().await;
                while let Some(message) = come.next().await {
                    if let (None, Some(reply)) = (message.status, message.reply) {
                        link.post(&reply, "-NAK");
                    }
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
        });
    }

    /// The next message, stored or not.
    async fn take(&mut self) -> Result<Delivery> {
        let mut link = self.shared.link.watch();
        let number = self.number;
        let lost_link = async move {
            let _ = link.wait_for(|state| state.number != number).await;
        };
        let telemetry = self.telemetry.clone();
        let heard = async || match &telemetry {
            Some(ring) => ring.next().await,
            None => std::future::pending().await,
        };
        let first = self.telemetry_first;
        let (delivery, is_stored) = tokio::select! {
            biased;
            () = lost_link => return Err(lost()),
            message = heard(), if first => (telemetry_delivery(message?), false),
            delivery = self.stored() => (delivery?, true),
            message = heard() => (telemetry_delivery(message?), false),
        };
        self.telemetry_first = is_stored;
        Ok(delivery)
    }
}

#[async_trait]
impl Consumer for NatsConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        let taken = self.take().await;
        if taken.is_err() {
            // It is finished: others need not wait until it is dropped.
            self.turn = None;
            self.telemetry = None;
            self.leave();
        }
        taken
    }
}

fn telemetry_delivery(message: Message) -> Delivery {
    Delivery { message, attempt: 1, handle: Box::new(Settled) }
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, "the connection to NATS was lost")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for NatsConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsConsumer({})", self.queue)
    }
}

impl Drop for NatsConsumer {
    /// What is held goes back, and so does what is on its way to us.
    fn drop(&mut self) {
        self.held.give_back();
        self.leave();
    }
}
