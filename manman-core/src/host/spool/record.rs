//! Records as bytes, and back.

use std::sync::Arc;

use super::{Entry, Kept, tail::Tail};
use crate::{
    clock::Timestamp,
    console::{Batch, Channel, Gap, Position, Run},
};

/// Length and checksum before each body.
pub(super) const FRAME: usize = 8;

/// The part of a body that every kind has, without the position's bytes.
pub(super) const FIXED: usize = 1 + 8 + 8 + 4 + 8 + 1;

/// The longest body that is believed: more than any batch a backend makes.
pub(super) const MAX_BODY: usize = 64 << 20;

const OUTPUT: u8 = 1;
const GAP: u8 = 2;
const CHECKPOINT: u8 = 3;

/// The part of a body that every kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    kind: u8,
    pub(super) first: u64,
    pub(super) numbers: u64,
    pub(super) attempt: u32,
    read_at: Timestamp,
    position_len: u8,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Entry(Entry),
    Checkpoint(Tail),
}

/// Appends an entry's record.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    framed(out, |out| match &entry.what {
        Kept::Output(batch) => {
            put_fixed(out, OUTPUT, entry, &batch.position, batch.read_at);
            put_u32(out, batch.ends().len());
            put_u32(out, batch.runs().len());
            out.reserve(batch.ends().len() * 4 + batch.runs().len() * 5 + batch.text().len());
            for end in batch.ends() {
                out.extend_from_slice(&end.to_le_bytes());
            }
            for run in batch.runs() {
                out.extend_from_slice(&run.end.to_le_bytes());
                out.push(run.channel as u8);
            }
            out.extend_from_slice(batch.text());
        }
        Kept::Gap(gap, position, at) => {
            put_fixed(out, GAP, entry, position, *at);
            let gap = serde_json::to_vec(gap).expect("numbers and text have a JSON form");
            out.extend_from_slice(&gap);
        }
    });
}

/// Appends the checkpoint before the number `first`.
pub(super) fn put_checkpoint(out: &mut Vec<u8>, first: u64, tail: &Tail) {
    framed(out, |out| {
        out.push(CHECKPOINT);
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&0u64.to_le_bytes());
        out.extend_from_slice(&tail.attempt.to_le_bytes());
        out.extend_from_slice(&0i64.to_le_bytes());
        put_position(out, &tail.position);
        put_u32(out, tail.pieces().len());
        for (channel, piece) in tail.pieces() {
            out.push(*channel as u8);
            put_u32(out, piece.len());
            out.extend_from_slice(piece);
        }
    });
}

fn framed(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    body(out);
    let (frame, body) = out[start..].split_at_mut(FRAME);
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
}

fn put_fixed(out: &mut Vec<u8>, kind: u8, entry: &Entry, position: &Position, at: Timestamp) {
    out.push(kind);
    out.extend_from_slice(&entry.first.to_le_bytes());
    out.extend_from_slice(&entry.numbers.to_le_bytes());
    out.extend_from_slice(&entry.attempt.to_le_bytes());
    out.extend_from_slice(&at.as_micros().to_le_bytes());
    put_position(out, position);
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.push(position.as_bytes().len() as u8);
    out.extend_from_slice(position.as_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

/// Reads the part of a body that every kind has.
pub(super) fn fixed(bytes: &[u8]) -> Option<Fixed> {
    let mut bytes = Bytes(bytes);
    Some(Fixed {
        kind: bytes.u8()?,
        first: bytes.u64()?,
        numbers: bytes.u64()?,
        attempt: bytes.u32()?,
        read_at: Timestamp::from_micros(bytes.u64()? as i64),
        position_len: bytes.u8()?,
    })
}

impl Fixed {
    /// The number after its last one.
    pub(super) fn next(&self) -> Option<u64> {
        self.first.checked_add(self.numbers)
    }
}

/// Reads a body whose checksum was right; `None` if it is none of ours all the same.
pub(super) fn body(bytes: &[u8]) -> Option<Record> {
    let fixed = fixed(bytes)?;
    let mut bytes = Bytes(bytes.get(FIXED..)?);
    let position = Position::from_bytes(bytes.take(usize::from(fixed.position_len))?)?;
    let entry = |what| {
        Record::Entry(Entry { first: fixed.first, numbers: fixed.numbers, attempt: fixed.attempt, what })
    };
    match fixed.kind {
        OUTPUT => {
            let (pieces, runs) = (bytes.u32()? as usize, bytes.u32()? as usize);
            let ends = bytes.take(pieces.checked_mul(4)?)?;
            let ends = ends.chunks_exact(4).map(|end| u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
            let runs = bytes.take(runs.checked_mul(5)?)?.chunks_exact(5).map(|run| {
                let end = u32::from_le_bytes([run[0], run[1], run[2], run[3]]);
                Some(Run { end, channel: channel(run[4])? })
            });
            let runs = runs.collect::<Option<Box<[Run]>>>()?;
            let batch = Batch::new(bytes.0.into(), ends.collect(), runs, position, fixed.read_at).ok()?;
            (batch.len() as u64 == fixed.numbers).then(|| entry(Kept::Output(Arc::new(batch))))
        }
        GAP => {
            let gap: Gap = serde_json::from_slice(bytes.0).ok()?;
            (fixed.numbers > 0).then(|| entry(Kept::Gap(gap, position, fixed.read_at)))
        }
        CHECKPOINT => {
            let mut tail = Tail::new(fixed.attempt, position);
            for _ in 0..bytes.u32()? {
                let channel = channel(bytes.u8()?)?;
                let len = bytes.u32()? as usize;
                tail.push(channel, bytes.take(len)?);
            }
            (fixed.numbers == 0).then_some(Record::Checkpoint(tail))
        }
        _ => None,
    }
}

fn channel(byte: u8) -> Option<Channel> {
    Channel::BOTH.into_iter().find(|channel| *channel as u8 == byte)
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let position = Position::from_bytes(b"here").unwrap();
        let at = Timestamp::from_micros(-5);
        let pieces: [(Channel, &[u8]); 3] =
            [(Channel::Stdout, b"a\n"), (Channel::Stderr, b"b\n"), (Channel::Stdout, b"> ")];
        let batch = Batch::of(pieces, position, at).unwrap();
        let gap = Gap {
            channel: Some(Channel::Stderr),
            bytes: Some(7),
            lines: None,
            uncertain: true,
            reason: "rotated".to_owned(),
        };
        vec![
            Entry { first: 1, numbers: 3, attempt: 1, what: Kept::Output(Arc::new(batch)) },
            Entry { first: 4, numbers: 9, attempt: 2, what: Kept::Gap(gap, position, at) },
        ]
    }

    #[test]
    fn an_entry_survives_its_bytes() {
        for entry in entries() {
            let mut bytes = Vec::new();
            put_entry(&mut bytes, &entry);
            assert_eq!(crc32fast::hash(&bytes[FRAME..]).to_le_bytes(), bytes[4..FRAME]);
            assert_eq!(body(&bytes[FRAME..]), Some(Record::Entry(entry)));
        }
    }

    #[test]
    fn a_checkpoint_survives_its_bytes() {
        let mut tail = Tail::new(3, Position::from_bytes(b"p").unwrap());
        tail.push(Channel::Stdout, b"x\n");
        tail.push(Channel::Stderr, b"y");
        let mut bytes = Vec::new();
        put_checkpoint(&mut bytes, 9, &tail);
        assert_eq!(body(&bytes[FRAME..]), Some(Record::Checkpoint(tail)));
    }

    #[test]
    fn spoilt_bodies_never_panic() {
        for entry in entries() {
            let mut bytes = Vec::new();
            put_entry(&mut bytes, &entry);
            let good = &bytes[FRAME..];
            for cut in 0..good.len() {
                let _ = body(&good[..cut]);
                for bit in 0..8 {
                    let mut flipped = good.to_vec();
                    flipped[cut] ^= 1 << bit;
                    let _ = body(&flipped);
                }
            }
        }
    }
}
