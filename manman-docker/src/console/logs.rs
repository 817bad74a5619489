//! Reading back what the engine has logged of a container.
//!
//! Never `follow=1`: a follower costs the engine several times the work of an attach,
//! ends early when the container ends, and loses and doubles lines at rotation.
//!
//! Never `since=`: where the oldest rotated file is older than that, an engine 20.10 leaves
//! out all rotated files and not only that one (`LogFile.openRotatedFiles`), and says
//! nothing.

use manman_core::error::{Error, ErrorKind, Result};

use super::{
    demux::Desync,
    messages::{Message, Messages},
    stamp::Nanos,
};
use crate::engine::{Engine, Streaming};

const OPERATION: &str = "console log";

/// The two channels are logged by two threads of the engine: a stamp may be so much older
/// than the one before it.
pub(super) const DISORDER: Nanos = 1_000_000_000;

/// What of a log is read, always to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub channels: [bool; 2],
    /// At most so many messages, of both channels together; all if nothing is said.
    pub last: Option<u32>,
    /// Whether a channel's stamps may go back, as they do where the clock was set back.
    pub may_go_back: bool,
}

/// One reading of a log.
#[derive(Debug)]
pub(super) struct LogRead {
    stream: Streaming,
    messages: Messages,
    may_go_back: bool,
    newest: [Nanos; 2],
}

impl LogRead {
    /// Reads `span` of a container's log.
    pub async fn open(engine: &Engine, container: &str, tty: bool, span: Span) -> Result<Self> {
        let [stdout, stderr] = span.channels.map(|channel| channel || tty);
        let mut path = format!(
            "/containers/{container}/logs?follow=0&timestamps=1&stdout={}&stderr={}",
            u8::from(stdout),
            u8::from(stderr)
        );
        if let Some(last) = span.last {
            path.push_str(&format!("&tail={last}"));
        }
        let stream = engine.stream(OPERATION, &path).await?;
        let may_go_back = span.may_go_back;
        Ok(Self { stream, messages: Messages::new(tty), may_go_back, newest: [Nanos::MIN; 2] })
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
    ///
    /// # Errors
    /// `Unavailable` also if the stamps of a channel go back and may not: an engine 20.10
    /// that reads for two while it rotates shows one of them a file twice, and another one
    /// not at all (`refCounter.GetReference`).
    pub fn next(&mut self) -> Result<Option<Message<'_>>> {
        let message = self.messages.next().map_err(|desync| {
            let kind = match desync {
                Desync::Engine(_) => ErrorKind::Unavailable,
                Desync::Header(_) => ErrorKind::Unexpected,
            };
            Error::new(kind, OPERATION, "the engine's log cannot be read").because(desync)
        })?;
        if let Some(message) = &message {
            let newest = &mut self.newest[message.channel.index()];
            if !self.may_go_back && message.at < newest.saturating_sub(DISORDER) {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    OPERATION,
                    "the engine's log goes back in time",
                ));
            }
            *newest = message.at.max(*newest);
        }
        Ok(message)
    }
}
