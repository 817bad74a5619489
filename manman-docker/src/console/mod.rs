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
mod position;
mod reader;
mod retention;
mod seek;
mod stamp;
mod window;

use std::sync::Arc;

use manman_core::{
    clock::Clock,
    console::{Console, Resume},
    error::{Error, ErrorKind, Result},
};

pub use self::{
    demux::{Demux, Desync},
    lines::{Pieces, Scratch, Tally, Waiting},
};
use crate::engine::Engine;

/// Opens consoles of one engine's containers. All of them share one thread that
/// reads; it ends with this.
#[derive(Debug)]
pub struct Consoles {
    engine: Engine,
    clock: Arc<dyn Clock>,
}

impl Consoles {
    /// Consoles of what runs on `engine`. Costs nothing until the first is opened.
    pub fn new(engine: Engine, clock: Arc<dyn Clock>) -> Self {
        Self { engine, clock }
    }

    /// The console of a container from just after `after`, or from its beginning.
    ///
    /// # Errors
    /// `NotFound` if there is no such container.
    pub async fn open(&self, container: &str, after: Option<Resume>) -> Result<Console> {
        let _ = (&self.engine, &self.clock, container, after);
        Err(Error::new(ErrorKind::Unsupported, "console", "not yet"))
    }
}
