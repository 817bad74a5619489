//! What is looked for in a channel's log.

use manman_core::console::Channel;

use crate::console::position::Stand;

/// More of the last lines than this is not compared.
const TAIL: usize = 64 << 10;

/// Fewer lines than these are not enough to go by alone.
const TELLING: usize = 4;

/// What is looked for.
#[derive(Clone, Debug)]
pub(in crate::console) struct Wanted {
    pub channel: Channel,
    /// How far it was delivered.
    pub stand: Stand,
    /// The last of what was delivered, in the form of the log, up to its last newline.
    pub(super) complete: Vec<u8>,
    /// What was delivered of the line after it.
    pub(super) rest: Vec<u8>,
}

impl Wanted {
    pub fn new(channel: Channel, stand: Stand, mut tail: Vec<u8>) -> Self {
        let rest = tail.split_off(memchr::memrchr(b'\n', &tail).map_or(0, |at| at + 1));
        // The first line may have lost its beginning, by this cut or already as a piece; a
        // second one surely begins where it seems to.
        let surplus = tail.len().saturating_sub(TAIL);
        let first = memchr::memchr(b'\n', &tail[surplus..]).map_or(0, |at| surplus + at + 1);
        tail.drain(..if first < tail.len() { first } else { surplus });
        Self { channel, stand, complete: tail, rest }
    }

    /// Whether the last lines can hardly stand anywhere else: some lines, the last of which
    /// is not one of those before.
    pub fn is_telling(&self) -> bool {
        let mut lines: Vec<_> = self.complete.split_inclusive(|&byte| byte == b'\n').collect();
        let last = lines.pop();
        lines.len() >= TELLING && last.is_some_and(|last| !lines.contains(&last))
    }

    /// Whether `recent` ends with what was delivered last, but for the last `skip` bytes.
    pub(super) fn tail_ends(&self, skip: usize, recent: &[u8]) -> bool {
        // `complete` and `rest` as one text, without its last `skip` bytes.
        let (rest, complete) = match self.rest.len().checked_sub(skip) {
            Some(left) => (&self.rest[..left], &self.complete[..]),
            None => {
                let skip = (skip - self.rest.len()).min(self.complete.len());
                (&[][..], &self.complete[..self.complete.len() - skip])
            }
        };
        recent.strip_suffix(rest).is_some_and(|recent| recent.ends_with(complete))
    }
}
