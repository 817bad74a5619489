//! From bytes on two channels to pieces, with no allocation per line.
//!
//! What arrives in one read becomes one buffer: all of a channel's bytes that
//! stand together form a run, and an unfinished line is moved to the channel's
//! carry when its run ends, so that no line straddles two buffers. Where the
//! lines end is found by one pass over the finished buffer, which is faster by a
//! multiple than looking at each frame as it is copied.

use manman_core::{
    clock::Timestamp,
    console::{Batch, Channel, MAX_PIECE, Position, Run},
};
use memchr::{memchr, memrchr};

use super::newlines;

/// How much one channel got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes.
    pub bytes: u64,
    /// Newlines.
    pub lines: u64,
}

/// What became of one read: a [`Batch`] that does not know yet where it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Pieces {
    /// All pieces' bytes, one after the other.
    pub text: Box<[u8]>,
    /// Where each piece ends.
    pub ends: Box<[u32]>,
    /// Which stretches belong to which channel.
    pub runs: Box<[Run]>,
    /// What each channel got, by [`Channel::index`].
    pub tally: [Tally; 2],
}

impl Pieces {
    /// The batch of these pieces.
    pub fn into_batch(self, position: Position, read_at: Timestamp) -> Batch {
        Batch::from_trusted_parts(self.text, self.ends, self.runs, position, read_at)
    }

    /// Its stretches with their channels.
    pub(super) fn stretches(&self) -> impl Iterator<Item = (Channel, &[u8])> {
        let mut from = 0;
        self.runs.iter().map(move |run| {
            let stretch = &self.text[from..run.end as usize];
            from = run.end as usize;
            (run.channel, stretch)
        })
    }
}

/// Room for the ends of a read's pieces, used again for the next read. One a thread.
#[derive(Debug, Default)]
pub struct Scratch {
    ends: Vec<u32>,
}

/// The unfinished lines of one console. While a game is silent it holds nothing.
#[derive(Debug, Default)]
pub struct Lines {
    carry: [Vec<u8>; 2],
    /// Counts the unfinished lines of each channel, so that one can be told from the next.
    turn: [u32; 2],
}

/// Which unfinished lines wait: of each channel the ordinal number of one, or none.
pub type Waiting = [Option<u32>; 2];

impl Lines {
    /// Begins a buffer that will take up to `expected` bytes.
    pub fn begin(&mut self, expected: usize) -> Cut<'_> {
        Cut { lines: self, expected, text: Vec::new(), runs: Vec::new(), open: None }
    }

    /// Whether a line waits for its newline.
    pub fn is_pending(&self) -> bool {
        self.carry.iter().any(|carry| !carry.is_empty())
    }

    /// Which lines wait for their newline.
    pub fn waiting(&self) -> Waiting {
        let wait = |channel: Channel| {
            let at = channel.index();
            (!self.carry[at].is_empty()).then_some(self.turn[at])
        };
        Channel::BOTH.map(wait)
    }

    /// Hands out those of `which` that still wait, as they are.
    pub fn flush(&mut self, which: Waiting, scratch: &mut Scratch) -> Option<Pieces> {
        let waiting = self.waiting();
        let mut text = Vec::new();
        let mut runs = Vec::new();
        for channel in Channel::BOTH {
            let at = channel.index();
            if waiting[at].is_some() && waiting[at] == which[at] {
                self.turn[at] = self.turn[at].wrapping_add(1);
                let carry = std::mem::take(&mut self.carry[at]);
                text.extend_from_slice(&carry);
                runs.push(Run { end: text.len() as u32, channel });
            }
        }
        seal(text, runs, scratch)
    }

    /// The bytes of memory it holds.
    pub fn retained(&self) -> usize {
        self.carry.iter().map(Vec::capacity).sum()
    }
}

/// A buffer in the making.
#[derive(Debug)]
pub struct Cut<'a> {
    lines: &'a mut Lines,
    expected: usize,
    text: Vec<u8>,
    runs: Vec<Run>,
    /// The channel of the bytes from the last run's end on.
    open: Option<Channel>,
}

impl Cut<'_> {
    /// Adds what a channel got.
    #[inline]
    pub fn append(&mut self, channel: Channel, bytes: &[u8]) {
        if self.open == Some(channel) {
            self.text.extend_from_slice(bytes);
        } else {
            self.switch(channel, bytes);
        }
    }

    fn switch(&mut self, channel: Channel, bytes: &[u8]) {
        let carry = &mut self.lines.carry[channel.index()];
        // Without a newline it all goes into the carry: no matter how the channels take
        // turns, no byte of a long line is moved twice.
        if memchr(b'\n', bytes).is_none() && carry.len() + bytes.len() < MAX_PIECE {
            carry.extend_from_slice(bytes);
            return;
        }
        let carry = std::mem::take(carry);
        let turn = &mut self.lines.turn[channel.index()];
        *turn = turn.wrapping_add(1);
        self.close();
        if self.text.capacity() == 0 {
            let carried = self.lines.retained() + carry.len();
            self.text.reserve_exact(self.expected + carried);
        }
        self.text.extend_from_slice(&carry);
        self.text.extend_from_slice(bytes);
        self.open = Some(channel);
    }

    /// Ends the open run at its last piece's end and carries the rest.
    fn close(&mut self) {
        let Some(channel) = self.open.take() else { return };
        let from = self.runs.last().map_or(0, |run| run.end as usize);
        let line = memrchr(b'\n', &self.text[from..]).map_or(from, |at| from + at + 1);
        let unfinished = self.text.len() - line;
        let end = line + unfinished / MAX_PIECE * MAX_PIECE;
        if end < self.text.len() {
            self.lines.carry[channel.index()].extend_from_slice(&self.text[end..]);
            self.text.truncate(end);
        }
        if end > from {
            self.runs.push(Run { end: end as u32, channel });
        }
    }

    /// The finished buffer; `None` if nothing in it is finished.
    pub fn finish(mut self, scratch: &mut Scratch) -> Option<Pieces> {
        self.close();
        seal(self.text, self.runs, scratch)
    }
}

fn seal(text: Vec<u8>, runs: Vec<Run>, scratch: &mut Scratch) -> Option<Pieces> {
    if text.is_empty() {
        return None;
    }
    scratch.ends.clear();
    let mut tally = [Tally::default(); 2];
    let mut from = 0;
    for run in &runs {
        let stretch = &text[from as usize..run.end as usize];
        let lines = newlines::find(stretch, from, &mut scratch.ends);
        tally[run.channel.index()].bytes += stretch.len() as u64;
        tally[run.channel.index()].lines += lines;
        from = run.end;
    }
    Some(Pieces {
        // Shrinks in place: the allocator gives back the end, nothing is copied.
        text: text.into_boxed_slice(),
        ends: scratch.ends.as_slice().into(),
        runs: runs.into_boxed_slice(),
        tally,
    })
}
