//! What a console hands out, counted on the way.

use std::{collections::VecDeque, sync::Arc};

use manman_core::{
    clock::Timestamp,
    console::{Channel, EndCause, Gap, Output},
};

use super::{
    form::Form,
    lines::{Lines, Pieces, Scratch},
    position::Place,
};

/// So much of each channel is remembered, to find the place again when the stream ends.
const TAIL: usize = 4 << 10;

/// How new what is handed out is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// When the last of it was printed, about, on each channel.
    pub last: [Timestamp; 2],
    /// The last of it was printed after this moment, on each channel.
    pub since: [Timestamp; 2],
    /// All that was printed before this moment was handed out.
    pub drained: Timestamp,
}

/// Where a console's output is counted and waits to be taken.
#[derive(Debug)]
pub(super) struct Outlet {
    form: Form,
    place: Place,
    tails: [Vec<u8>; 2],
    scratch: Scratch,
    ready: VecDeque<Output>,
}

impl Outlet {
    /// Goes on from `place`.
    pub fn new(form: Form, place: Place) -> Self {
        Self { form, place, tails: Default::default(), scratch: Scratch::default(), ready: VecDeque::new() }
    }

    pub fn take(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// For corrections of what was counted.
    pub fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }

    /// The last bytes handed out of each channel.
    pub fn tails(&self) -> [Vec<u8>; 2] {
        self.tails.clone()
    }

    /// Starts the memory of what was handed out with what another console handed out.
    pub fn remember(&mut self, tails: &[Vec<u8>; 2]) {
        for channel in Channel::BOTH {
            let tail = &tails[channel.index()];
            self.keep(channel, tail);
        }
    }

    /// Hands out pieces that were read at `read_at`.
    pub fn pieces(&mut self, pieces: Pieces, read_at: Timestamp, until: Until) {
        for channel in Channel::BOTH {
            let tally = pieces.tally[channel.index()];
            if tally.bytes > 0 {
                let stand = &mut self.place.stands[channel.index()];
                stand.lines += tally.lines;
                stand.last = until.last[channel.index()];
                stand.since = until.since[channel.index()];
                if self.form == Form::Bytes {
                    stand.bytes += tally.bytes;
                }
            }
        }
        for (channel, stretch) in pieces.stretches() {
            if self.form != Form::Bytes {
                self.place.stands[channel.index()].bytes += self.form.length(stretch) as u64;
            }
            self.keep(channel, stretch);
        }
        self.place.drained = self.place.drained.max(until.drained);
        let batch = pieces.into_batch(self.place.encode(), read_at);
        self.ready.push_back(Output::Batch(Arc::new(batch)));
    }

    /// Hands out bytes that are not cut into pieces yet, all of them.
    pub fn bytes(&mut self, channel: Channel, bytes: &[u8], read_at: Timestamp, until: Until) {
        let mut lines = Lines::default();
        let mut cut = lines.begin(bytes.len());
        cut.append(channel, bytes);
        let whole = cut.finish(&mut self.scratch);
        let rest = lines.flush(lines.waiting(), &mut self.scratch);
        for pieces in [whole, rest].into_iter().flatten() {
            self.pieces(pieces, read_at, until);
        }
    }

    /// Says that something is missing here.
    pub fn gap(&mut self, gap: Gap) {
        tracing::warn!(gap.uncertain, gap.bytes, "console: {}", gap.reason);
        self.ready.push_back(Output::Gap(gap, self.place.encode()));
    }

    pub fn end(&mut self, cause: EndCause) {
        self.ready.push_back(Output::End(cause));
    }

    fn keep(&mut self, channel: Channel, bytes: &[u8]) {
        let tail = &mut self.tails[channel.index()];
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        let surplus = (tail.len() + bytes.len()).saturating_sub(TAIL);
        tail.drain(..surplus);
        tail.extend_from_slice(bytes);
    }
}
