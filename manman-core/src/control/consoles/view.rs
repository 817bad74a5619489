//! One viewer.

use std::{sync::Arc, time::Duration};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::{
    Inner, OPERATION,
    asker::Asker,
    ears::{Heed, Opened},
};
use crate::{
    console::Gap,
    error::{Error, ErrorKind, Result},
    id::{ServerId, SessionId},
    retry::Backoff,
    viewing::{Begin, Shown},
};

/// How long a host keeps the question of one who follows, while there is nothing to show.
const KEPT: Duration = Duration::from_secs(5);

/// How long it keeps that of one who does not: there is something, or it is over.
const READ: Duration = Duration::from_secs(1);

/// How long a host that does not answer is waited for by who does not follow.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who views a console on another machine.
pub(super) struct View {
    asker: Asker,
    /// From where on to ask.
    begin: Begin,
    follow: bool,
    /// Where one who does not follow stops.
    until: Option<u64>,
    /// Of which attempt it was shown something last.
    attempt: u32,
    /// What was told at the beginning, and is not shown yet.
    first: Vec<Shown>,
    ended: bool,
    /// When it was answered last.
    heard_at: Instant,
    /// Whether it was said that the host does not answer.
    missed: bool,
    backoff: Backoff,
}

impl View {
    pub fn new(inner: Arc<Inner>, session: SessionId, server: ServerId, begin: Begin, follow: bool) -> Self {
        let backoff = inner.config.backoff();
        Self {
            asker: Asker::new(inner, session, server),
            begin,
            follow,
            until: None,
            attempt: 0,
            first: Vec::new(),
            ended: false,
            heard_at: Instant::now(),
            missed: false,
            backoff,
        }
    }

    /// Asks for the first time, until there is an answer; one who follows waits for it
    /// elsewhere if it takes long.
    pub async fn begin(&mut self) -> Result<()> {
        let failed = |kind, message| Err(Error::new(kind, OPERATION, message));
        // The host says at once whether there is anything.
        let wait = if self.follow { Duration::ZERO } else { READ };
        loop {
            let (asked, mut why) = (Instant::now(), None);
            match self.asker.ask(self.begin, self.follow, wait).await {
                Some(Heed::Shown(page)) => match self.take(page) {
                    Some(items) => {
                        self.first = items;
                        return Ok(());
                    }
                    None => why = Some("what it says cannot be read".to_owned()),
                },
                Some(Heed::NotFound) => {
                    let (session, server) = (self.asker.session, self.asker.server);
                    let message = format!("nothing is kept of session {session} on server {server}");
                    return failed(ErrorKind::NotFound, message);
                }
                Some(Heed::Failed(message)) => why = Some(message),
                Some(Heed::Busy) => why = Some("too many view consoles of its server at once".to_owned()),
                None => {}
            }
            if self.heard_at.elapsed() >= PATIENCE || (why.is_some() && self.asker.question > 3) {
                return match why {
                    Some(why) => failed(ErrorKind::Unavailable, why),
                    None if self.follow => Ok(()),
                    None => failed(ErrorKind::Unavailable, self.asker.silent().await),
                };
            }
            self.pause(asked).await;
        }
    }

    /// What it is shown.
    pub fn shown(self) -> BoxStream<'static, Shown> {
        let shown = stream::unfold(self, async |mut view| {
            let items = view.next().await?;
            Some((stream::iter(items), view))
        });
        shown.flatten().boxed()
    }

    async fn next(&mut self) -> Option<Vec<Shown>> {
        // Who did not read for long waits from now on.
        let began = Instant::now();
        loop {
            if !self.first.is_empty() {
                return Some(std::mem::take(&mut self.first));
            }
            if self.ended {
                return None;
            }
            let asked = Instant::now();
            let wait = if self.follow { KEPT } else { READ };
            let why = match self.asker.ask(self.begin, self.follow, wait).await {
                Some(Heed::Shown(page)) => match self.take(page) {
                    Some(items) => {
                        // A host that waits less than it was asked to is not asked the faster.
                        if items.is_empty() && !self.ended && asked.elapsed() < wait {
                            sleep(self.backoff.delay()).await;
                        }
                        self.first = items;
                        continue;
                    }
                    None => "what it says cannot be read".to_owned(),
                },
                Some(Heed::NotFound) => {
                    if !self.follow || self.asker.is_over().await {
                        self.ended = true;
                        return self.missing().map(|gap| vec![gap]);
                    }
                    self.heard_at = Instant::now();
                    "nothing is kept there yet".to_owned()
                }
                Some(Heed::Failed(why)) => why,
                Some(Heed::Busy) => "too many view consoles of its server at once".to_owned(),
                None => String::new(),
            };
            debug!(session.id = %self.asker.session, "a page of a console did not come, will ask again: {why}");
            if self.heard_at.max(began).elapsed() >= PATIENCE && !std::mem::replace(&mut self.missed, true) {
                let why = if why.is_empty() { self.asker.silent().await } else { why };
                info!(session.id = %self.asker.session, "a console cannot be shown for now: {why}");
                if let (false, Some(until), Some(at)) = (self.follow, self.until, self.at()) {
                    self.ended = true;
                    // For this viewer alone: it is there, and may be asked for again.
                    return Some(vec![Shown::Lagged(until.saturating_sub(at))]);
                }
            }
            self.pause(asked).await;
        }
    }

    /// Waits before it asks again, unless it has waited for an answer.
    async fn pause(&mut self, asked: Instant) {
        if asked.elapsed() < Asker::GRACE {
            sleep(self.backoff.delay()).await;
        }
    }

    /// Stands for what was kept after the last page, and is not any more.
    fn missing(&self) -> Option<Shown> {
        let sequence = self.at().filter(|at| *at > 1 && self.until.is_some())?;
        let lines = self.until.filter(|_| !self.follow).map(|until| until.saturating_sub(sequence));
        let reason = "what was kept of this console is not there any more".to_owned();
        let gap = Gap { channel: None, bytes: None, lines, uncertain: true, reason };
        Some(Shown::Gap { sequence, attempt: self.attempt, gap })
    }

    /// The number on which it stands, once it has been answered.
    fn at(&self) -> Option<u64> {
        match self.begin {
            Begin::At(number) => Some(number),
            Begin::Last(_) => None,
        }
    }

    /// Takes a page: what of it is to be shown, or `None` if it goes back.
    fn take(&mut self, page: Opened) -> Option<Vec<Shown>> {
        let going_on = self.until.is_some();
        let at = self.at().unwrap_or(page.from);
        if page.from < at {
            return None;
        }
        let mut shown = Vec::with_capacity(page.items.len() + 1);
        if going_on && page.from > at {
            // It was let go of since the last page.
            shown.push(Shown::Lagged(page.from - at));
        }
        let until = *self.until.get_or_insert(page.until);
        for (item, next) in page.items {
            let first = match &item {
                Shown::Output { first, attempt, .. } => {
                    self.attempt = *attempt;
                    *first
                }
                Shown::Gap { sequence, attempt, .. } => {
                    self.attempt = *attempt;
                    *sequence
                }
                Shown::Lagged(passed) => next.saturating_sub(*passed),
            };
            if !self.follow && first >= until {
                break;
            }
            shown.push(item);
        }
        self.begin = Begin::At(page.next);
        self.ended = page.ended || (!self.follow && page.next >= until);
        self.heard_at = Instant::now();
        self.missed = false;
        self.backoff.reset();
        Some(shown)
    }
}
