//! One segment file, read record by record.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    record::{self, FIXED, FRAME, MAX_BODY, Record},
    tail::Tail,
};
use crate::{console::Position, id::SessionId};

const MAGIC: &[u8; 8] = b"MMSPOOL1";

/// Magic, session, first number, checksum.
const HEAD: usize = 8 + 8 + 8 + 4;

/// The head of a segment and its checkpoint, as a new file begins.
pub(super) fn beginning(session: SessionId, first: u64, tail: &Tail) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&session.0.to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    record::put_checkpoint(&mut bytes, first, tail);
    bytes
}

/// A segment's file and its first number, as its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn new(dir: &Path, first: u64) -> Self {
        Self { first, path: dir.join(format!("{first:020}.seg")) }
    }

    /// Those in a directory, oldest first.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            let digits =
                digits.filter(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()));
            if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
                segments.push(Self::new(dir, first));
            }
        }
        segments.sort_by_key(|segment| segment.first);
        Ok(segments)
    }
}

/// What is found at a place in a segment.
#[derive(Debug)]
pub(super) enum Step {
    /// This record.
    Record(Record),
    /// A record that lies below what is asked for.
    Passed,
    /// The end of what can be read, for now at least.
    End,
}

/// Reads a segment from its checkpoint on.
#[derive(Debug)]
pub(super) struct Reader {
    file: BufReader<File>,
    /// The number that the next record has to begin with.
    next: u64,
    /// Where the next record begins in the file.
    offset: u64,
    tail: Tail,
}

impl Reader {
    /// Opens a segment; `None` if its head or its checkpoint is damaged.
    pub(super) fn open(segment: &Segment, session: SessionId) -> io::Result<Option<Self>> {
        let mut file = BufReader::with_capacity(64 << 10, File::open(&segment.path)?);
        let mut head = [0; HEAD];
        if !filled(&mut file, &mut head)? {
            return Ok(None);
        }
        let wanted = beginning(session, segment.first, &Tail::new(0, Position::START));
        if head != wanted[..HEAD] {
            return Ok(None);
        }
        let tail = Tail::new(0, Position::START);
        let mut reader = Self { file, next: segment.first, offset: HEAD as u64, tail };
        match reader.step(segment.first)? {
            Step::Record(Record::Checkpoint(tail)) => reader.tail = tail,
            _ => return Ok(None),
        }
        Ok(Some(reader))
    }

    /// The last position before this segment and the last pieces of that attempt.
    pub(super) fn checkpoint(&self) -> &Tail {
        &self.tail
    }

    /// The number after the last record that was read.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Where the last record that was read ends.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next record, or passes it if all its numbers are below `from`.
    pub(super) fn step(&mut self, from: u64) -> io::Result<Step> {
        let step = self.try_step(from)?;
        if matches!(step, Step::End) {
            // There may be more later: begin again where this record begins.
            self.file.seek(SeekFrom::Start(self.offset))?;
        }
        Ok(step)
    }

    fn try_step(&mut self, from: u64) -> io::Result<Step> {
        let mut front = [0; FRAME + FIXED];
        if !filled(&mut self.file, &mut front)? {
            return Ok(Step::End);
        }
        let len = u32::from_le_bytes([front[0], front[1], front[2], front[3]]) as usize;
        let crc = u32::from_le_bytes([front[4], front[5], front[6], front[7]]);
        let Some(fixed) = record::fixed(&front[FRAME..]) else { return Ok(Step::End) };
        let Some(next) = fixed.next() else { return Ok(Step::End) };
        if !(FIXED..=MAX_BODY).contains(&len) || fixed.first != self.next {
            return Ok(Step::End);
        }
        let rest = len - FIXED;
        let end = self.offset + (FRAME + len) as u64;
        if fixed.numbers > 0 && next <= from {
            if end > self.file.get_ref().metadata()?.len() {
                return Ok(Step::End);
            }
            self.file.seek_relative(rest as i64)?;
            (self.next, self.offset) = (next, end);
            return Ok(Step::Passed);
        }
        let mut body = Vec::new();
        body.extend_from_slice(&front[FRAME..]);
        // Not reserved by the length that the file claims: only what is there is read.
        (&mut self.file).take(rest as u64).read_to_end(&mut body)?;
        if body.len() != len || crc32fast::hash(&body) != crc {
            return Ok(Step::End);
        }
        match record::body(&body) {
            Some(record) => {
                (self.next, self.offset) = (next, end);
                Ok(Step::Record(record))
            }
            None => Ok(Step::End),
        }
    }
}

/// Fills `buffer`, or says `false` if there is not enough.
fn filled(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
