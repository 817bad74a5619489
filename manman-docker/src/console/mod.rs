//! Consoles of containers: exact, and never in the way of a game.

mod attach;
mod demux;
mod feed;
mod form;
mod input;
mod join;
mod lane;
mod lines;
mod logs;
mod messages;
mod newlines;
mod outlet;
mod position;
mod reader;
mod retention;
mod seek;
mod source;
mod splice;
mod stamp;
mod window;

use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, StreamExt};
use manman_core::{
    clock::Clock,
    console::{Channel, Console, Input, Resume},
    error::{Error, ErrorKind, Result},
};

pub use self::{
    demux::{Demux, Desync},
    lines::{Pieces, Scratch, Tally, Waiting},
};
use self::{
    form::Form,
    input::AttachInput,
    outlet::Outlet,
    position::Place,
    reader::Reader,
    source::{Life, Source, inspect},
    splice::Splice,
};
use crate::engine::Engine;

const OPERATION: &str = "console";

/// What is read ahead of a slow follower, in bytes.
const ROOM: usize = 16 << 20;

/// Opens consoles of one engine's containers. All of them share one thread that
/// reads; it ends with this.
#[derive(Debug)]
pub struct Consoles {
    engine: Engine,
    clock: Arc<dyn Clock>,
    room: usize,
    /// Started with the first console.
    reader: Mutex<Option<Reader>>,
}

impl Consoles {
    /// Consoles of what runs on `engine`. Costs nothing until the first is opened.
    pub fn new(engine: Engine, clock: Arc<dyn Clock>) -> Self {
        Self { engine, clock, room: ROOM, reader: Mutex::new(None) }
    }

    /// Keeps up to about `bytes` of output that a console's follower has not taken yet;
    /// 16 MiB by default. Beyond it the game is let go of and the stream ends
    /// [`Overrun`](manman_core::console::EndCause::Overrun).
    pub fn room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// The console of a container, by id or name, from just after `after` or from its
    /// beginning.
    ///
    /// # Errors
    /// `NotFound` if there is no such container; `Corrupt` if `after` is no position of a
    /// console here.
    pub async fn open(&self, container: &str, after: Option<Resume>) -> Result<Console> {
        let (place, tails) = match &after {
            Some(after) => (Place::decode(&after.position)?, tails(after)),
            None => (Place::START, Default::default()),
        };
        // First the attach, then the look: what the look finds not yet started shows all of
        // its output, and what it finds running will end the stream.
        let attached = attach::attach(&self.engine, container, &*self.clock).await;
        let seen = inspect(&self.engine, container).await?;
        let source = Source {
            engine: self.engine.clone(),
            container: container.to_owned(),
            tty: seen.tty,
            retention: seen.retention,
        };
        let form = seen.retention.form.unwrap_or(Form::Bytes);
        let clock = self.clock.clone();
        if seen.life == Life::Over {
            // An attach to it would never end.
            let splice = Splice::resume(source, clock, Outlet::new(form, place), None, tails);
            return Ok(console(AttachInput::closed(), splice));
        }
        let attached = attached?;
        let asked = attached.asked_at;
        let (feed, half) = self.read(attached, seen.tty)?;
        let input = if seen.takes_input { AttachInput::new(half) } else { AttachInput::without(half) };
        let splice = if seen.life == Life::Created {
            Splice::from_start(source, clock, Outlet::new(form, Place::START), feed)
        } else {
            Splice::resume(source, clock, Outlet::new(form, place), Some((feed, asked)), tails)
        };
        Ok(console(input, splice))
    }

    fn read(
        &self,
        attached: attach::Attached,
        tty: bool,
    ) -> Result<(feed::Feed, tokio::net::unix::OwnedWriteHalf)> {
        let failed = |error| {
            Error::new(ErrorKind::Unavailable, OPERATION, "the console cannot be read").because(error)
        };
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match &mut *reader {
            Some(reader) => reader,
            none => none.insert(Reader::start().map_err(failed)?),
        };
        reader.read(attached.socket, attached.prefix, tty, self.room, self.clock.clone()).map_err(failed)
    }
}

fn console(input: impl Input + 'static, splice: Splice) -> Console {
    let output = stream::unfold(splice, |mut splice| async move {
        let output = splice.next().await?;
        Some((output, splice))
    });
    Console { input: Box::new(input), output: output.boxed() }
}

/// The last pieces of each channel, put together.
fn tails(after: &Resume) -> [Vec<u8>; 2] {
    Channel::BOTH.map(|channel| {
        let pieces = after.tail.iter().filter(|(of, _)| *of == channel);
        pieces.flat_map(|(_, piece)| piece.iter().copied()).collect()
    })
}
