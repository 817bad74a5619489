//! How records lie in a journal: a head, then each with its length and checksum.

use super::Record;
use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "write the journal";

/// What a journal begins with: its name and the version of its format.
pub(super) const HEAD: [u8; 8] = *b"MMJRNL\x01\n";

/// The longest record in bytes. What [`ConfigBody::validate`] lets through is half of it,
/// even if all of its text is escaped.
///
/// [`ConfigBody::validate`]: crate::model::ConfigBody::validate
const MAX_RECORD: usize = 4 << 20;

/// What was found in a journal.
#[derive(Debug)]
pub(super) struct Found {
    /// The records up to the first one that cannot be read.
    pub records: Vec<Record>,
    /// How they end.
    pub end: Tail,
}

/// How a journal ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// With a record.
    Whole,
    /// With a record that was being written when its writer died; it begins here.
    Torn(usize),
    /// Not at all: something in the middle is not as it was written.
    Damaged(String),
    /// It is of another version.
    Version(u8),
}

/// Appends one record with its length and checksum, or nothing.
///
/// # Errors
/// `Invalid` if it is longer than any that would be read back.
pub(super) fn frame(record: &Record, into: &mut Vec<u8>) -> Result<()> {
    let at = into.len();
    into.extend_from_slice(&[0; 8]);
    if let Err(error) = serde_json::to_writer(&mut *into, record) {
        into.truncate(at);
        return Err(
            Error::new(ErrorKind::Unexpected, OPERATION, "a record cannot be serialized").because(error)
        );
    }
    let body = &into[at + 8..];
    if body.len() > MAX_RECORD {
        let message = format!("a record has {} bytes, {MAX_RECORD} are allowed", body.len());
        into.truncate(at);
        return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
    }
    let (length, sum) = (body.len() as u32, crc32fast::hash(body));
    into[at..at + 4].copy_from_slice(&length.to_le_bytes());
    into[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// Reads all that can be read; never panics, whatever the bytes.
pub(super) fn read(bytes: &[u8]) -> Found {
    let mut records = Vec::new();
    let end = match bytes.get(..HEAD.len()) {
        // It was being made when its writer died.
        None if HEAD.starts_with(bytes) => Tail::Torn(0),
        Some(head) if head == HEAD => walk(bytes, &mut records),
        Some(head) if head[..6] == HEAD[..6] && head[7] == HEAD[7] => Tail::Version(head[6]),
        _ => Tail::Damaged("it does not begin like a journal".to_owned()),
    };
    Found { records, end }
}

fn walk(bytes: &[u8], records: &mut Vec<Record>) -> Tail {
    let mut at = HEAD.len();
    while at < bytes.len() {
        let Some(body) = body(&bytes[at..]) else {
            // A write that was torn leaves nothing readable behind it.
            let later = (at + 1..bytes.len()).find(|&later| body_is_record(&bytes[later..]));
            return match later {
                None => Tail::Torn(at),
                Some(later) => {
                    Tail::Damaged(format!("byte {at} begins no record, and byte {later} does again"))
                }
            };
        };
        match serde_json::from_slice(body) {
            Ok(record) => records.push(record),
            Err(error) => {
                return Tail::Damaged(format!("the record at byte {at} is not understood: {error}"));
            }
        }
        at += 8 + body.len();
    }
    Tail::Whole
}

fn body_is_record(bytes: &[u8]) -> bool {
    // An empty body has the checksum 0, so that eight zeros, which a torn write may well
    // leave, look like one.
    body(bytes).is_some_and(|body| !body.is_empty())
}

/// The body of the record that `bytes` begin with, if one does.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let [a, b, c, d, sum @ ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length == 0 || length > MAX_RECORD {
        return None;
    }
    let body = rest.get(..length)?;
    (crc32fast::hash(body) == u32::from_le_bytes(sum)).then_some(body)
}
