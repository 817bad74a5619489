//! The words of a console: what a game prints, as batches of many lines, and where
//! in its output one stands.
//!
//! A game's output is a stream of bytes on each of two [`Channel`]s. It is cut into
//! **pieces**: a line with its newline, or, where a line is longer than
//! [`MAX_PIECE`] or stays unfinished for a while (a prompt), a part of a line
//! without one. Whoever wants whole lines joins a piece that has no newline with
//! the next piece of the same channel.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, error::Result, hex::Hex};

/// The longest piece in bytes, its newline included. A longer line is cut here, so
/// that one line of a gigabyte costs no more memory than any other.
pub const MAX_PIECE: usize = 32 * 1024;

/// How long an unfinished line waits for its newline before it is shown as it is.
pub const PARTIAL_AFTER: Duration = Duration::from_millis(50);

/// Where a piece of output was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Channel {
    /// Standard output; with a TTY, everything.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
}

impl Channel {
    /// Both, in the order in which arrays by channel hold them.
    pub const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Its place in an array by channel.
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// A stretch of consecutive pieces of one channel within a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where in the batch's text it ends (exclusive). It begins where the one before ends.
    pub end: u32,
    /// The channel of all its pieces.
    pub channel: Channel,
}

/// Many pieces of output as one buffer. Cheap to share: viewers take the `Arc`.
///
/// Invariants, kept by [`Batch::new`]: `ends` rise strictly, the last one is the
/// length of `text`; `runs` rise strictly and end where `text` ends; each run ends
/// at a piece's end; no piece is empty or longer than [`MAX_PIECE`].
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    text: Box<[u8]>,
    ends: Box<[u32]>,
    runs: Box<[Run]>,
    /// Where the console stands after this batch.
    pub position: Position,
    /// When it was read from the backend, by the host's clock.
    pub read_at: Timestamp,
}

/// A batch that breaks an invariant; the text says which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed console batch: {0}")]
pub struct BadBatch(&'static str);

impl Batch {
    /// Joins text, piece ends and runs, after checking the invariants.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn new(
        text: Box<[u8]>,
        ends: Box<[u32]>,
        runs: Box<[Run]>,
        position: Position,
        read_at: Timestamp,
    ) -> Result<Self, BadBatch> {
        let mut from = 0u32;
        for &end in &ends {
            if end <= from {
                return Err(BadBatch("a piece is empty or ends before it begins"));
            }
            if (end - from) as usize > MAX_PIECE {
                return Err(BadBatch("a piece is too long"));
            }
            from = end;
        }
        if from as usize != text.len() {
            return Err(BadBatch("the last piece does not end with the text"));
        }
        let mut from = 0u32;
        for run in &runs {
            if run.end <= from {
                return Err(BadBatch("a run is empty or ends before it begins"));
            }
            if ends.binary_search(&run.end).is_err() {
                return Err(BadBatch("a run ends inside a piece"));
            }
            from = run.end;
        }
        if from as usize != text.len() {
            return Err(BadBatch("the last run does not end with the text"));
        }
        Ok(Self { text, ends, runs, position, read_at })
    }

    /// Joins parts that the caller has built so that the invariants hold; they are
    /// checked in debug builds only. For readers on the hot path.
    pub fn from_trusted_parts(
        text: Box<[u8]>,
        ends: Box<[u32]>,
        runs: Box<[Run]>,
        position: Position,
        read_at: Timestamp,
    ) -> Self {
        debug_assert!(Self::new(text.clone(), ends.clone(), runs.clone(), position, read_at).is_ok());
        Self { text, ends, runs, position, read_at }
    }

    /// A batch of these pieces. For tests, scripted games and small outputs.
    pub fn of<'a>(
        pieces: impl IntoIterator<Item = (Channel, &'a [u8])>,
        position: Position,
        read_at: Timestamp,
    ) -> Result<Self, BadBatch> {
        let (mut text, mut ends, mut runs) = (Vec::new(), Vec::new(), Vec::<Run>::new());
        for (channel, piece) in pieces {
            text.extend_from_slice(piece);
            let end = u32::try_from(text.len()).map_err(|_| BadBatch("more than 4 GiB"))?;
            ends.push(end);
            match runs.last_mut() {
                Some(run) if run.channel == channel => run.end = end,
                _ => runs.push(Run { end, channel }),
            }
        }
        Self::new(text.into(), ends.into(), runs.into(), position, read_at)
    }

    /// All pieces' bytes, one after the other, newlines included.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where each piece ends in the text (exclusive).
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Which stretches of the text belong to which channel.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The number of pieces.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no piece in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Its pieces in order, newlines included.
    pub fn pieces(&self) -> impl Iterator<Item = (Channel, &[u8])> {
        let mut runs = self.runs.iter();
        let mut run = runs.next();
        let mut from = 0usize;
        self.ends.iter().filter_map(move |&end| {
            while run.is_some_and(|run| run.end < end) {
                run = runs.next();
            }
            let piece = &self.text[from..end as usize];
            from = end as usize;
            run.map(|run| (run.channel, piece))
        })
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("pieces", &self.len())
            .field("bytes", &self.text.len())
            .field("position", &self.position)
            .finish()
    }
}

/// Where in an attempt's output one stands: all before it was delivered, nothing
/// after it. What is inside belongs to the backend that made it; it is kept with
/// the output and handed back to the same backend after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Position {
    /// The most bytes a backend can put into one.
    pub const MAX: usize = 62;

    /// The beginning of an attempt, for backends that need no more than that.
    pub const START: Self = Self { len: 0, bytes: [0; Self::MAX] };

    /// Wraps a backend's bytes, or `None` if there are more than [`Position::MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut position = Self::START;
        position.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        position.len = bytes.len() as u8;
        Some(position)
    }

    /// The backend's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({})", Hex(self.as_bytes()))
    }
}

/// Where to go on reading after the reader died.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The position of the last batch that was kept.
    pub position: Position,
    /// The last pieces that were kept, oldest first, as many as the keeper has, up
    /// to [`Resume::TAIL`] of each channel. A backend that cannot count its way
    /// back finds its place by them.
    pub tail: Vec<(Channel, Vec<u8>)>,
}

impl Resume {
    /// How many pieces of each channel help a backend to find its place.
    pub const TAIL: usize = 64;
}

/// Output that is known to be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The channel it is missing on; `None` if on either.
    pub channel: Option<Channel>,
    /// How many bytes are missing, where that is known.
    pub bytes: Option<u64>,
    /// How many lines are missing, where that is known.
    pub lines: Option<u64>,
    /// `true` if the place was found by guess: lines here may be missing or doubled.
    pub uncertain: bool,
    /// Why, for people.
    pub reason: String,
}

/// Why a console's output stream ended. The end of a stream is never by itself the
/// end of a game: the caller inspects the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndCause {
    /// The attempt has ended and all that it printed was delivered, as far as the
    /// backend still has it.
    Ended,
    /// The connection broke; open the console again from the last position.
    Broken,
    /// The consumer did not keep up and the backend let go, so that the game is not
    /// held up; open the console again from the last position.
    Overrun,
}

/// What a console's output stream yields.
#[derive(Clone, Debug)]
pub enum Output {
    /// Output, in the order in which it was read.
    Batch(Arc<Batch>),
    /// Output that is missing here, and the position after it.
    Gap(Gap, Position),
    /// Nothing follows.
    End(EndCause),
}

/// Writes to the stdin of one attempt. One writer, kept open for as long as the
/// console is.
#[async_trait]
pub trait Input: fmt::Debug + Send {
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// `Timeout` if the game did not take them before the backend's deadline: how
    /// many it took is not known. `NotFound` or `Unavailable` if the attempt has
    /// ended or the connection broke, and nothing was written.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;
}

/// An open console: stdin, and output from just after the position asked for.
pub struct Console {
    /// Stdin.
    pub input: Box<dyn Input>,
    /// Output; after `Output::End` nothing follows. Dropping it lets go of the game's
    /// output without holding the game up.
    pub output: BoxStream<'static, Output>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("input", &self.input).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_with_their_channels() {
        let pieces: Vec<(Channel, &[u8])> = vec![
            (Channel::Stdout, b"a\n"),
            (Channel::Stdout, b"b\n"),
            (Channel::Stderr, b"c\n"),
            (Channel::Stdout, b"> "),
        ];
        let batch = Batch::of(pieces.clone(), Position::START, Timestamp::default()).unwrap();
        assert_eq!(batch.pieces().collect::<Vec<_>>(), pieces);
        assert_eq!(batch.runs().len(), 3);
    }

    #[test]
    fn a_malformed_batch_is_refused() {
        let new = |text: &[u8], ends: &[u32], runs: &[(u32, Channel)]| {
            let runs: Vec<_> = runs.iter().map(|&(end, channel)| Run { end, channel }).collect();
            Batch::new(text.into(), ends.into(), runs.into(), Position::START, Timestamp::default())
        };
        use Channel::Stdout;
        assert!(new(b"ab", &[1, 2], &[(2, Stdout)]).is_ok());
        assert!(new(b"ab", &[1], &[(2, Stdout)]).is_err());
        assert!(new(b"ab", &[2, 1], &[(2, Stdout)]).is_err());
        assert!(new(b"ab", &[2], &[(1, Stdout), (2, Stdout)]).is_err());
        assert!(new(b"ab", &[2], &[]).is_err());
        assert!(
            new(&vec![b'x'; MAX_PIECE + 1], &[MAX_PIECE as u32 + 1], &[(MAX_PIECE as u32 + 1, Stdout)])
                .is_err()
        );
    }

    #[test]
    fn a_position_keeps_its_bytes() {
        assert_eq!(Position::from_bytes(b"abc").unwrap().as_bytes(), b"abc");
        assert!(Position::from_bytes(&[0; Position::MAX + 1]).is_none());
    }
}
