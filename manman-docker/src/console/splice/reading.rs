//! One reading of the log, and the text it has new.

use std::time::Duration;

use manman_core::{
    clock::Timestamp,
    console::{Channel, EndCause},
    error::{Error, ErrorKind, Result},
};
use tokio::time::Instant;

use super::{
    DOUBTS, SOON, Splice, Stage,
    find::{FEW, MOST},
    gap,
};
use crate::console::{
    lane::{Taken, Verdict},
    lines::{Lines, Scratch},
    logs::{DISORDER, LogRead},
    outlet::Until,
    stamp::Nanos,
};

/// From one reading of the log to the next at most so long.
const LATE: Duration = Duration::from_secs(1);

/// Where the last messages do not reach far enough back, so many times as many are read.
const MORE: u32 = 8;

/// The log's messages are handed out in batches of about this size.
const BATCH: usize = 32 << 10;

/// One reading of the log.
#[derive(Debug)]
pub(super) struct Reading {
    log: LogRead,
    channels: [bool; 2],
    /// So many messages at most; all of them if nothing is said.
    last: Option<u32>,
    /// New ones.
    messages: u32,
    began: Instant,
    began_at: Timestamp,
    /// The newest stamp of each channel.
    newest: [Nanos; 2],
    lines: Lines,
    scratch: Scratch,
    staged: Staged,
}

/// New text of the log, not yet cut into pieces.
#[derive(Debug, Default)]
struct Staged {
    text: Vec<u8>,
    /// Its channels, and where each stretch ends.
    stretches: Vec<(Channel, usize)>,
}

impl Splice {
    pub(super) async fn begin_reading(&mut self) -> Result<Reading> {
        let mut channels = [false; 2];
        let mut anchored = true;
        for channel in Channel::BOTH {
            let lane = &mut self.lanes[channel.index()];
            lane.begin_reading();
            if !lane.is_live() && !self.rests[channel.index()] {
                channels[channel.index()] = true;
                anchored &= lane.has_anchor();
            }
        }
        let (began, began_at) = (Instant::now(), self.clock.now());
        let last = (anchored || self.continuous).then_some(self.recent);
        Ok(Reading {
            log: self.source.log(self.span(channels, last)).await?,
            channels,
            last,
            messages: 0,
            began,
            began_at,
            newest: [Nanos::MIN; 2],
            lines: Lines::default(),
            scratch: Scratch::default(),
            staged: Staged::default(),
        })
    }

    /// Reads on; `false` at the end.
    pub(super) async fn read(&mut self, reading: &mut Reading) -> Result<bool> {
        let more = reading.log.more().await?;
        let channels = reading.channels;
        let mut wider = false;
        while let Some(message) = reading.log.next()? {
            let channel = message.channel;
            let lane = &self.lanes[channel.index()];
            if lane.would_jump(message.at) && !self.follows_on(channels) {
                if reading.last.is_some() {
                    wider = true;
                    break;
                }
                if lane.has_anchor() && self.failures < DOUBTS {
                    let forgot = "the engine's log does not show what it showed before";
                    return Err(Error::new(ErrorKind::Unavailable, "console log", forgot));
                }
                if lane.has_anchor() {
                    self.outlet.place_mut().anchored = false;
                    self.outlet
                        .gap(gap(Some(channel), "the engine's log was rotated faster than it was read"));
                }
            }
            let newest = &mut reading.newest[channel.index()];
            *newest = message.at.max(*newest);
            let text = match self.lanes[channel.index()].take(message.at, message.text) {
                Taken::Old => continue,
                Taken::New(text) => text,
                Taken::Other(text) => {
                    self.outlet.place_mut().anchored = false;
                    self.outlet.gap(gap(Some(channel), "the engine has not logged what it had passed on"));
                    text
                }
            };
            reading.messages += 1;
            reading.staged.push(channel, text);
        }
        if reading.staged.text.len() >= BATCH {
            self.hand_out(reading, false);
        }
        self.pump();
        wider |= !more && !self.is_covered(channels);
        if wider && let Some(last) = reading.last {
            for lane in &mut self.lanes {
                lane.begin_reading();
            }
            reading.last = Some(last.saturating_mul(MORE)).filter(|&last| last <= MOST);
            reading.log = self.source.log(self.span(channels, reading.last)).await?;
            return Ok(true);
        }
        Ok(more)
    }

    /// Whether a reading of the last messages has begun before the end of the one before
    /// it. The log only grows at its end, so whatever stands between was read then.
    fn follows_on(&self, channels: [bool; 2]) -> bool {
        self.continuous && self.lanes.iter().zip(channels).any(|(lane, read)| read && lane.saw_anchor())
    }

    /// Whether a reading has all that is new on its channels.
    fn is_covered(&self, channels: [bool; 2]) -> bool {
        self.follows_on(channels)
            || self.lanes.iter().zip(channels).all(|(lane, read)| !read || lane.saw_anchor())
    }

    pub(super) fn hand_out(&mut self, reading: &mut Reading, all: bool) {
        let newest = reading.newest.map(|newest| Timestamp::from_micros(newest / 1_000));
        self.drained_by_log(newest[0].max(newest[1]).minus(Duration::from_nanos(DISORDER.unsigned_abs())));
        let (now, until) =
            (self.clock.now(), Until { last: newest, since: newest, drained: self.all_drained() });
        let mut cut = reading.lines.begin(reading.staged.text.len());
        let mut from = 0;
        for (channel, end) in reading.staged.stretches.drain(..) {
            cut.append(channel, &reading.staged.text[from..end]);
            from = end;
        }
        let pieces = cut.finish(&mut reading.scratch);
        reading.staged.text.clear();
        let rest = all.then(|| reading.lines.flush(reading.lines.waiting(), &mut reading.scratch)).flatten();
        for pieces in [pieces, rest].into_iter().flatten() {
            self.outlet.pieces(pieces, now, until);
        }
    }

    fn drained_by_log(&mut self, until: Timestamp) {
        for channel in Channel::BOTH {
            let at = channel.index();
            if !self.lanes[at].is_live() && !self.rests[at] {
                self.drained[at] = self.drained[at].max(until);
            }
        }
    }

    pub(super) async fn end_reading(&mut self, reading: &mut Reading) {
        let (container, took) = (&self.source.container, reading.began.elapsed());
        tracing::debug!(%container, last = ?reading.last, new = reading.messages, ?took, "the log was read");
        self.hand_out(reading, true);
        self.failures = 0;
        self.recent = reading.messages.saturating_mul(2).clamp(FEW, MOST);
        self.continuous = true;
        if self.over {
            // What is not read twice in a row is not there.
            if reading.messages > 0 {
                self.stage = Stage::Pause(Instant::now());
            } else {
                self.end(EndCause::Ended);
            }
            return;
        }
        self.pump();
        self.drained_by_log(reading.began_at);
        let now = std::time::Instant::now();
        let mut again = false;
        for channel in Channel::BOTH {
            if self.lanes[channel.index()].is_live() || self.rests[channel.index()] {
                continue;
            }
            let lane = &mut self.lanes[channel.index()];
            let shown = match lane.end_reading(reading.began.into_std(), now) {
                Verdict::Again => {
                    again = true;
                    None
                }
                Verdict::Rest => {
                    self.rests[channel.index()] = true;
                    lane.turn()
                }
                Verdict::Lost => Some(self.give_up(channel)),
            };
            if let Some(shown) = shown {
                self.show_held(channel, &shown);
            }
        }
        if again {
            self.stage = Stage::Pause(Instant::now() + self.wait);
            self.wait = if reading.messages > 0 { SOON } else { (self.wait * 2).min(LATE) };
        } else {
            self.wait = SOON;
            self.stage = Stage::Live;
        }
    }
}

impl Staged {
    fn push(&mut self, channel: Channel, text: &[u8]) {
        self.text.extend_from_slice(text);
        match self.stretches.last_mut() {
            Some((last, end)) if *last == channel => *end = self.text.len(),
            _ => self.stretches.push((channel, self.text.len())),
        }
    }
}
