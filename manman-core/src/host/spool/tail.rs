//! The last pieces of an attempt, by which a backend finds its place again.

use std::collections::VecDeque;

use super::{Entry, Kept};
use crate::console::{Channel, Position, Resume};

/// The most bytes of pieces that are kept in a tail: a checkpoint stays small, whatever
/// the lines.
const MAX_BYTES: usize = 64 << 10;

/// The last position of an attempt and its last pieces, up to [`Resume::TAIL`] of each
/// channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tail {
    /// The attempt; 0 before the first.
    pub(crate) attempt: u32,
    pub(crate) position: Position,
    pieces: VecDeque<(Channel, Vec<u8>)>,
    count: [usize; 2],
    bytes: usize,
}

impl Tail {
    pub(crate) fn new(attempt: u32, position: Position) -> Self {
        Self { attempt, position, pieces: VecDeque::new(), count: [0; 2], bytes: 0 }
    }

    pub(crate) fn pieces(&self) -> &VecDeque<(Channel, Vec<u8>)> {
        &self.pieces
    }

    /// Takes an entry into account. A higher attempt than before begins a new tail; what
    /// comes late of a lower one does not count.
    pub(crate) fn take(&mut self, entry: &Entry) {
        if entry.attempt < self.attempt {
            return;
        }
        if entry.attempt > self.attempt {
            *self = Self::new(entry.attempt, Position::START);
        }
        self.position = entry.position();
        match &entry.what {
            Kept::Output(batch) => {
                // Of a large batch most would only be pushed out again.
                let (many, one_run) = (batch.len(), batch.runs().len() == 1);
                let skip = if one_run { many.saturating_sub(Resume::TAIL) } else { 0 };
                batch.pieces().skip(skip).for_each(|(channel, piece)| self.push(channel, piece));
            }
            // What is before it is not what was printed just before the position.
            Kept::Gap(..) => *self = Self::new(entry.attempt, self.position),
        }
    }

    pub(crate) fn push(&mut self, channel: Channel, piece: &[u8]) {
        self.pieces.push_back((channel, piece.to_vec()));
        self.bytes += piece.len();
        self.count[channel.index()] += 1;
        if self.count[channel.index()] > Resume::TAIL
            && let Some(oldest) = self.pieces.iter().position(|(of, _)| *of == channel)
        {
            self.drop_at(oldest);
        }
        while self.bytes > MAX_BYTES && self.pieces.len() > 1 {
            self.drop_at(0);
        }
    }

    fn drop_at(&mut self, index: usize) {
        if let Some((channel, piece)) = self.pieces.remove(index) {
            self.bytes -= piece.len();
            self.count[channel.index()] -= 1;
        }
    }

    pub(crate) fn into_resume(self) -> Resume {
        Resume { position: self.position, tail: self.pieces.into() }
    }
}
