//! Reading back what the engine has logged of a container.
//!
//! Never `follow=1`: a follower costs the engine several times the work of an attach,
//! ends early when the container ends, and loses and doubles lines at rotation.

use manman_core::error::{Error, ErrorKind, Result};

use super::{
    demux::Desync,
    messages::{Message, Messages},
    stamp::{self, Nanos},
};
use crate::engine::{Engine, Streaming};

const OPERATION: &str = "console log";

/// What of a log is read. Always to its end; all of it where nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// From this moment on, what was logged at the moment itself included. The engine
    /// reads all of the log to find it.
    pub from: Option<Nanos>,
    /// At most so many messages, of both channels together. The engine reads no more.
    pub last: Option<u32>,
}

/// One reading of a log.
#[derive(Debug)]
pub(super) struct LogRead {
    stream: Streaming,
    messages: Messages,
}

impl LogRead {
    /// Reads what was logged in `span` on the channels that are `true`.
    pub async fn open(
        engine: &Engine,
        container: &str,
        tty: bool,
        channels: [bool; 2],
        span: Span,
    ) -> Result<Self> {
        let stdout = channels[0] || tty;
        let stderr = channels[1] || tty;
        let mut path = format!(
            "/containers/{container}/logs?follow=0&timestamps=1&stdout={}&stderr={}",
            u8::from(stdout),
            u8::from(stderr)
        );
        if let Some(from) = span.from {
            path.push_str("&since=");
            path.push_str(&stamp::since(from));
        }
        if let Some(last) = span.last {
            path.push_str(&format!("&tail={last}"));
        }
        let stream = engine.stream(OPERATION, &path).await?;
        Ok(Self { stream, messages: Messages::new(tty) })
    }

    /// Waits for more of it; `false` at its end. The messages that came with it are then
    /// to be taken by [`LogRead::next`].
    pub async fn more(&mut self) -> Result<bool> {
        match self.stream.next().await? {
            Some(bytes) => {
                self.messages.feed(&bytes);
                Ok(true)
            }
            None => {
                self.messages.end();
                Ok(false)
            }
        }
    }

    /// The next message that is there.
    pub fn next(&mut self) -> Result<Option<Message<'_>>> {
        self.messages.next().map_err(|desync| {
            let kind = match desync {
                Desync::Engine(_) => ErrorKind::Unavailable,
                Desync::Header(_) => ErrorKind::Unexpected,
            };
            Error::new(kind, OPERATION, "the engine's log cannot be read").because(desync)
        })
    }
}
