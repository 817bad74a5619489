//! Places in a channel's log.

use crate::console::stamp::Nanos;

/// The last message of a channel that was taken: its stamp, and its ordinal number
/// among those with this stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::console) struct Cursor {
    pub at: Nanos,
    pub nth: u32,
}

impl Cursor {
    /// Before the first message.
    pub const START: Self = Self { at: Nanos::MIN, nth: 0 };

    /// After one more message with this stamp.
    pub fn after(self, at: Nanos) -> Self {
        if self.at == at { Self { at, nth: self.nth + 1 } } else { Self { at, nth: 1 } }
    }
}

/// A place in a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Spot {
    /// What is delivered begins after this message …
    pub cursor: Cursor,
    /// … and after so many bytes more, …
    pub skip: u64,
    /// … the last of which are these.
    pub expect: Vec<u8>,
    /// The counts at the end of what is skipped, if they are other than what was counted.
    pub counts: Option<(u64, u64)>,
    /// So many messages of the channel were read up to `cursor`.
    pub messages: u64,
}

impl Spot {
    /// Before everything.
    pub(super) const START: Self =
        Self { cursor: Cursor::START, skip: 0, expect: Vec::new(), counts: None, messages: 0 };
}
