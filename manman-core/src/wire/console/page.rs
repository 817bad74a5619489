//! A page of a console: as much of it as one message takes.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    broker::MAX_BODY,
    clock::Timestamp,
    console::{Batch, Channel, Gap, Position, Run},
    viewing::Shown,
    wire::Unreadable,
};

/// What an item takes in a body besides its text, and more than that.
const ITEM: usize = 320;

/// The longest reason of a gap that is carried.
const REASON: usize = 4 * 1024;

/// A stretch of a console. What is in it follows each other, and ends before `next`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The number at which it begins: the one asked for, or the first one kept after it.
    pub from: u64,
    /// The number after all that had been shown when it was begun.
    pub until: u64,
    /// What is shown.
    pub items: Vec<Item>,
    /// From where on to ask next.
    pub next: u64,
    /// Whether nothing follows.
    pub ended: bool,
}

/// A part of a [`Page`]; see [`Shown`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// Output.
    Output(Pieces),
    /// Output that is missing.
    Gap {
        /// The number of the gap itself.
        sequence: u64,
        /// The number after it.
        next: u64,
        /// The attempt that it is of.
        attempt: u32,
        /// What is missing.
        gap: Gap,
    },
    /// Passed over for this viewer alone.
    Lagged {
        /// So many pieces and gaps.
        passed: u64,
        /// The number after them.
        next: u64,
    },
}

/// Pieces of output with consecutive numbers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// The number of the first one.
    first: u64,
    attempt: u32,
    read_at: Timestamp,
    /// The bytes of all.
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    text: Vec<u8>,
    /// Of each its length, doubled, and one more if it is of stderr: seven bits to a byte,
    /// the least first, and the eighth bit where more follow.
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    marks: Vec<u8>,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("first", &self.first).field("bytes", &self.text.len()).finish()
    }
}

impl Page {
    /// The most bytes of body that are filled: with what is around it and the piece that is
    /// always taken, a message stays below [`MAX_BODY`].
    pub const MOST: usize = MAX_BODY - 64 * 1024;

    /// An empty page that begins at `from`.
    pub fn new(from: u64, until: u64) -> Self {
        Self { from, until, items: Vec::new(), next: from, ended: false }
    }

    /// Adds what is shown before the number `next`, and lessens `room`, the bytes of body
    /// that are left. Gives back what does not fit; an empty page takes at least one piece.
    pub fn add(&mut self, shown: Shown, next: u64, room: &mut usize) -> Option<(Shown, u64)> {
        let item = match shown {
            Shown::Output { first, skip, attempt, batch } => {
                let mut pieces =
                    Pieces { first, attempt, read_at: batch.read_at, text: Vec::new(), marks: Vec::new() };
                let mut left = room.saturating_sub(ITEM);
                let mut taken = 0;
                for (channel, piece) in batch.pieces().skip(skip) {
                    // Four bytes of body for three, and three of marks at most.
                    let takes = (piece.len() + 3) * 4 / 3 + 1;
                    if takes > left && (taken > 0 || !self.items.is_empty()) {
                        break;
                    }
                    left = left.saturating_sub(takes);
                    pieces.push(channel, piece);
                    taken += 1;
                }
                if taken == 0 && batch.len() > skip {
                    return Some((Shown::Output { first, skip, attempt, batch }, next));
                }
                *room = left;
                if taken + skip < batch.len() {
                    self.next = first + taken as u64;
                    self.items.push(Item::Output(pieces));
                    let rest = Shown::Output { first: self.next, skip: skip + taken, attempt, batch };
                    return Some((rest, next));
                }
                Item::Output(pieces)
            }
            Shown::Gap { sequence, attempt, mut gap } => {
                gap.reason.truncate(gap.reason.floor_char_boundary(REASON));
                // A character takes six bytes at the most.
                *room = room.saturating_sub(ITEM + 6 * gap.reason.len());
                Item::Gap { sequence, next, attempt, gap }
            }
            Shown::Lagged(passed) => {
                *room = room.saturating_sub(ITEM);
                Item::Lagged { passed, next }
            }
        };
        self.next = next;
        self.items.push(item);
        None
    }

    /// What is shown, each with the number after it.
    ///
    /// # Errors
    /// `Malformed` if it is not what [`Page::add`] makes: numbers that go back, pieces that
    /// no console has.
    pub fn open(self) -> Result<Vec<(Shown, u64)>, Unreadable> {
        let mut at = self.from;
        let mut opened = Vec::with_capacity(self.items.len());
        for item in self.items {
            let (first, next, shown) = match item {
                Item::Output(pieces) => {
                    let (first, attempt, batch) = (pieces.first, pieces.attempt, pieces.batch()?);
                    let next =
                        first.checked_add(batch.len() as u64).ok_or_else(|| bad("a number too large"))?;
                    (first, next, Shown::Output { first, skip: 0, attempt, batch: batch.into() })
                }
                Item::Gap { sequence, next, attempt, gap } => {
                    (sequence, next, Shown::Gap { sequence, attempt, gap })
                }
                Item::Lagged { passed, next } => (at, next, Shown::Lagged(passed)),
            };
            if first < at || next <= first {
                return Err(bad("numbers that do not rise"));
            }
            at = next;
            opened.push((shown, next));
        }
        if at != self.next {
            return Err(bad("items that do not end where the page does"));
        }
        Ok(opened)
    }
}

impl Pieces {
    fn push(&mut self, channel: Channel, piece: &[u8]) {
        self.text.extend_from_slice(piece);
        let mut mark = piece.len() * 2 + usize::from(channel == Channel::Stderr);
        while mark > 0x7f {
            self.marks.push((mark & 0x7f) as u8 | 0x80);
            mark >>= 7;
        }
        self.marks.push(mark as u8);
    }

    fn batch(self) -> Result<Batch, Unreadable> {
        let (mut ends, mut runs) = (Vec::new(), Vec::<Run>::new());
        let (mut end, mut mark, mut shift) = (0u32, 0u32, 0);
        for byte in self.marks {
            if shift > 14 {
                return Err(bad("a piece that is too long"));
            }
            mark |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 != 0 {
                continue;
            }
            // What is too much for it is more than the text, and refused below.
            end = end.saturating_add(mark / 2);
            let channel = if mark % 2 == 1 { Channel::Stderr } else { Channel::Stdout };
            ends.push(end);
            match runs.last_mut() {
                Some(run) if run.channel == channel => run.end = end,
                _ => runs.push(Run { end, channel }),
            }
            (mark, shift) = (0, 0);
        }
        if shift > 0 {
            return Err(bad("a mark that is cut off"));
        }
        // The position is between the host and its backend.
        let batch = Batch::new(self.text.into(), ends.into(), runs.into(), Position::START, self.read_at);
        batch.map_err(|error| Unreadable::Malformed(error.to_string()))
    }
}

fn bad(what: &str) -> Unreadable {
    Unreadable::Malformed(format!("a page of a console has {what}"))
}

fn write_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Base64;

    impl de::Visitor<'_> for Base64 {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes as base64")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            STANDARD.decode(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Base64)
}
