//! Finding in the log of one channel the place up to which it was delivered.
//!
//! By content first: the last lines that were delivered, if they stand in the log
//! exactly once. Where they repeat, by count, which holds as long as the log still
//! begins where the attempt began. What neither tells is a guess, and said to be one.

mod spot;
mod wanted;

use manman_core::console::Gap;

pub(super) use self::{
    spot::{Cursor, Spot},
    wanted::Wanted,
};
use super::stamp::Nanos;

/// A message may be stamped so much later than an attach passed it on.
const LAG: Nanos = 1_000_000_000;

/// Reads a channel's log and remembers where the place may be.
#[derive(Debug)]
pub(super) struct Seek {
    wanted: Wanted,
    count: u64,
    lines: u64,
    messages: u64,
    cursor: Cursor,
    /// The last of what was read, at least as much as is compared.
    recent: Vec<u8>,
    /// Places after all of the last lines.
    hits: Hits,
    /// Places after as much of them as stands before, from the beginning of what was read.
    cut_hits: Hits,
    by_count: Option<(Spot, bool)>,
    /// After the last message stamped before the last delivery.
    by_time: Cursor,
    first: Option<Nanos>,
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    cursor: Cursor,
    /// Messages up to here.
    messages: u64,
    count: u64,
    lines: u64,
}

#[derive(Debug, Default)]
struct Hits {
    number: u64,
    /// The one nearest to the count.
    nearest: Option<Hit>,
    /// Those stamped before the last delivery, or shortly after.
    timely_number: u64,
    /// The last of these.
    timely: Option<Hit>,
}

impl Seek {
    pub fn new(wanted: Wanted) -> Self {
        Self {
            by_count: (wanted.stand.bytes == 0).then_some((Spot::START, true)),
            wanted,
            count: 0,
            lines: 0,
            messages: 0,
            cursor: Cursor::START,
            recent: Vec::new(),
            hits: Hits::default(),
            cut_hits: Hits::default(),
            by_time: Cursor::START,
            first: None,
        }
    }

    fn last(&self) -> Nanos {
        self.wanted.stand.last.as_micros().saturating_mul(1_000)
    }

    /// How many messages were read.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Takes the next message of the channel.
    pub fn take(&mut self, at: Nanos, text: &[u8]) {
        self.first.get_or_insert(at);
        let wanted = self.wanted.stand.bytes;
        let here = self.count + text.len() as u64;
        if self.by_count.is_none() && wanted <= here {
            self.cross((wanted - self.count) as usize, at, text);
        }
        let keep = self.wanted.complete.len() + self.wanted.rest.len();
        if self.recent.len() > 4 * keep + (64 << 10) {
            self.recent.drain(..self.recent.len() - keep - 1);
        }
        self.recent.extend_from_slice(text);
        self.count = here;
        self.lines += memchr::memchr_iter(b'\n', text).count() as u64;
        self.cursor = self.cursor.after(at);
        self.messages += 1;
        if at <= self.last() {
            self.by_time = self.cursor;
        }
        if text.ends_with(b"\n") && !self.wanted.complete.is_empty() {
            self.compare(at);
        }
    }

    /// The place by count is within this message.
    fn cross(&mut self, offset: usize, at: Nanos, text: &[u8]) {
        let (head, rest) = text.split_at(offset);
        self.recent.extend_from_slice(head);
        let lines = self.lines + memchr::memchr_iter(b'\n', head).count() as u64;
        let agrees = self.wanted.tail_ends(0, &self.recent) && lines == self.wanted.stand.lines;
        self.recent.truncate(self.recent.len() - offset);
        let spot = if rest.is_empty() {
            Spot { cursor: self.cursor.after(at), messages: self.messages + 1, ..Spot::START }
        } else {
            let messages = self.messages;
            Spot { cursor: self.cursor, skip: offset as u64, expect: head.to_vec(), counts: None, messages }
        };
        self.by_count = Some((spot, agrees));
    }

    fn compare(&mut self, at: Nanos) {
        let complete = &self.wanted.complete;
        let timely = at <= self.last().saturating_add(LAG);
        let hits = if ends_with_lines(&self.recent, complete) {
            &mut self.hits
        } else if self.count < complete.len() as u64 && ends_with_lines(complete, &self.recent) {
            &mut self.cut_hits
        } else {
            return;
        };
        let hit = Hit { cursor: self.cursor, messages: self.messages, count: self.count, lines: self.lines };
        hits.number += 1;
        let expected = self.wanted.stand.bytes - self.wanted.rest.len() as u64;
        let far = |hit: &Hit| hit.count.abs_diff(expected);
        if hits.nearest.as_ref().is_none_or(|nearest| far(&hit) < far(nearest)) {
            hits.nearest = Some(hit);
        }
        if timely {
            hits.timely_number += 1;
            hits.timely = Some(hit);
        }
    }

    fn spot(&self, hit: Hit, rebase: bool) -> Spot {
        let skip = self.wanted.rest.len() as u64;
        Spot {
            cursor: hit.cursor,
            skip,
            expect: self.wanted.rest.clone(),
            counts: rebase.then_some((hit.count + skip, hit.lines)),
            messages: hit.messages,
        }
    }

    /// The place, after a look at what was logged shortly before the last delivery and
    /// after it. `stale` says that the channel's own last delivery was long before, so
    /// that none of it should be here. `None` if that does not tell.
    pub fn by_content(&self, stale: bool) -> Option<Spot> {
        if self.wanted.stand.bytes == 0 {
            return Some(Spot::START);
        }
        match (self.hits.number + self.cut_hits.number, stale) {
            (1, false) => self.hits.nearest.or(self.cut_hits.nearest).map(|hit| self.spot(hit, false)),
            // A line left unfinished long ago has gone on since, or will: then the beginning
            // of its message stands here although most of it is old.
            (0, true) => {
                let expect = self.wanted.rest.clone();
                Some(Spot { skip: expect.len() as u64, expect, ..Spot::START })
            }
            _ => None,
        }
    }

    /// The place, if telling lines (see [`Wanted::is_telling`]) stand here in full, and once.
    pub fn by_telling_content(&self) -> Option<Spot> {
        match (self.hits.number, self.cut_hits.number) {
            (1, 0) => self.hits.nearest.map(|hit| self.spot(hit, false)),
            _ => None,
        }
    }

    /// The place after all of the log was read, and what is not certain about it. `whole`
    /// says that the log still begins where the attempt began, `anchored` that what was
    /// counted is true since then.
    pub fn by_count(mut self, whole: bool, anchored: bool) -> (Spot, Option<Gap>) {
        if self.by_count.is_none() {
            // Less is logged than was delivered: an unfinished line, or what is on its way.
            let skip = self.wanted.stand.bytes - self.count;
            let agrees = self.wanted.tail_ends(usize::try_from(skip).unwrap_or(usize::MAX), &self.recent);
            let mut expect = self.wanted.complete.clone();
            expect.extend_from_slice(&self.wanted.rest);
            let surplus = expect.len().saturating_sub(usize::try_from(skip).unwrap_or(usize::MAX));
            expect.drain(..surplus);
            let (cursor, messages) = (self.cursor, self.messages);
            self.by_count = Some((Spot { cursor, skip, expect, counts: None, messages }, agrees));
        }
        if whole
            && anchored
            && let Some((spot, true)) = self.by_count
        {
            return (spot, None);
        }
        if self.wanted.stand.bytes == 0 {
            let gap = (!whole)
                .then(|| self.gap(true, "the engine's log was rotated: its beginning may be missing"));
            return (Spot::START, gap);
        }
        if whole {
            return match (self.hits.number, self.hits.nearest) {
                (_, None) => self.by_time(whole),
                (1, Some(hit)) => (self.spot(hit, whole), None),
                (_, Some(hit)) => (self.spot(hit, whole), Some(self.repeated())),
            };
        }
        // The lines themselves may have been rotated away, and the same ones written again
        // since. Those are stamped later, unless the log begins just there.
        let reaches_back = self.first.is_some_and(|first| first.saturating_add(2 * LAG) <= self.last());
        let hits = if self.hits.timely_number > 0 { &self.hits } else { &self.cut_hits };
        match (hits.timely_number, hits.timely) {
            (_, None) => self.by_time(whole),
            (1, Some(hit)) if reaches_back => (self.spot(hit, whole), None),
            (_, Some(hit)) => (self.spot(hit, whole), Some(self.repeated())),
        }
    }

    fn repeated(&self) -> Gap {
        self.gap(true, "where the last lines stand in the engine's log is not certain")
    }

    fn by_time(&self, whole: bool) -> (Spot, Option<Gap>) {
        let all_newer = self.by_time == Cursor::START;
        let gap = if all_newer && !whole {
            self.gap(false, "the engine's log no longer reaches back to the last lines")
        } else {
            self.gap(true, "the last lines are not in the engine's log")
        };
        (Spot { cursor: self.by_time, ..Spot::START }, Some(gap))
    }

    /// Never counted: a rotated log does not tell how much of the attempt came before it.
    fn gap(&self, uncertain: bool, reason: &str) -> Gap {
        let channel = Some(self.wanted.channel);
        Gap { channel, bytes: None, lines: None, uncertain, reason: reason.to_owned() }
    }
}

/// Whether `text` ends with `lines`, and they begin where one of its lines begins.
fn ends_with_lines(text: &[u8], lines: &[u8]) -> bool {
    text.strip_suffix(lines).is_some_and(|before| before.is_empty() || before.ends_with(b"\n"))
}

#[cfg(test)]
mod tests;
