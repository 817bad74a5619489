//! Finding in the log the place to go on from.

use std::time::Duration;

use manman_core::{
    clock::Timestamp,
    console::{Channel, EndCause},
    error::Result,
};
use tokio::time::Instant;

use super::{DOUBTS, Splice, Stage, nanos};
use crate::console::{
    form::Form,
    lane::Lane,
    logs::Span,
    position::Place,
    seek::{Cursor, Seek, Spot, Wanted},
    stamp::Nanos,
};

/// How far back before the last delivery the log is searched first. An engine passes
/// output on and logs it within milliseconds; under load it may take longer.
const MARGIN: Duration = Duration::from_secs(2);

/// And how far where the last lines should be, if there were any shortly before: they
/// tell by themselves whether they are.
const CLOSE: Duration = Duration::from_millis(250);

/// So many messages at the log's end are read first, …
pub(super) const FEW: u32 = 2_000;
/// … and more, up to these, before all of them are.
pub(super) const MOST: u32 = 500_000;

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

impl Splice {
    /// Finds in the log where to go on.
    pub(super) async fn seek(&mut self, tails: [Vec<u8>; 2], trusting: bool) -> Result<()> {
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
        let (began, span) = (Instant::now(), (Nanos::MAX, Nanos::MIN));
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
                let (container, took) = (&self.source.container, began.elapsed());
                tracing::debug!(%container, ?last, read = scan.read, ?took, "the log was searched");
                return Ok(scan);
            }
        }
    }

    /// What to read of the log.
    pub(super) fn span(&self, channels: [bool; 2], last: Option<u32>) -> Span {
        Span { channels, last, may_go_back: self.failures >= DOUBTS }
    }
}
