//! Following a console: from the engine's log to the attach, and to its end.
//!
//! ```text
//!   Seek ──► Reading ◄──► Pause ──► Live ──► (container over) ──► Seek ──► Reading ──► Over
//! ```
//!
//! All of it happens when the follower asks for more: there is no task to leak. The
//! attach is read by the [`Reader`](super::reader::Reader) all the while.

mod attached;
mod find;
mod reading;

use std::{sync::Arc, time::Duration};

use manman_core::{
    clock::{Clock, Timestamp},
    console::{Channel, EndCause, Gap, Output},
    error::{Chain, Error, Result},
};
use tokio::time::{Instant, sleep, timeout_at};

use self::{find::FEW, reading::Reading};
use super::{
    feed::{Close, Feed},
    form::Form,
    lane::Lane,
    outlet::{Outlet, Until},
    source::Source,
    stamp::Nanos,
};

/// From one reading of the log to the next, or from one look at the engine.
const SOON: Duration = Duration::from_millis(50);

/// So often a reading may fail in a row …
const FAILURES: u32 = 5;
/// … the first of them also because the log seems to go back, or to have forgotten what was
/// read a moment ago: another look may show that it was the engine's mistake.
const DOUBTS: u32 = 3;

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

/// What is missing, which is never counted: behind the gap there is only a log that does not
/// tell how much was rotated away before its first line, or an attach that begins at a place
/// that nobody tells.
fn gap(channel: Option<Channel>, reason: &str) -> Gap {
    Gap { channel, bytes: None, lines: None, uncertain: true, reason: reason.to_owned() }
}

fn nanos(at: Timestamp) -> Nanos {
    at.as_micros().saturating_mul(1_000)
}
