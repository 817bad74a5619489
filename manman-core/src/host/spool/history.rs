//! Reads what is kept of a session, in order, a little at a time.

use std::{io, path::PathBuf};

use super::{
    Entry, History, Kept, Span,
    file::failed,
    record::Record,
    segment::{Reader, Segment, Step},
};
use crate::{
    clock::Timestamp,
    console::{Gap, Position},
    error::Result,
    id::SessionId,
};

/// Reads the segments of one session, remembering its place between calls.
#[derive(Debug)]
pub(super) struct FileHistory {
    dir: PathBuf,
    session: SessionId,
    at: Option<Place>,
}

/// A segment that is being read, and the first number that it no longer counts for.
#[derive(Debug)]
struct Place {
    segment: Segment,
    reader: Reader,
    limit: u64,
}

impl FileHistory {
    pub(super) fn new(dir: PathBuf, session: SessionId) -> Self {
        Self { dir, session, at: None }
    }

    /// Opens the segment that holds `from`, or the first readable one after it.
    fn seek(&self, from: u64) -> io::Result<Option<Place>> {
        let holder =
            Segment::list(&self.dir)?.iter().rfind(|segment| segment.first <= from).map(|it| it.first);
        self.open_from(holder.unwrap_or(0))
    }

    /// Opens the first readable segment whose first number is `first` or higher.
    fn open_from(&self, first: u64) -> io::Result<Option<Place>> {
        let segments = Segment::list(&self.dir)?;
        for (index, segment) in segments.iter().enumerate().filter(|(_, segment)| segment.first >= first) {
            let limit = segments.get(index + 1).map_or(u64::MAX, |next| next.first);
            match Reader::open(segment, self.session) {
                Ok(Some(reader)) => return Ok(Some(Place { segment: segment.clone(), reader, limit })),
                Ok(None) => {}
                // Beyond the cap the oldest go, also while somebody reads.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn try_read(&mut self, from: u64, until: u64, enough: usize) -> io::Result<Vec<Entry>> {
        let (mut entries, mut weight) = (Vec::new(), 0);
        let mut place = match self.at.take() {
            Some(place) if place.reader.next() == from => place,
            _ => match self.seek(from)? {
                Some(place) => place,
                None => return Ok(entries),
            },
        };
        // Whoever asks for older than is kept begins later; that is no hole.
        let mut wanted = from.max(place.segment.first);
        while wanted < until && weight < enough {
            let at = place.reader.next();
            let step = if at < place.limit.min(until) { place.reader.step(wanted)? } else { Step::End };
            match step {
                Step::Record(Record::Entry(entry)) => {
                    wanted = entry.next();
                    weight += entry.weight();
                    entries.push(entry);
                }
                Step::Record(Record::Checkpoint(_)) | Step::Passed => {}
                Step::End => {
                    let Some(next) = self.open_from(place.segment.first + 1)? else { break };
                    let found = next.segment.first;
                    if found > until {
                        break;
                    }
                    if found > wanted {
                        entries.push(hole(wanted, found, next.reader.checkpoint().attempt));
                        wanted = found;
                    }
                    place = next;
                }
            }
        }
        self.at = Some(place);
        Ok(entries)
    }
}

/// Stands for numbers that were given and cannot be read any more.
fn hole(first: u64, next: u64, attempt: u32) -> Entry {
    let gap = Gap {
        channel: None,
        bytes: None,
        lines: Some(next - first),
        uncertain: false,
        reason: "the spool is damaged here".to_owned(),
    };
    let what = Kept::Gap(gap, Position::START, Timestamp::default());
    Entry { first, numbers: next - first, attempt, what }
}

impl History for FileHistory {
    fn span(&mut self) -> Result<Span> {
        let span = || -> io::Result<Span> {
            let segments = Segment::list(&self.dir)?;
            let first = segments.first().map_or(1, |segment| segment.first);
            let mut next = first;
            for segment in segments.iter().rev() {
                next = segment.first;
                if let Some(mut reader) = Reader::open(segment, self.session)? {
                    while !matches!(reader.step(u64::MAX)?, Step::End) {}
                    next = reader.next();
                    break;
                }
            }
            Ok(Span { first, next })
        };
        span().map_err(|error| failed("read the console's spool", error))
    }

    fn read(&mut self, from: u64, until: u64, enough: usize) -> Result<Vec<Entry>> {
        self.try_read(from, until, enough).map_err(|error| failed("read the console's spool", error))
    }
}
