//! Consoles as viewers see them.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use super::{
    Consoles,
    recorder::{self, Recorder},
};
use crate::{
    console::Gap,
    error::{Chain, Error, ErrorKind, Result},
    host::spool::{Entry, History, Kept, Spool},
    id::SessionId,
    viewing::{Begin, Shown, Viewing},
    watched::Watcher,
};

/// What is shown, and the number after it.
pub(in crate::host) type Step = (Shown, u64);

/// What a viewer is shown, step by step.
pub(in crate::host) struct Walk {
    /// The number at which it begins.
    pub from: u64,
    /// The number after all that had been shown when it began.
    pub until: u64,
    /// The steps.
    pub steps: BoxStream<'static, Step>,
}

#[async_trait]
impl Viewing for Consoles {
    async fn view(
        &self,
        session: SessionId,
        begin: Begin,
        follow: bool,
    ) -> Result<BoxStream<'static, Shown>> {
        let walk = self.walk(session, begin, follow).await?;
        Ok(walk.steps.map(|(shown, _)| shown).boxed())
    }
}

impl Consoles {
    /// As [`Viewing::view`], told so that one can go on after any step.
    pub(in crate::host) async fn walk(&self, session: SessionId, begin: Begin, follow: bool) -> Result<Walk> {
        let (history, span) = loop {
            let live = self.sessions().get(&session).map(|live| live.recorder.clone());
            if let Some(recorder) = live {
                return watch(recorder, begin, follow).await;
            }
            let spool = self.inner.spool.clone();
            let (history, ended) = recorder::off(&*self.inner.spool, move || {
                let Some(mut history) = spool.read(session)? else { return Ok((None, true)) };
                let span = history.span()?;
                Ok((Some((history, span)), spool.ended(session)?.is_some()))
            })
            .await?;
            let Some(history) = history else {
                let message = format!("nothing is kept of session {session} here");
                return Err(Error::new(ErrorKind::NotFound, "view a console", message));
            };
            if !follow || ended {
                break history;
            }
            // Its game may be taken up again at any moment; or it ends at this one, and is read as
            // it is then.
            if let Some(recorder) = self.record_unless_ended(session).await? {
                return watch(recorder, begin, true).await;
            }
        };
        let (from, until) = (start(begin, span.first, span.next), span.next);
        let reader = Past { spool: self.inner.spool.clone(), history, cursor: from, until, attempt: 0 };
        Ok(Walk { from, until, steps: reader.steps().boxed() })
    }
}

/// The number at which a viewer begins.
fn start(begin: Begin, first: u64, next: u64) -> u64 {
    match begin {
        Begin::At(number) => number.max(first),
        Begin::Last(pieces) => next.saturating_sub(pieces).max(first),
    }
}

/// What a viewer at `cursor` is shown of an entry.
fn step(entry: Entry, cursor: u64) -> Step {
    let (next, skip) = (entry.next(), cursor.saturating_sub(entry.first));
    let shown = match entry.what {
        Kept::Output(batch) => Shown::Output {
            first: entry.first + skip,
            skip: usize::try_from(skip).unwrap_or(usize::MAX),
            attempt: entry.attempt,
            batch,
        },
        Kept::Gap(gap, ..) => Shown::Gap { sequence: entry.first + skip, attempt: entry.attempt, gap },
    };
    (shown, next)
}

/// Stands for what has the numbers from `from` to `until`, and is kept no longer so that it
/// could be read.
fn unreadable(from: u64, until: u64, attempt: u32, why: Option<&Error>) -> Step {
    let reason = match why {
        Some(error) => format!("what is kept here cannot be read: {}", Chain(error)),
        None => "what was kept here cannot be read".to_owned(),
    };
    let lines = Some(until.saturating_sub(from));
    let gap = Gap { channel: None, bytes: None, lines, uncertain: true, reason };
    (Shown::Gap { sequence: from, attempt, gap }, until)
}

/// Somebody who reads a session that nobody records.
struct Past {
    spool: Arc<dyn Spool>,
    history: Box<dyn History>,
    cursor: u64,
    until: u64,
    /// Of which attempt it was shown something last.
    attempt: u32,
}

impl Past {
    fn steps(self) -> impl futures::Stream<Item = Step> {
        stream::unfold(Some(self), async |this| {
            let mut this = this.filter(|this| this.cursor < this.until)?;
            let (cursor, until, mut history) = (this.cursor, this.until, this.history);
            let spool = this.spool.clone();
            let read = recorder::off(&*spool, move || {
                let read = history.read(cursor, until, 256 << 10)?;
                Ok((read, history))
            });
            let (read, history) = match read.await {
                Ok(done) => done,
                Err(error) => {
                    let gap = unreadable(cursor, until, this.attempt, Some(&error));
                    return Some((stream::iter(vec![gap]), None));
                }
            };
            this.history = history;
            let items = this.take(read);
            Some((stream::iter(items), Some(this)))
        })
        .flatten()
    }

    fn take(&mut self, read: Vec<Entry>) -> Vec<Step> {
        let mut cursor = self.cursor;
        let mut items = Vec::with_capacity(read.len());
        for entry in read {
            let next = entry.next();
            self.attempt = entry.attempt;
            items.push(step(entry, cursor));
            cursor = next;
        }
        if items.is_empty() {
            items.push(unreadable(cursor, self.until, self.attempt, None));
            cursor = self.until;
        }
        self.cursor = cursor;
        items
    }
}

/// Somebody who watches a session that is recorded.
struct Viewer {
    recorder: Arc<Recorder>,
    history: Option<Box<dyn History>>,
    progress: Watcher<recorder::Progress>,
    cursor: u64,
    /// What had been shown when it came: up to there it reads what is past, and falls
    /// behind nobody.
    began: u64,
    /// Of which attempt it was shown something last.
    attempt: u32,
    follow: bool,
    _watching: Watching,
}

/// Has the newest output held for a viewer while it lives.
struct Watching(Arc<Recorder>);

impl Watching {
    fn new(recorder: &Arc<Recorder>) -> Self {
        recorder.watched(true);
        Self(recorder.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watched(false);
    }
}

async fn watch(recorder: Arc<Recorder>, begin: Begin, follow: bool) -> Result<Walk> {
    let watching = Watching::new(&recorder);
    let progress = recorder.progress();
    let (first, next) = recorder.span().await?;
    let from = start(begin, first, next);
    let viewer = Viewer {
        recorder,
        history: None,
        progress,
        cursor: from,
        began: next,
        attempt: 0,
        follow,
        _watching: watching,
    };
    let steps = stream::unfold(viewer, async |mut viewer| {
        let items = viewer.next().await?;
        Some((stream::iter(items), viewer))
    });
    Ok(Walk { from, until: next, steps: steps.flatten().boxed() })
}

impl Viewer {
    /// What comes next, or `None` at the end.
    async fn next(&mut self) -> Option<Vec<Step>> {
        loop {
            let shown_so_far = self.progress.see().shown;
            if self.follow && self.cursor >= self.began {
                let behind = shown_so_far.saturating_sub(self.cursor);
                if behind > self.recorder.lag_pieces() {
                    let newest = self.recorder.newest().max(self.cursor);
                    let passed = newest - self.cursor;
                    self.cursor = newest;
                    return Some(vec![(Shown::Lagged(passed), newest)]);
                }
            }
            let end = if self.follow { shown_so_far } else { self.began };
            if self.cursor < end {
                return Some(self.take(end).await);
            }
            if !self.follow || self.progress.look().ended {
                // What was shown last came before the end was said.
                if self.cursor >= self.progress.look().shown || !self.follow {
                    return None;
                }
                continue;
            }
            self.progress.changed().await.ok()?;
        }
    }

    async fn take(&mut self, end: u64) -> Vec<Step> {
        let (read, why) = match self.recorder.fetch(self.cursor, &mut self.history).await {
            Ok(read) => (read, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut items = Vec::with_capacity(read.len());
        for entry in read {
            if entry.next() <= self.cursor || (!self.follow && entry.first >= end) {
                continue;
            }
            let next = entry.next();
            // What was let go of since it was asked for is passed over.
            if entry.first > self.cursor {
                items.push((Shown::Lagged(entry.first - self.cursor), entry.first));
                self.cursor = entry.first;
            }
            self.attempt = entry.attempt;
            items.push(step(entry, self.cursor));
            self.cursor = next;
        }
        if items.is_empty() {
            // On to what can be read.
            let newest = self.recorder.newest().clamp(self.cursor, end.max(self.cursor));
            let next = if newest > self.cursor { newest } else { end };
            items.push(unreadable(self.cursor, next, self.attempt, why.as_ref()));
            self.cursor = next;
        }
        items
    }
}
