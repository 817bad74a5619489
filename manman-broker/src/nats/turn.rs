//! Whose turn it is among the consumers of a queue with a single one.
//!
//! That messages come one at a time and in order is kept by the server, which hands out the
//! next one when the last one is settled (`max_ack_pending` 1). What is left is that others
//! stand by while one consumes. It answers on a subject of the queue; who comes and gets an
//! answer stands by and asks again. Where nobody answers the server says so at once, also
//! when the last one's connection has just ended: no lease has to run out. When two come at
//! the same moment each hears of the other, and the one that was made first stays.

use std::{pin::pin, sync::Arc, time::Duration};

use async_nats::Subscriber;
use bytes::Bytes;
use futures::StreamExt as _;
use manman_core::error::{Error, ErrorKind, Result};
use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;
use uuid::Uuid;

use super::link::{DEADLINE, Link};

const OPERATION: &str = "consume";
/// Between two questions of one that stands by.
const AGAIN: Duration = Duration::from_millis(250);
/// How many questions may stay without an answer before the other is taken for dead.
const UNANSWERED: u32 = 3;
/// How long an answer is waited for before the server is asked whether the silence is its own.
const ANSWER: Duration = Duration::from_secs(1);

/// A place in the line for a queue; left when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    ours: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

struct Line {
    link: Arc<Link>,
    subject: String,
    /// Those made earlier are smaller.
    me: Uuid,
}

/// Who else is in line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Other {
    Nobody,
    Answers,
    /// Listens and does not answer.
    Silent,
}

impl Turn {
    /// Takes a place; where nobody else is, it is our turn by then.
    pub async fn take(link: Arc<Link>, subject: String) -> Result<Self> {
        let line = Line { link, subject, me: Uuid::now_v7() };
        let is_free = line.other().await? == Other::Nobody;
        let mut begun = if is_free { Some(line.claim().await?) } else { None };
        let (told, ours) = watch::channel(begun.is_some());
        let task = tokio::spawn(async move {
            loop {
                if let Some(claim) = begun.take() {
                    told.send_replace(true);
                    line.hold(claim).await;
                    debug!("another consumer has its turn on {}", line.subject);
                    told.send_replace(false);
                }
                begun = line.stand_by().await;
            }
        });
        Ok(Self { ours, _task: AbortOnDropHandle::new(task) })
    }

    /// Waits for our turn.
    pub async fn ours(&mut self) {
        if self.ours.wait_for(|ours| *ours).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Line {
    fn name(&self) -> Bytes {
        Bytes::copy_from_slice(self.me.as_bytes())
    }

    /// Asks. That the server hangs, or is far away, says nothing of the other: one is silent
    /// when the server has answered a later question.
    async fn other(&self) -> Result<Other> {
        let mut asked = pin!(async {
            let answer = self.link.ask(OPERATION, &self.subject, None, self.name()).await?;
            Ok(if answer.is_some() { Other::Answers } else { Other::Nobody })
        });
        if let Ok(other) = timeout(ANSWER, asked.as_mut()).await {
            return other;
        }
        tokio::select! {
            biased;
            other = asked => other,
            flushed = self.link.flush(OPERATION) => flushed.map(|()| Other::Silent),
        }
    }

    /// Listens on the subject, and tells those who do the same now.
    async fn claim(&self) -> Result<Subscriber> {
        let mut claim = self.link.listen(OPERATION, &self.subject, None).await?;
        self.link.post(&self.subject, self.name());
        let own = self.name();
        let heard = async {
            while let Some(message) = claim.next().await {
                if message.reply.is_none() && message.payload == own {
                    break;
                }
            }
        };
        // Our own word is back: the server knows that we listen.
        if timeout(DEADLINE, heard).await.is_err() {
            return Err(Error::new(ErrorKind::Timeout, OPERATION, "the server does not answer"));
        }
        Ok(claim)
    }

    /// Answers those who come, until one is there who was made before us.
    async fn hold(&self, mut claim: Subscriber) {
        while let Some(message) = claim.next().await {
            let other = Uuid::from_slice(&message.payload).unwrap_or(Uuid::max());
            match message.reply {
                Some(reply) => self.link.post(&reply, self.name()),
                None if other < self.me => return,
                None if other > self.me => self.link.post(&self.subject, self.name()),
                None => {}
            }
        }
    }

    async fn stand_by(&self) -> Option<Subscriber> {
        let mut unanswered = 0;
        loop {
            tokio::time::sleep(AGAIN).await;
            match self.other().await {
                Ok(Other::Nobody) => return self.claim().await.ok(),
                Ok(Other::Answers) => unanswered = 0,
                // No word from the server says nothing of the other.
                Err(_) => {}
                Ok(Other::Silent) if unanswered == UNANSWERED => return self.claim().await.ok(),
                Ok(Other::Silent) => unanswered += 1,
            }
        }
    }
}
