//! Publishing to streams, and to those that listen.

use async_nats::HeaderMap;
use bytes::Bytes;
use manman_core::{
    broker::{Class, Message},
    error::{Error, ErrorKind, Result},
};

use super::{
    api::{self, Put},
    backend::Shared,
    map,
};

impl Shared {
    /// Publishes to a stream and waits for its word.
    pub async fn store(
        &self,
        operation: &'static str,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Put> {
        match self.link.ask(operation, subject, Some(headers), body).await? {
            Some(answer) => api::read_put(operation, subject, &answer.payload),
            None => Ok(Put::Nowhere),
        }
    }

    /// To every durable queue that is bound, and to those that listen now.
    pub async fn publish(&self, message: Message) -> Result<()> {
        let operation = "publish";
        let key = message.key.as_str();
        let mut headers = map::headers(&message);
        let live = self.names.live(message.exchange, key);
        let bound = self.names.stored("*", message.exchange, key);
        let streams = self.link.streams_of(operation, &bound).await?;
        let queues: Vec<&str> = streams.iter().filter_map(|stream| self.names.queue(stream)).collect();
        if queues.is_empty() {
            return self.publish_live(&message, &live, headers).await;
        }
        self.link.send_now(live, headers.clone(), message.body.clone());
        headers.insert(map::MESSAGE_ID, message.id.to_string());
        let stored = queues.iter().map(|queue| {
            let (mut headers, subject) = (headers.clone(), self.names.stored(queue, message.exchange, key));
            headers.insert(map::EXPECTED_STREAM, self.names.stream(queue));
            let body = message.body.clone();
            async move { self.store(operation, &subject, headers, body).await }
        });
        let put: Vec<Put> = futures::future::join_all(stored).await.into_iter().collect::<Result<_>>()?;
        let mut full = queues.iter().zip(&put).filter(|(_, put)| **put == Put::Full).map(|(queue, _)| *queue);
        if message.class == Class::Event {
            full.for_each(|queue| self.missed.note(&format!("queue {queue}"), &message.key));
            return Ok(());
        }
        if let Some(queue) = full.next() {
            return Err(full_queue(operation, queue));
        }
        // One that was deleted meanwhile does not count.
        if put.contains(&Put::Stored) { Ok(()) } else { Err(unrouted(key)) }
    }

    /// To queues that are not durable: whoever listens tells so.
    async fn publish_live(&self, message: &Message, subject: &str, headers: HeaderMap) -> Result<()> {
        if message.class == Class::Event {
            self.link.send_now(subject.to_owned(), headers, message.body.clone());
            return Ok(());
        }
        match self.link.ask("publish", subject, Some(headers), message.body.clone()).await? {
            Some(_) => Ok(()),
            None => Err(unrouted(message.key.as_str())),
        }
    }
}

pub(super) fn full_queue(operation: &'static str, queue: &str) -> Error {
    Error::new(ErrorKind::Busy, operation, format!("queue {queue} is full"))
}

fn unrouted(key: &str) -> Error {
    Error::new(ErrorKind::NotFound, "publish", format!("no queue takes {key}"))
}
