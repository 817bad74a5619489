//! Reading back what the engine has logged of a container.
//!
//! Never `follow=1`: a follower costs the engine several times the work of an attach,
//! ends early when the container ends, and loses and doubles lines at rotation.

use manman_core::{
    console::Channel,
    error::{Error, ErrorKind, Result},
};

use super::{
    demux::Desync,
    messages::{Message, Messages},
    stamp::{self, Nanos},
};
use crate::engine::{Engine, Streaming};

const OPERATION: &str = "console log";

/// One reading of a log, from some moment to its end.
#[derive(Debug)]
pub(super) struct LogRead {
    stream: Streaming,
    messages: Messages,
}

impl LogRead {
    /// Reads what was logged on `channels` since a moment; that of the moment itself is
    /// included. `None` reads from the log's beginning.
    pub async fn open(
        engine: &Engine,
        container: &str,
        tty: bool,
        channels: &[Channel],
        from: Option<Nanos>,
    ) -> Result<Self> {
        let wants = |channel| u8::from(channels.contains(&channel) || (tty && !channels.is_empty()));
        let mut path = format!(
            "/containers/{container}/logs?follow=0&timestamps=1&stdout={}&stderr={}",
            wants(Channel::Stdout),
            wants(Channel::Stderr)
        );
        if let Some(from) = from {
            path.push_str("&since=");
            path.push_str(&stamp::since(from));
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
