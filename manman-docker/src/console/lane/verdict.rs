//! What a reading of the log tells: whether and where the attach begins in it.

use std::time::{Duration, Instant};

use super::{Lane, Phase};
use crate::console::{
    join::{Fit, alike, fit},
    stamp::Nanos,
    window::Window,
};

/// A place found is believed when the log confirms it so much later.
const CONFIRM: Duration = Duration::from_millis(50);

/// A pause so long lets log and attach come to the same end.
const PAUSE: Duration = Duration::from_millis(100);

/// A log that has shown nothing new for so long, with nothing from the attach, is at its end.
const SETTLE: Duration = Duration::from_millis(200);

/// The engine holds less than this of a channel that the attach has and the log has not: its
/// writer waits beyond 1 MB (`BytesPipe.Write`), and so does the game.
const UNLOGGED: u64 = 2 << 20;

/// When no place fits for so long, the clocks are no longer trusted …
const DOUBT: Duration = Duration::from_secs(2);
/// … and after so long, the log is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a reading of the log has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) enum Verdict {
    /// The log has to be read again.
    Again,
    /// There is no need to before the attach brings something.
    Rest,
    /// The attach fits nowhere. It is followed from what it still has on.
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    begin: u64,
    since: Instant,
    /// Up to here, the log has to agree with what the attach had when this was found.
    until: u64,
}

impl Lane {
    /// Judges a reading that began at `began` and is complete. What the attach brought
    /// until now has been handed over.
    pub fn end_reading(&mut self, began: Instant, now: Instant) -> Verdict {
        match self.phase {
            Phase::Live => return Verdict::Rest,
            Phase::Found(_) if self.reaches() => return Verdict::Rest,
            Phase::Found(_) => return Verdict::Again,
            Phase::Log => {}
        }
        if self.news {
            self.quiet = None;
        }
        if !self.holds_back() {
            let quiet = *self.quiet.get_or_insert(began);
            return if !self.news && now >= quiet + SETTLE { Verdict::Rest } else { Verdict::Again };
        }
        let window = std::mem::take(&mut self.attach);
        let verdict = self.compare(&window, began, now);
        self.attach = window;
        match verdict {
            Verdict::Rest if matches!(self.phase, Phase::Found(_)) && !self.reaches() => Verdict::Again,
            verdict => verdict,
        }
    }

    fn compare(&mut self, window: &Window, began: Instant, now: Instant) -> Verdict {
        let attach = self.form.of(window.bytes());
        let whole_lines = memchr::memrchr(b'\n', &attach).map_or(0, |at| at as u64 + 1);
        if whole_lines == 0 {
            // A prompt: the log will show it with the rest of its line.
            let quiet = *self.quiet.get_or_insert(began);
            return if now >= quiet + SETTLE { Verdict::Rest } else { Verdict::Again };
        }
        let from = (self.earliest + self.attach_begin).max(self.log.begin());
        let fit = self.log.since(from).map_or(Fit::Nowhere, |log| fit(&attach, log));
        let (begin, missed) = match fit {
            // What is left of the attach surely begins in this log, and nowhere else.
            Fit::At(at) if self.brought.saturating_sub(window.begin()) >= UNLOGGED => {
                ((from + at as u64).checked_sub(self.attach_begin), false)
            }
            Fit::At(at) => (self.confirm(from + at as u64, whole_lines, now), false),
            // A reading shows what was logged when it began.
            Fit::Nowhere => (None, began >= self.begun),
            Fit::Short | Fit::Several => {
                self.candidate = None;
                (None, false)
            }
        };
        let (begin, missed) = match begin {
            Some(begin) => (Some(begin), false),
            None => match self.pause(&attach, window.end(), whole_lines, began) {
                Some(Ok(begin)) => (Some(begin), false),
                Some(Err(())) => (None, true),
                None => (None, missed),
            },
        };
        if let Some(begin) = begin {
            self.phase = Phase::Found(begin);
            return Verdict::Rest;
        }
        if !missed {
            self.nowhere = None;
            return Verdict::Again;
        }
        let nowhere = *self.nowhere.get_or_insert(began);
        if now >= nowhere + PATIENCE {
            self.phase = Phase::Live;
            return Verdict::Lost;
        }
        if now >= nowhere + DOUBT {
            self.earliest = self.earliest.min(self.log.begin());
            self.asked = Nanos::MIN;
        }
        Verdict::Again
    }

    /// A place where the attach would begin, `at` being where what is left of it stands.
    /// Returns it when it has stood the test.
    fn confirm(&mut self, at: u64, whole_lines: u64, now: Instant) -> Option<u64> {
        let begin = at.checked_sub(self.attach_begin)?;
        match self.candidate {
            Some(candidate) if candidate.begin == begin => {
                (now >= candidate.since + CONFIRM && self.log.end() >= candidate.until).then_some(begin)
            }
            _ => {
                self.candidate = Some(Candidate { begin, since: now, until: at + whole_lines });
                None
            }
        }
    }

    /// Where the attach begins if both have come to the same end: nothing came for a while
    /// before and during two readings. `None` if there was no such pause; `Err` if there
    /// was, and they do not agree.
    fn pause(
        &mut self,
        attach: &[u8],
        passed: u64,
        whole_lines: u64,
        began: Instant,
    ) -> Option<Result<u64, ()>> {
        let ends = (passed, self.log.end());
        let quiet = began >= self.changed + PAUSE && self.log.end() == self.line;
        let before = std::mem::replace(&mut self.paused, quiet.then_some(ends));
        if !quiet || before != Some(ends) {
            return None;
        }
        let begin = self.log.end().checked_sub(self.attach_begin + whole_lines);
        Some(begin.filter(|&begin| begin >= self.earliest).ok_or(()).and_then(|begin| {
            let from = (begin + self.attach_begin).max(self.log.begin());
            let skipped = usize::try_from(from - begin - self.attach_begin).map_err(|_| ())?;
            let log = self.log.since(from).ok_or(())?;
            let attach = attach.get(skipped..).ok_or(())?;
            if alike(attach, log) { Ok(begin) } else { Err(()) }
        }))
    }
}
