//! Taking what the attach brings, and its end.

use std::time::Duration;

use manman_core::{
    clock::Timestamp,
    console::{Channel, EndCause},
    error::Chain,
};
use tokio::time::{Instant, sleep};

use super::{SOON, Splice, Stage};
use crate::console::{
    feed::{Close, Feed, Fresh},
    lane::Lane,
    outlet::Until,
    source::Life,
};

/// To the first reading of the log after a silent channel spoke: so long the log may take to
/// have it.
const FIRST: Duration = Duration::from_millis(20);

/// How long an attach that ended may be ahead of what an inspect shows.
const ENDING: Duration = Duration::from_secs(3);

impl Splice {
    pub(super) async fn fed(&mut self, fresh: Result<Fresh, Close>) {
        match fresh {
            Ok(fresh) => self.take(fresh),
            Err(close) => self.closed(close).await,
        }
    }

    /// Takes from the attach what is there, without waiting.
    pub(super) fn pump(&mut self) {
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

    pub(super) fn all_drained(&self) -> Timestamp {
        self.drained[0].min(self.drained[1])
    }

    /// The attach has ended: the container is over, or the engine is, or we let go.
    pub(super) async fn closed(&mut self, close: Close) {
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
}
