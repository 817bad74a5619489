//! Following a console: from the engine's log to the attach, and to its end.
//!
//! ```text
//!   Seek ──► Reading ◄──► Pause ──► Live ──► (container over) ──► Seek ──► Reading ──► Over
//! ```
//!
//! All of it happens when the follower asks for more: there is no task to leak. The
//! attach is read by the [`Reader`](super::reader::Reader) all the while.

use std::time::Duration;

use manman_core::{
    clock::{Clock, Timestamp},
    console::{Channel, EndCause, Gap, Output},
    error::{Chain, Error, ErrorKind, Result},
};
use std::sync::Arc;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    feed::{Close, Feed, Fresh},
    form::Form,
    lane::{Lane, Taken, Verdict},
    lines::{Lines, Scratch},
    logs::{DISORDER, LogRead, Span},
    outlet::{Outlet, Until},
    position::Place,
    seek::{Cursor, Seek, Spot, Wanted},
    source::{Life, Source},
    stamp::Nanos,
};

/// How far back before the last delivery the log is searched first. An engine passes
/// output on and logs it within milliseconds; under load it may take longer.
const MARGIN: Duration = Duration::from_secs(2);

/// And how far where the last lines should be, if there were any shortly before: they
/// tell by themselves whether they are.
const CLOSE: Duration = Duration::from_millis(250);

/// From one reading of the log to the next …
const SOON: Duration = Duration::from_millis(50);
/// … at most so long.
const LATE: Duration = Duration::from_secs(1);
/// To the first one after a silent channel spoke: so long the log may take to have it.
const FIRST: Duration = Duration::from_millis(20);

/// So often a reading may fail in a row …
const FAILURES: u32 = 5;
/// … the first of them also because the log seems to go back, or to have forgotten what was
/// read a moment ago: another look may show that it was the engine's mistake.
const DOUBTS: u32 = 3;

/// So many messages at the log's end are read first, …
const FEW: u32 = 2_000;
/// … then so many times as many, …
const MORE: u32 = 8;
/// … up to these, before all of them are.
const MOST: u32 = 500_000;

/// The log's messages are handed out in batches of about this size.
const BATCH: usize = 32 << 10;

/// How long an attach that ended may be ahead of what an inspect shows.
const ENDING: Duration = Duration::from_secs(3);

/// One console being followed.
#[derive(Debug)]
pub(super) struct Splice {
    source: Source,
    clock: Arc<dyn Clock>,
    outlet: Outlet,
    stage: Stage,
    lanes: [Lane; 2],
    /// Lanes whose log need not be read until their attach brings something.
    rests: [bool; 2],
    /// Until when all that was printed is handed out.
    drained: [Timestamp; 2],
    feed: Option<Feed>,
    /// How the attach ended, while the log is still being read.
    closing: Option<Close>,
    /// The log was read to its end, on all channels that are still read.
    continuous: bool,
    /// So many messages are read next.
    recent: u32,
    wait: Duration,
    failures: u32,
    /// The container is over: the log is all there is.
    over: bool,
}

#[derive(Debug)]
enum Stage {
    /// The place has to be found. `trusting`: the attach was followed to its end, so where
    /// the log does not tell, nothing is missing.
    Seek {
        tails: [Vec<u8>; 2],
        trusting: bool,
    },
    /// The log is read again then.
    Pause(Instant),
    Reading(Box<Reading>),
    /// The attach shows all that comes.
    Live,
    Over,
}

/// One reading of the log.
#[derive(Debug)]
struct Reading {
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

/// What a reading for the places has found.
#[derive(Debug)]
struct Scan {
    seeks: [Seek; 2],
    /// How much space the engine needs for what was searched, at most.
    space: u64,
    /// How many messages were read, …
    read: u64,
    /// … with stamps from here to there.
    span: (Nanos, Nanos),
}

/// New text of the log, not yet cut into pieces.
#[derive(Debug, Default)]
struct Staged {
    text: Vec<u8>,
    /// Its channels, and where each stretch ends.
    stretches: Vec<(Channel, usize)>,
}

impl Splice {
    /// A console whose attach shows all from the container's start on.
    pub fn from_start(source: Source, clock: Arc<dyn Clock>, outlet: Outlet, feed: Feed) -> Self {
        let form = source.retention.form.unwrap_or(Form::Bytes);
        let lanes = Channel::BOTH.map(|_| Lane::live(form, std::time::Instant::now()));
        Self::new(source, clock, outlet, Some(feed), lanes, Stage::Live)
    }

    /// A console that goes on where another one was left; the attach was asked for at
    /// `asked`. Without an attach, the container is over.
    pub fn resume(
        source: Source,
        clock: Arc<dyn Clock>,
        mut outlet: Outlet,
        attach: Option<(Feed, Timestamp)>,
        tails: [Vec<u8>; 2],
    ) -> Self {
        outlet.remember(&tails);
        let (feed, asked) = attach.unzip();
        let over = feed.is_none();
        let now = std::time::Instant::now();
        let asked = asked.map_or(Nanos::MAX, nanos);
        let mut splice = match source.retention.form {
            Some(form) => {
                let lanes = Channel::BOTH.map(|_| Lane::new(form, asked, now));
                Self::new(source, clock, outlet, feed, lanes, Stage::Seek { tails, trusting: false })
            }
            None => {
                outlet.place_mut().anchored = false;
                outlet.gap(gap(None, "the log driver cannot be read back"));
                if over {
                    outlet.end(EndCause::Ended);
                }
                let lanes = Channel::BOTH.map(|_| Lane::live(Form::Bytes, now));
                let stage = if over { Stage::Over } else { Stage::Live };
                Self::new(source, clock, outlet, feed, lanes, stage)
            }
        };
        splice.over = over;
        splice
    }

    fn new(
        source: Source,
        clock: Arc<dyn Clock>,
        outlet: Outlet,
        feed: Option<Feed>,
        lanes: [Lane; 2],
        stage: Stage,
    ) -> Self {
        let drained = [outlet.place().drained; 2];
        Self {
            source,
            clock,
            outlet,
            stage,
            lanes,
            rests: [false; 2],
            drained,
            feed,
            closing: None,
            continuous: false,
            recent: FEW,
            wait: SOON,
            failures: 0,
            over: false,
        }
    }

    /// What comes next; `None` after the end.
    pub async fn next(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outlet.take() {
                return Some(output);
            }
            if matches!(self.stage, Stage::Over) {
                return None;
            }
            match self.step().await {
                Ok(()) => {}
                Err(error) => self.failed(&error).await,
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.stage, Stage::Live) {
            Stage::Seek { tails, trusting } => {
                // Kept for when it fails.
                self.stage = Stage::Seek { tails: tails.clone(), trusting };
                self.seek(tails, trusting).await?;
            }
            Stage::Pause(due) => {
                if let Some(close) = self.closing.take() {
                    self.closed(close).await;
                    return Ok(());
                }
                self.stage = Stage::Pause(due);
                let fresh = match &mut self.feed {
                    Some(feed) => timeout_at(due, feed.next()).await.ok(),
                    None => {
                        tokio::time::sleep_until(due).await;
                        None
                    }
                };
                match fresh {
                    Some(fresh) => self.fed(fresh).await,
                    None => self.stage = Stage::Reading(Box::new(self.begin_reading().await?)),
                }
            }
            Stage::Reading(mut reading) => {
                // A failure finds the stage where it has to begin again.
                self.stage = Stage::Pause(Instant::now() + SOON);
                match self.read(&mut reading).await {
                    Ok(true) => self.stage = Stage::Reading(reading),
                    Ok(false) => self.end_reading(&mut reading).await,
                    Err(error) => {
                        self.hand_out(&mut reading, true);
                        return Err(error);
                    }
                }
            }
            Stage::Live => {
                if let Some(close) = self.closing.take() {
                    self.closed(close).await;
                    return Ok(());
                }
                match &mut self.feed {
                    Some(feed) => {
                        let fresh = feed.next().await;
                        self.fed(fresh).await;
                    }
                    // Nothing is left to wait for.
                    None => self.end(EndCause::Broken),
                }
            }
            Stage::Over => self.stage = Stage::Over,
        }
        Ok(())
    }

    fn end(&mut self, cause: EndCause) {
        self.outlet.end(cause);
        self.feed = None;
        self.stage = Stage::Over;
    }

    // ----- the attach

    async fn fed(&mut self, fresh: Result<Fresh, Close>) {
        match fresh {
            Ok(fresh) => self.take(fresh),
            Err(close) => self.closed(close).await,
        }
    }

    /// Takes from the attach what is there, without waiting.
    fn pump(&mut self) {
        while self.closing.is_none()
            && let Some(fresh) = self.feed.as_mut().and_then(Feed::try_next)
        {
            match fresh {
                Ok(fresh) => self.take(fresh),
                Err(close) => self.closing = Some(close),
            }
        }
    }

    fn take(&mut self, fresh: Fresh) {
        for channel in Channel::BOTH {
            let lane = &self.lanes[channel.index()];
            if lane.is_live() || (self.rests[channel.index()] && !lane.holds_back()) {
                self.drained[channel.index()] = fresh.drained;
            }
        }
        let until = Until { last: [fresh.read_at; 2], since: [fresh.since; 2], drained: self.all_drained() };
        if self.lanes.iter().all(Lane::is_live) {
            self.outlet.pieces(fresh.pieces, fresh.read_at, until);
            return;
        }
        let now = std::time::Instant::now();
        for (channel, stretch) in fresh.pieces.stretches() {
            let lane = &mut self.lanes[channel.index()];
            if lane.is_live() {
                self.outlet.bytes(channel, stretch, fresh.read_at, until);
                continue;
            }
            lane.hold(stretch, now);
            if let Some(rest) = lane.turn() {
                self.outlet.bytes(channel, &rest, fresh.read_at, until);
            } else if self.rests[channel.index()] && lane.needs_log() {
                self.rests[channel.index()] = false;
                self.continuous = false;
                self.wait = SOON;
                if matches!(self.stage, Stage::Live) {
                    self.stage = Stage::Pause(Instant::now() + FIRST);
                }
            }
        }
    }

    fn all_drained(&self) -> Timestamp {
        self.drained[0].min(self.drained[1])
    }

    /// The attach has ended: the container is over, or the engine is, or we let go.
    async fn closed(&mut self, close: Close) {
        self.feed = None;
        if close == Close::Overrun {
            self.end(EndCause::Overrun);
            return;
        }
        tracing::debug!(container = %self.source.container, "the attach has ended: {close:?}");
        let patience = Instant::now() + ENDING;
        let life = loop {
            match self.source.life().await {
                // It is shown as running for a moment longer, or somebody else let go of us.
                Ok(Life::Running) if close == Close::Eof && Instant::now() < patience => {
                    sleep(SOON).await;
                }
                life => break life,
            }
        };
        match life {
            Ok(Life::Over) if self.source.retention.form.is_none() => self.end(EndCause::Ended),
            Ok(Life::Over) => {
                let trusting = close == Close::Eof && self.lanes.iter().all(Lane::is_live);
                self.over = true;
                self.stage = Stage::Seek { tails: self.outlet.tails(), trusting };
            }
            Ok(_) => self.end(EndCause::Broken),
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the engine does not say why the attach ended");
                self.end(EndCause::Broken);
            }
        }
    }

    // ----- the log

    /// Finds in the log where to go on.
    async fn seek(&mut self, tails: [Vec<u8>; 2], trusting: bool) -> Result<()> {
        let form = self.source.retention.form.unwrap_or(Form::Bytes);
        let place = *self.outlet.place();
        let wanted = Channel::BOTH.map(|channel| {
            let tail = form.of(&tails[channel.index()]).into_owned();
            Wanted::new(channel, place.stands[channel.index()], tail)
        });
        self.recent = FEW;
        let begun = place.stands.iter().any(|stand| stand.bytes > 0);
        let mut spots = if begun { self.seek_content(&place, &wanted).await? } else { [None, None] };
        let mut gaps = Vec::new();
        if spots.iter().any(Option::is_none) {
            let needs_scan = begun || !self.source.retention.is_whole(u64::MAX);
            let (seeks, space) = if needs_scan {
                self.scan(None, None, wanted).await.map(|scan| (scan.seeks, scan.space))?
            } else {
                (wanted.map(Seek::new), 0)
            };
            let whole = self.source.retention.is_whole(space);
            for (spot, seek) in spots.iter_mut().zip(seeks).filter(|(spot, _)| spot.is_none()) {
                let messages = seek.messages();
                let (found, gap) = seek.by_count(whole, place.anchored);
                self.expect(messages, Some(&found));
                *spot = Some(found);
                gaps.extend(gap);
            }
            self.outlet.place_mut().anchored = if gaps.is_empty() { place.anchored || whole } else { false };
        }
        if trusting && !gaps.is_empty() {
            self.end(EndCause::Ended);
            return Ok(());
        }
        let now = std::time::Instant::now();
        for (channel, spot) in Channel::BOTH.into_iter().zip(spots) {
            let Some(spot) = spot else { continue };
            let stand = &mut self.outlet.place_mut().stands[channel.index()];
            if let Some((bytes, lines)) = spot.counts {
                (stand.bytes, stand.lines) = (bytes, lines);
            }
            let bytes = stand.bytes;
            if self.over {
                self.lanes[channel.index()] = Lane::new(form, Nanos::MAX, now);
            }
            self.lanes[channel.index()].resume(spot, bytes);
        }
        for gap in gaps {
            self.outlet.gap(gap);
        }
        self.rests = [false; 2];
        self.continuous = false;
        self.failures = 0;
        self.stage = Stage::Pause(Instant::now());
        Ok(())
    }

    /// Looks for the last lines, first just where they should be, then wider.
    async fn seek_content(&mut self, place: &Place, wanted: &[Wanted; 2]) -> Result<[Option<Spot>; 2]> {
        let mut spots = [None, None];
        let strong = |at: &usize| wanted[*at].is_telling();
        if let Some(close) = (0..2).filter(strong).map(|at| place.stands[at].since).min() {
            let from = nanos(close.minus(CLOSE));
            let mut last = Some(FEW);
            while let Some(few) = last {
                let Scan { seeks, read, span, .. } = self.scan(Some(from), last, wanted.clone()).await?;
                for at in (0..2).filter(strong) {
                    if spots[at].is_none() {
                        spots[at] = seeks[at].by_telling_content();
                        self.expect(seeks[at].messages(), spots[at].as_ref());
                    }
                }
                if (0..2).filter(strong).all(|at| spots[at].is_some()) {
                    break;
                }
                // At the same pace, so many reach back to it, and half as many again.
                let pace = read as f64 / (span.1 - span.0).max(1) as f64;
                let reach = ((span.1 - from).max(1) as f64 * pace * 1.5) as u32;
                last = Some(reach.max(few.saturating_mul(2))).filter(|&last| last <= MOST && span.0 > from);
            }
        }
        if spots.iter().all(Option::is_some) || place.drained == Timestamp::default() {
            return Ok(spots);
        }
        // Far enough back for the last lines of both channels, unless they are long gone by.
        let mut from = place.drained.minus(MARGIN);
        for stand in place.stands.iter().chain(&place.stands) {
            if stand.bytes > 0 && stand.last.plus(MARGIN) >= from {
                from = from.min(stand.since.minus(MARGIN));
            }
        }
        let Scan { seeks, .. } = self.scan(Some(nanos(from)), None, wanted.clone()).await?;
        for at in 0..2 {
            if spots[at].is_none() {
                let stale = place.stands[at].last.plus(MARGIN) < from;
                spots[at] = seeks[at].by_content(stale);
                self.expect(seeks[at].messages(), spots[at].as_ref());
                if let Some(spot) = &mut spots[at]
                    && spot.cursor == Cursor::START
                {
                    // Not to the log's beginning: to that of what was searched.
                    spot.cursor.at = nanos(from);
                }
            }
        }
        Ok(spots)
    }

    /// Has as many messages read next as will be new then.
    fn expect(&mut self, messages: u64, spot: Option<&Spot>) {
        let new = spot.map_or(0, |spot| messages - spot.messages);
        let new = u32::try_from(new).unwrap_or(MOST);
        self.recent = self.recent.saturating_add(new.saturating_mul(2)).min(MOST);
    }

    /// Reads the last messages or all of the log, looking for the places in what was logged
    /// at `from` and later.
    async fn scan(&mut self, from: Option<Nanos>, last: Option<u32>, wanted: [Wanted; 2]) -> Result<Scan> {
        let begun = Instant::now();
        let span = (Nanos::MAX, Nanos::MIN);
        let mut scan = Scan { seeks: wanted.map(Seek::new), space: 0, read: 0, span };
        let mut log = self.source.log(self.span([true; 2], last)).await?;
        loop {
            let more = log.more().await?;
            while let Some(message) = log.next()? {
                scan.read += 1;
                scan.span = (scan.span.0.min(message.at), scan.span.1.max(message.at));
                if from.is_none_or(|from| message.at >= from) {
                    scan.space += self.source.retention.space(message.text);
                    scan.seeks[message.channel.index()].take(message.at, message.text);
                }
            }
            self.pump();
            if !more {
                tracing::debug!(container = %self.source.container, ?last, read = scan.read, took = ?begun.elapsed(), "searched the log");
                return Ok(scan);
            }
        }
    }

    fn span(&self, channels: [bool; 2], last: Option<u32>) -> Span {
        Span { channels, last, may_go_back: self.failures >= DOUBTS }
    }

    async fn begin_reading(&mut self) -> Result<Reading> {
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
    async fn read(&mut self, reading: &mut Reading) -> Result<bool> {
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
            tracing::debug!(container = %self.source.container, last, took = ?reading.began.elapsed(), "not far enough back");
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

    fn hand_out(&mut self, reading: &mut Reading, all: bool) {
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

    async fn end_reading(&mut self, reading: &mut Reading) {
        tracing::debug!(container = %self.source.container, last = ?reading.last, new = reading.messages, took = ?reading.began.elapsed(), "read the log");
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

    /// Shows what the attach brought while the log was shown.
    fn show_held(&mut self, channel: Channel, bytes: &[u8]) {
        let now = self.clock.now();
        let until = Until { last: [now; 2], since: self.drained, drained: self.all_drained() };
        self.outlet.bytes(channel, bytes, now, until);
    }

    /// Turns to the attach although nobody knows what is between it and the log.
    fn give_up(&mut self, channel: Channel) -> Vec<u8> {
        self.outlet.place_mut().anchored = false;
        self.outlet.gap(gap(Some(channel), "the engine's log does not show what the attach does"));
        self.lanes[channel.index()].surrender()
    }

    /// The log could not be read.
    async fn failed(&mut self, error: &Error) {
        self.failures += 1;
        tracing::debug!(container = %self.source.container, error = %Chain(error), "console log, try {}", self.failures);
        if self.failures < FAILURES {
            sleep(SOON * self.failures).await;
            return;
        }
        tracing::warn!(container = %self.source.container, error = %Chain(error), "the engine's log cannot be read");
        if self.source.life().await.is_err() {
            self.end(EndCause::Broken);
            return;
        }
        // The engine is well, its log is not: better the attach than nothing.
        for channel in Channel::BOTH {
            if !self.lanes[channel.index()].is_live() {
                let shown = self.give_up(channel);
                self.show_held(channel, &shown);
            }
        }
        if self.over {
            self.end(EndCause::Ended);
        } else {
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

fn gap(channel: Option<Channel>, reason: &str) -> Gap {
    Gap { channel, bytes: None, lines: None, uncertain: true, reason: reason.to_owned() }
}

fn nanos(at: Timestamp) -> Nanos {
    at.as_micros().saturating_mul(1_000)
}
