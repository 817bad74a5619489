//! Finding in the log the place to go on from.

use std::time::Duration;

use manman_core::{
    clock::Timestamp,
    console::{Channel, EndCause},
    error::Result,
};
use tokio::time::Instant;

use super::{Splice, Stage, nanos};
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

/// The last lines are looked for in so many messages at the log's end, …
pub(super) const FEW: u32 = 2_000;
/// … then in these, before more is read. Reading from a moment on costs the engine a pass
/// over the whole log. As few are read later, unless more are expected to be new, …
pub(super) const RECENT: u32 = 20_000;
/// … up to these.
pub(super) const MOST: u32 = 500_000;

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
                self.scan(Span::default(), wanted).await?
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
        self.newest = Nanos::MIN;
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
            let from = Some(nanos(close.minus(CLOSE)));
            for last in [FEW, RECENT] {
                let (seeks, _) = self.scan(Span { from, last: Some(last) }, wanted.clone()).await?;
                for at in (0..2).filter(strong) {
                    if spots[at].is_none() {
                        spots[at] = seeks[at].by_telling_content();
                        self.expect(seeks[at].messages(), spots[at].as_ref());
                    }
                }
                if (0..2).filter(strong).all(|at| spots[at].is_some()) {
                    break;
                }
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
        let (seeks, _) = self.scan(Span { from: Some(nanos(from)), last: None }, wanted.clone()).await?;
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

    /// Reads the log from a moment on, looking for the places; also says how much space
    /// the engine needs for it at most.
    async fn scan(&mut self, span: Span, wanted: [Wanted; 2]) -> Result<([Seek; 2], u64)> {
        let mut seeks = wanted.map(Seek::new);
        let mut space = 0;
        let mut log = self.source.log([true; 2], span).await?;
        loop {
            let more = log.more().await?;
            while let Some(message) = log.next()? {
                space += self.source.retention.space(message.text);
                seeks[message.channel.index()].take(message.at, message.text);
            }
            self.pump();
            if !more {
                return Ok((seeks, space));
            }
        }
    }
}
