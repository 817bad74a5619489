//! All that one container printed, and consoles that read it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::{sync::mpsc, time::timeout};

use super::shared::{Power, Shared};
use crate::{
    console::{Batch, Channel, EndCause, Gap, Input, MAX_PIECE, Output, Position, Resume},
    error::{Error, ErrorKind, Result},
    watched::{Watched, Watcher},
};

/// How long a game may leave its stdin unread before a write is given up.
const INPUT_DEADLINE: Duration = Duration::from_secs(2);

/// The output of one container, cut into pieces. Exact: a position is a number of pieces.
#[derive(Debug)]
pub(super) struct Tape {
    tty: bool,
    pieces: Mutex<Pieces>,
    changed: Watched<()>,
}

#[derive(Debug, Default)]
struct Pieces {
    text: Vec<u8>,
    /// Where each piece ends in the text, and its channel.
    ends: Vec<(usize, Channel)>,
    /// How many of the oldest can no longer be read.
    gone: usize,
    closed: bool,
}

impl Tape {
    pub(super) fn new(tty: bool) -> Self {
        Self { tty, pieces: Mutex::default(), changed: Watched::new(()) }
    }

    /// Appends what the game wrote.
    pub(super) fn print(&self, channel: Channel, bytes: &[u8]) {
        let mut pieces = self.lock();
        if pieces.closed {
            return;
        }
        let mut put = |channel, line: &[u8]| {
            for piece in line.chunks(MAX_PIECE) {
                pieces.text.extend_from_slice(piece);
                let end = pieces.text.len();
                pieces.ends.push((end, channel));
            }
        };
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(bare) if self.tty => put(Channel::Stdout, &[bare, b"\r\n"].concat()),
                _ if self.tty => put(Channel::Stdout, line),
                _ => put(channel, line),
            }
        }
        drop(pieces);
        self.changed.replace(());
    }

    /// Nothing follows.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.replace(());
    }

    /// Lets go of all but the newest `keep` pieces, as a log does that rotates.
    pub(super) fn rotate(&self, keep: usize) {
        let mut pieces = self.lock();
        pieces.gone = pieces.gone.max(pieces.ends.len().saturating_sub(keep));
    }

    /// All bytes of a channel.
    pub(super) fn all(&self, channel: Channel) -> Vec<u8> {
        let pieces = self.lock();
        let of = |index: &usize| pieces.ends[*index].1 == channel;
        (0..pieces.ends.len()).filter(of).flat_map(|index| pieces.piece(index).to_vec()).collect()
    }

    /// The piece to go on with, after checking that what the reader kept was printed just
    /// before it.
    pub(super) fn place(&self, after: Option<&Resume>) -> Result<usize, String> {
        let Some(after) = after else { return Ok(0) };
        let pieces = self.lock();
        let at = <[u8; 8]>::try_from(after.position.as_bytes()).map(u64::from_le_bytes);
        let at = at.ok().and_then(|at| usize::try_from(at).ok()).filter(|at| *at <= pieces.ends.len());
        let Some(at) = at else { return Err(format!("{:?} is no place in it", after.position)) };
        for channel in Channel::BOTH {
            let printed = (0..at).rev().filter(|&index| pieces.ends[index].1 == channel);
            let kept = after.tail.iter().rev().filter(|(of, _)| *of == channel);
            let printed = printed.map(|index| Some(pieces.piece(index))).chain(std::iter::repeat(None));
            for ((_, kept), printed) in kept.zip(printed) {
                if printed != Some(kept.as_slice()) {
                    let (kept, printed) =
                        (String::from_utf8_lossy(kept), printed.map(String::from_utf8_lossy));
                    return Err(format!("the tail on {channel} has {kept:?}, printed was {printed:?}"));
                }
            }
        }
        Ok(at)
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        // Every change is whole before anything can panic.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pieces {
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before].0)
    }

    fn piece(&self, index: usize) -> &[u8] {
        &self.text[self.start(index)..self.ends[index].0]
    }
}

/// Somebody who reads a tape.
struct Reader {
    engine: Arc<Shared>,
    tape: Arc<Tape>,
    at: usize,
    changed: Watcher<()>,
    power: Watcher<Power>,
    boot: u64,
    ended: bool,
}

/// Output from the `at`-th piece on.
pub(super) fn output(engine: Arc<Shared>, tape: Arc<Tape>, at: usize) -> BoxStream<'static, Output> {
    let (changed, power) = (tape.changed.watch(), engine.power());
    let boot = power.look().boot;
    let reader = Reader { engine, tape, at, changed, power, boot, ended: false };
    stream::unfold(reader, async |mut reader| {
        let output = reader.next().await?;
        Some((output, reader))
    })
    .boxed()
}

impl Reader {
    async fn next(&mut self) -> Option<Output> {
        if self.ended {
            return None;
        }
        loop {
            let power = self.power.see().clone();
            self.changed.see();
            if !power.up || power.boot != self.boot || self.engine.breaks_console() {
                return self.end(EndCause::Broken);
            }
            if !power.frozen {
                if let Some(output) = self.read() {
                    return Some(output);
                }
                if self.tape.lock().closed {
                    return self.end(EndCause::Ended);
                }
            }
            tokio::select! {
                biased;
                changed = self.changed.changed(), if !power.frozen => changed.ok()?,
                changed = self.power.changed() => changed.ok()?,
            }
        }
    }

    fn end(&mut self, cause: EndCause) -> Option<Output> {
        self.ended = true;
        Some(Output::End(cause))
    }

    /// What is there from here on, if anything.
    fn read(&mut self) -> Option<Output> {
        let most = self.engine.batch_pieces();
        let pieces = self.tape.lock();
        if self.at < pieces.gone {
            let gone = self.at..pieces.gone;
            let bytes = pieces.start(gone.end) - pieces.start(gone.start);
            let lines = gone.clone().filter(|&index| pieces.piece(index).ends_with(b"\n")).count();
            self.at = gone.end;
            let gap = Gap {
                channel: None,
                bytes: Some(bytes as u64),
                lines: Some(lines as u64),
                uncertain: false,
                reason: "the engine's log no longer has it".to_owned(),
            };
            return Some(Output::Gap(gap, position(self.at)));
        }
        let end = pieces.ends.len().min(self.at + most);
        let batch = (self.at..end).map(|index| (pieces.ends[index].1, pieces.piece(index)));
        let batch = Batch::of(batch, position(end), self.engine.now());
        self.at = end;
        batch.ok().filter(|batch| !batch.is_empty()).map(|batch| Output::Batch(Arc::new(batch)))
    }
}

/// Whether a position is one that a tape makes.
pub(super) fn knows(position: &Position) -> bool {
    position.as_bytes().len() == 8
}

fn position(at: usize) -> Position {
    Position::from_bytes(&(at as u64).to_le_bytes()).unwrap_or(Position::START)
}

/// Writes to the stdin of a scripted game.
#[derive(Debug)]
pub(super) struct MemoryInput {
    pub(super) engine: Arc<Shared>,
    pub(super) tape: Arc<Tape>,
    pub(super) stdin: mpsc::Sender<Vec<u8>>,
    pub(super) boot: u64,
}

#[async_trait]
impl Input for MemoryInput {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let fail = |kind, message| Err(Error::new(kind, "write to a game", message));
        let write = async {
            let power = self.engine.thawed().await;
            if !power.up || power.boot != self.boot {
                return fail(ErrorKind::Unavailable, "the engine has gone");
            }
            if self.tape.lock().closed {
                return fail(ErrorKind::NotFound, "the game has ended");
            }
            match self.stdin.send(bytes.to_vec()).await {
                Ok(()) => Ok(()),
                Err(_) => fail(ErrorKind::NotFound, "the game has ended"),
            }
        };
        match timeout(INPUT_DEADLINE, write).await {
            Ok(written) => written,
            Err(_) => fail(ErrorKind::Timeout, "the game does not read its input"),
        }
    }
}
