//! The dead letters: read, put back, thrown away. One at a time, as reading takes them out
//! for a moment.

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use lapin::{
    Channel,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions},
    types::FieldTable,
};
use manman_core::{
    broker::DeadLetter,
    clock::Timestamp,
    error::{Chain, Error, ErrorKind, Result},
};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, sleep, sleep_until, timeout, timeout_at},
};
use tracing::debug;
use uuid::Uuid;

use super::{
    backend::Inner,
    death,
    link::{Link, lost},
    map,
    publish::Letter,
};

/// Exclusive to a connection: whoever has it reads.
const LOCK: &str = "manman.dead.lock";

/// How long none may come before it is asked whether there are more.
const QUIET: Duration = Duration::from_secs(2);

/// How long it is waited until what was read is back where some of it may have to go meanwhile.
const PUT_BACK: Duration = Duration::from_secs(2);

/// The newest, newest first.
pub(super) async fn list(broker: &Arc<Inner>, limit: usize) -> Result<Vec<DeadLetter>> {
    alone(broker, "dead letters", async move |desk| {
        let Some(reading) = Reading::begin(&desk).await? else { return Ok(Vec::new()) };
        let newest = reading.letters.iter().rev().take(limit).map(|taken| taken.letter.clone()).collect();
        reading.end(0).await?;
        Ok(newest)
    })
    .await
}

/// Back into its own queue, and only then gone here.
pub(super) async fn requeue(broker: &Arc<Inner>, id: Uuid) -> Result<()> {
    const OPERATION: &str = "requeue a dead letter";
    alone(broker, OPERATION, async move |desk| {
        let missing = || Error::new(ErrorKind::NotFound, OPERATION, format!("there is no dead letter {id}"));
        let Some(reading) = Reading::begin(&desk).await? else { return Err(missing()) };
        let found = reading.letters.iter().rev().find(|taken| taken.letter.message.id == id);
        let put_back = match found {
            None => Err(missing()),
            Some(taken) => desk.put_back(&taken.letter).await,
        };
        let gone = match (&put_back, found) {
            (Ok(()), Some(taken)) => reading.forget(&[taken.tag]).await?,
            _ => 0,
        };
        reading.end(gone).await?;
        put_back
    })
    .await
}

/// Gone, wherever it is.
pub(super) async fn forget(broker: &Arc<Inner>, id: Uuid) -> Result<()> {
    alone(broker, "drop a dead letter", async move |desk| {
        let Some(reading) = Reading::begin(&desk).await? else { return Ok(()) };
        let these = reading.letters.iter().filter(|taken| taken.letter.message.id == id);
        let tags: Vec<u64> = these.map(|taken| taken.tag).collect();
        let gone = reading.forget(&tags).await?;
        reading.end(gone).await
    })
    .await
}

/// Does `work` while nobody else reads. Once begun it comes to its end whether or not the
/// caller still waits: nobody finds letters taken out, or the lock held by one who is gone.
async fn alone<T, W>(
    broker: &Arc<Inner>,
    operation: &'static str,
    work: impl FnOnce(Desk) -> W + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send,
{
    let within = broker.config.call_timeout();
    let Ok(one) = timeout(within, broker.reading.clone().lock_owned()).await else {
        return Err(Error::new(ErrorKind::Busy, operation, "others are reading the dead letters"));
    };
    let link = broker.work.link(operation, within).await?;
    let desk = Desk { broker: broker.clone(), link, operation, deadline: Instant::now() + within };
    let (tell, told) = oneshot::channel();
    broker.spawn(
        async move {
            let done = match desk.lock().await {
                Ok(()) => {
                    let done = work(desk.clone()).await;
                    desk.unlock().await;
                    done
                }
                Err(error) => Err(error),
            };
            drop(one);
            // Whoever asked may be gone.
            let _ = tell.send(done);
        }
        .boxed(),
    );
    told.await.map_err(|_| Error::new(ErrorKind::Unavailable, operation, "the runtime is ending"))?
}

/// Where letters are read, by one at a time.
#[derive(Clone, Debug)]
struct Desk {
    broker: Arc<Inner>,
    link: Arc<Link>,
    operation: &'static str,
    deadline: Instant,
}

impl Desk {
    async fn call<T>(&self, call: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        self.link.call(self.operation, self.broker.config.call_timeout(), call).await
    }

    async fn channel(&self) -> Result<Channel> {
        self.link.channel(self.operation, self.broker.config.call_timeout()).await
    }

    /// Waits for those who read over other connections.
    async fn lock(&self) -> Result<()> {
        loop {
            let channel = self.channel().await?;
            let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let lock = channel.queue_declare(LOCK.into(), options, FieldTable::default());
            match self.call(lock).await {
                Ok(_) => return self.call(channel.close(200, "OK".into())).await,
                Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < self.deadline => {
                    sleep(Duration::from_millis(30)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// On a channel of its own: that of the reading may have ended.
    async fn unlock(&self) {
        let unlocked = async {
            let channel = self.channel().await?;
            self.call(channel.queue_delete(LOCK.into(), Default::default())).await?;
            self.call(channel.close(200, "OK".into())).await
        };
        if let Err(error) = unlocked.await {
            // It goes with its connection otherwise.
            self.link.fail("the lock of the dead letters cannot be given back");
            debug!("the dead letters stay locked until the connection is made anew: {}", Chain(&error));
        }
    }

    /// Stores a letter in the queue that it was in.
    async fn put_back(&self, DeadLetter { queue, message, .. }: &DeadLetter) -> Result<()> {
        let operation = self.operation;
        let letter = Letter {
            exchange: "",
            key: queue.clone(),
            properties: map::properties_direct(message),
            message: message.clone(),
            mandatory: true,
        };
        self.broker.publisher.send(operation, letter).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, operation, format!("its queue {queue} is gone"))
            }
            ErrorKind::Busy => Error::new(ErrorKind::Busy, operation, format!("queue {queue} is full")),
            _ => error,
        })
    }
}

/// All of them, taken out, oldest first.
struct Reading<'a> {
    desk: &'a Desk,
    channel: Channel,
    letters: Vec<Taken>,
}

struct Taken {
    tag: u64,
    died: Timestamp,
    letter: DeadLetter,
}

impl<'a> Reading<'a> {
    /// Takes all of them out; `None` where nothing was ever declared.
    async fn begin(desk: &'a Desk) -> Result<Option<Self>> {
        let mut reading = Self { desk, channel: desk.channel().await?, letters: Vec::new() };
        let count = match reading.count().await {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        reading.take(count).await?;
        Ok(Some(reading))
    }

    async fn count(&self) -> Result<usize> {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declare = self.channel.queue_declare(map::DEAD.into(), options, FieldTable::default());
        Ok(usize::try_from(self.desk.call(declare).await?.message_count()).unwrap_or(usize::MAX))
    }

    async fn take(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.desk.call(self.channel.basic_qos(u16::MAX, BasicQosOptions::default())).await?;
        let consume = self.channel.basic_consume(
            map::DEAD.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut all = self.desk.call(consume).await?;
        while self.letters.len() < count {
            let next = tokio::select! {
                biased;
                next = all.next() => next,
                () = self.desk.link.ended() => return Err(lost(self.desk.operation)),
                () = sleep(QUIET) => {
                    if self.count().await? > 0 {
                        continue;
                    }
                    // Those over the bound went meanwhile. What was on its way when it was counted
                    // comes before the next answer.
                    self.count().await?;
                    while let Some(next) = all.next().now_or_never() {
                        self.push(next)?;
                    }
                    break;
                }
                () = sleep_until(self.desk.deadline) => {
                    let message = format!("{} of {count} dead letters came in time", self.letters.len());
                    return Err(Error::new(ErrorKind::Timeout, self.desk.operation, message));
                }
            };
            self.push(next)?;
        }
        self.letters.sort_by_key(|taken| taken.died);
        let cancel = self.channel.basic_cancel(all.tag(), Default::default());
        self.desk.call(cancel).await
    }

    fn push(&mut self, next: Option<lapin::Result<Delivery>>) -> Result<()> {
        let delivery = next.ok_or_else(|| lost(self.desk.operation))?;
        let mut delivery = delivery.map_err(|error| lost(self.desk.operation).because(error))?;
        let (tag, died) = (delivery.delivery_tag, death::died(&delivery));
        self.letters.push(Taken { tag, died, letter: death::dead_letter(&mut delivery) });
        Ok(())
    }

    async fn forget(&self, tags: &[u64]) -> Result<usize> {
        for tag in tags {
            self.desk.call(self.channel.basic_ack(*tag, BasicAckOptions::default())).await?;
        }
        Ok(tags.len())
    }

    /// Puts back what is not `gone`, and waits until it is there for the next reader: on a disk
    /// that hangs that takes a while, and there is no answer to wait for.
    async fn end(self, gone: usize) -> Result<()> {
        let left = self.letters.len() - gone;
        // Fewer come back where the oldest had to go meanwhile.
        let soon = Instant::now() + PUT_BACK;
        let patience = if self.is_nearly_full() { soon } else { self.desk.deadline.max(soon) };
        if left > 0 {
            let all = BasicNackOptions { multiple: true, requeue: true };
            self.desk.call(self.channel.basic_nack(0, all)).await?;
        }
        let there = async {
            while self.count().await? < left {
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        timeout_at(patience, there).await.unwrap_or(Ok(()))?;
        self.desk.call(self.channel.close(200, "OK".into())).await
    }

    /// Whether little is missing to one of the bounds.
    fn is_nearly_full(&self) -> bool {
        let near = |has: usize, bound: i64| has as u64 >= bound.unsigned_abs() / 10 * 9;
        let bytes = self.letters.iter().map(|taken| taken.letter.message.body.len()).sum();
        near(self.letters.len(), map::DEAD_KEPT) || near(bytes, map::DEAD_BYTES)
    }
}
