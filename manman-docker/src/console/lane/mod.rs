//! One channel on its way from the engine's log to the attach.

mod verdict;

use std::time::Instant;

use self::verdict::Candidate;
pub(super) use self::verdict::Verdict;
use super::{
    form::Form,
    seek::{Cursor, Spot},
    stamp::Nanos,
    window::Window,
};

/// An attach is hooked in after it was asked for. So much is allowed for two clocks that
/// are not quite one.
const SLACK: Nanos = 100_000_000;

/// The log is kept as far back as this even where the attach cannot have begun yet.
const RECENT: usize = 1 << 20;

/// What a channel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The log; where the attach begins is not known.
    Log,
    /// The log until it has reached what the attach still has; the attach begins here.
    Found(u64),
    /// The attach.
    Live,
}

/// What became of a message of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<'a> {
    /// It was delivered before.
    Old,
    /// This of it is new.
    New(&'a [u8]),
    /// It was thought to be delivered, but it is another one. All of it is new.
    Other(&'a [u8]),
}

/// One channel.
#[derive(Debug)]
pub(super) struct Lane {
    form: Form,
    phase: Phase,
    cursor: Cursor,
    skip: u64,
    expect: Vec<u8>,
    /// What was read of the log, counted since the attempt began.
    log: Window,
    /// What the attach brought, counted since it began, not yet shown.
    attach: Window,
    /// `attach.begin()`, in the form of the log.
    attach_begin: u64,
    changed: Instant,
    /// When all that `attach` begins with had surely come.
    begun: Instant,
    /// How much the attach had brought when the reading began.
    brought: u64,
    /// When the attach was asked for.
    asked: Nanos,
    /// No attach begins before this place of the log.
    earliest: u64,
    line: u64,
    /// Within one reading of the log.
    passed: bool,
    anchored: bool,
    at_cursor: u32,
    news: bool,
    candidate: Option<Candidate>,
    paused: Option<(u64, u64)>,
    nowhere: Option<Instant>,
    quiet: Option<Instant>,
}

impl Lane {
    /// A channel of an attach that was asked for at `asked`; the log is delivered from its
    /// beginning unless [`Lane::resume`] says otherwise.
    pub fn new(form: Form, asked: Nanos, now: Instant) -> Self {
        Self {
            form,
            phase: Phase::Log,
            cursor: Cursor::START,
            skip: 0,
            expect: Vec::new(),
            log: Window::default(),
            attach: Window::default(),
            attach_begin: 0,
            changed: now,
            begun: now,
            brought: 0,
            asked: asked.saturating_sub(SLACK),
            earliest: 0,
            line: 0,
            passed: false,
            anchored: false,
            at_cursor: 0,
            news: false,
            candidate: None,
            paused: None,
            nowhere: None,
            quiet: None,
        }
    }

    /// A channel whose attach shows all from the beginning, or whose log cannot be read.
    pub fn live(form: Form, now: Instant) -> Self {
        Self { phase: Phase::Live, ..Self::new(form, Nanos::MAX, now) }
    }

    /// Sets where delivery from the log goes on: at the end of `spot`, which is `bytes` from
    /// the attempt's beginning.
    pub fn resume(&mut self, spot: Spot, bytes: u64) {
        self.cursor = spot.cursor;
        self.skip = spot.skip;
        self.expect = spot.expect;
        self.log = Window::from(bytes.saturating_sub(spot.skip));
        self.earliest = bytes;
        self.line = self.log.end();
    }

    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Whether the attach brought anything that is not shown yet.
    pub fn holds_back(&self) -> bool {
        self.attach.end() > 0
    }

    /// Keeps what the attach brought while the log is shown.
    pub fn hold(&mut self, bytes: &[u8], now: Instant) {
        let (begin, first) = (self.attach.begin(), self.attach.end() == 0);
        if self.form == Form::Bytes {
            self.attach.push(bytes);
            self.attach_begin = self.attach.begin();
        } else {
            let before = self.attach_begin + self.form.length(self.attach.bytes()) as u64;
            let here = self.form.length(bytes) as u64;
            self.attach.push(bytes);
            if self.attach.begin() != begin {
                self.attach_begin = before + here - self.form.length(self.attach.bytes()) as u64;
            }
        }
        if first || self.attach.begin() != begin {
            self.begun = now;
        }
        self.changed = now;
        self.quiet = None;
    }

    /// Begins to read the log anew.
    pub fn begin_reading(&mut self) {
        self.passed = false;
        self.anchored = false;
        self.at_cursor = 0;
        self.news = false;
        self.brought = self.attach.end();
    }

    /// Takes the next message of a reading.
    pub fn take<'a>(&mut self, at: Nanos, text: &'a [u8]) -> Taken<'a> {
        if self.is_old(at) {
            return Taken::Old;
        }
        self.news = true;
        self.cursor = self.cursor.after(at);
        if at < self.asked {
            // Logged before the attach was asked for. Of a line in several messages, which
            // all have the first one's stamp, only the beginning surely was.
            let cut = !text.ends_with(b"\n") || self.line < self.log.end();
            self.earliest =
                self.earliest.max(if cut { self.line } else { self.log.end() + text.len() as u64 });
        }
        self.log.push(text);
        if text.ends_with(b"\n") {
            self.line = self.log.end();
        }
        let beginning = self.earliest.saturating_sub(self.log.begin());
        if beginning > 2 * RECENT as u64 {
            self.log.forget(self.log.bytes().len() - beginning as usize + RECENT);
        }
        self.skip(text)
    }

    /// Whether a message is known that stands in the log before all that is new.
    pub fn has_anchor(&self) -> bool {
        self.cursor.nth > 0
    }

    /// Whether a message with this stamp is new although the last one before it was not
    /// seen: something may be missing between.
    pub fn would_jump(&self, at: Nanos) -> bool {
        !self.passed && at > self.cursor.at
    }

    /// Whether the last message that was taken before this reading stands in it.
    pub fn saw_anchor(&self) -> bool {
        self.anchored
    }

    /// The engine's `since` includes its moment, and stamps of one channel only rise: what
    /// stands before the cursor was taken. After it, the order counts and not the clock.
    fn is_old(&mut self, at: Nanos) -> bool {
        if self.passed || at > self.cursor.at {
            self.passed = true;
            return false;
        }
        if at < self.cursor.at {
            return true;
        }
        self.at_cursor += 1;
        self.passed = self.at_cursor >= self.cursor.nth;
        self.anchored |= self.at_cursor == self.cursor.nth;
        self.at_cursor <= self.cursor.nth
    }

    fn skip<'a>(&mut self, text: &'a [u8]) -> Taken<'a> {
        if self.skip == 0 {
            return Taken::New(text);
        }
        let here = text.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        // The bytes that are known are the last ones of those that are skipped.
        let unknown = usize::try_from(self.skip).unwrap_or(usize::MAX) - self.expect.len();
        let compare = here.saturating_sub(unknown);
        if text[here - compare..here] != self.expect[..compare] {
            (self.skip, self.expect) = (0, Vec::new());
            return Taken::Other(text);
        }
        self.skip -= here as u64;
        self.expect.drain(..compare);
        if here == text.len() { Taken::Old } else { Taken::New(&text[here..]) }
    }

    /// Whether the log has reached what the attach still has.
    fn reaches(&self) -> bool {
        matches!(self.phase, Phase::Found(begin) if self.log.end() >= begin + self.attach_begin)
    }

    /// Whether only the log can help this channel on.
    pub fn needs_log(&self) -> bool {
        match self.phase {
            Phase::Log => true,
            Phase::Found(_) => !self.reaches(),
            Phase::Live => false,
        }
    }

    /// Turns to the attach if that is possible now: returns what it has beyond the log.
    pub fn turn(&mut self) -> Option<Vec<u8>> {
        let Phase::Found(begin) = self.phase else { return None };
        let shown = self.log.end().checked_sub(begin + self.attach_begin)?;
        let shown = self.form.prefix(self.attach.bytes(), usize::try_from(shown).ok()?)?;
        let rest = self.attach.bytes()[shown..].to_vec();
        self.let_go();
        Some(rest)
    }

    /// All that the attach has, after [`Verdict::Lost`].
    pub fn surrender(&mut self) -> Vec<u8> {
        let rest = self.attach.bytes().to_vec();
        self.let_go();
        rest
    }

    fn let_go(&mut self) {
        self.phase = Phase::Live;
        self.log = Window::default();
        self.attach = Window::default();
        self.expect = Vec::new();
    }
}

#[cfg(test)]
mod tests;
