//! Writes records behind each other, many with one sync where many wait.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::Disk;
use crate::error::{Chain, Error, ErrorKind, Result};

/// What is to be written.
#[derive(Debug)]
pub(super) enum Job {
    /// Behind what is there.
    Append(Vec<u8>),
    /// In place of what is there.
    Replace(Vec<u8>),
}

/// Resolves when what was noted is on the disk. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "act when it is on the disk, not before; drop it where nothing hangs on it"]
pub struct Written(Waiting);

#[derive(Debug)]
enum Waiting {
    Known(Option<Result<()>>),
    Asked(oneshot::Receiver<Result<()>>),
}

impl Written {
    /// Nothing is to be written.
    pub(super) fn nothing() -> Self {
        Self(Waiting::Known(Some(Ok(()))))
    }

    pub(super) fn failed(error: Error) -> Self {
        Self(Waiting::Known(Some(Err(error))))
    }
}

impl Future for Written {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            // Polled again after it was ready: it stays what it was, as far as it is known.
            Waiting::Known(result) => Poll::Ready(result.take().unwrap_or(Ok(()))),
            Waiting::Asked(answer) => Pin::new(answer).poll(context).map(|answer| {
                answer.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Unexpected, "write the journal", "its writer is gone"))
                })
            }),
        }
    }
}

type Ask = (Job, oneshot::Sender<Result<()>>);

/// How the disk takes what it is given.
#[derive(Clone, Debug, Default)]
struct Standing(Arc<Mutex<Stands>>);

#[derive(Debug, Default)]
struct Stands {
    /// Why a write failed, so that only a rewrite of all makes it whole again.
    broken: Option<String>,
    /// Since when what is not answered waits, oldest first.
    waiting: VecDeque<Instant>,
}

impl Standing {
    fn stands(&self) -> MutexGuard<'_, Stands> {
        // Whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of the oldest write; a rewrite of all makes it whole.
    fn wrote(&self, result: &Result<()>, all: bool) {
        let mut stands = self.stands();
        match result {
            Ok(()) if all => stands.broken = None,
            Ok(()) => {}
            // The first error says more than those that follow from it.
            Err(error) if all || stands.broken.is_none() => stands.broken = Some(Chain(error).to_string()),
            Err(_) => {}
        }
    }

    fn is_broken(&self) -> bool {
        self.stands().broken.is_some()
    }

    /// Tells whoever asked, who may have gone.
    fn answer(&self, answers: oneshot::Sender<Result<()>>, result: Result<()>) {
        self.stands().waiting.pop_front();
        let _ = answers.send(result);
    }
}

/// Where jobs go: to a thread of their own, or done at once where nothing blocks.
#[derive(Debug)]
pub(super) struct Writer {
    way: Way,
    standing: Standing,
}

#[derive(Debug)]
enum Way {
    Thread(mpsc::Sender<Ask>),
    Inline(Box<dyn Disk>),
}

impl Writer {
    pub(super) fn new(mut disk: Box<dyn Disk>) -> Result<Self> {
        let standing = Standing::default();
        if !disk.blocks() {
            return Ok(Self { way: Way::Inline(disk), standing });
        }
        let (asks, asked) = mpsc::channel::<Ask>();
        let says = standing.clone();
        std::thread::Builder::new()
            .name("manman-journal".to_owned())
            .spawn(move || {
                while let Ok(first) = asked.recv() {
                    let asks: Vec<Ask> = std::iter::once(first).chain(asked.try_iter()).collect();
                    write_all(&mut *disk, asks, &says);
                }
            })
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "open the journal", "no thread to be had").because(error)
            })?;
        Ok(Self { way: Way::Thread(asks), standing })
    }

    /// Why a write failed, so that only a rewrite of all makes it whole again.
    pub(super) fn broken(&self) -> Option<String> {
        self.standing.stands().broken.clone()
    }

    /// For how long the disk has not answered.
    pub(super) fn silence(&self) -> Duration {
        self.standing.stands().waiting.front().map(Instant::elapsed).unwrap_or_default()
    }

    pub(super) fn write(&mut self, job: Job) -> Written {
        match &mut self.way {
            Way::Thread(asks) => {
                let (answers, answer) = oneshot::channel();
                self.standing.stands().waiting.push_back(Instant::now());
                // A writer that is gone drops `answers`, which the receiver notices.
                let _ = asks.send((job, answers));
                Written(Waiting::Asked(answer))
            }
            Way::Inline(disk) => {
                let result = match &job {
                    Job::Append(_) if self.standing.is_broken() => Err(not_whole()),
                    Job::Append(bytes) if bytes.is_empty() => Ok(()),
                    Job::Append(bytes) => disk.append(bytes),
                    Job::Replace(bytes) => disk.replace(bytes),
                };
                self.standing.wrote(&result, matches!(job, Job::Replace(_)));
                Written(Waiting::Known(Some(result)))
            }
        }
    }
}

fn not_whole() -> Error {
    Error::new(ErrorKind::Unavailable, "write the journal", "an earlier record could not be written")
}

/// Does these jobs in order: appends that follow each other with one write and one sync.
fn write_all(disk: &mut dyn Disk, asks: Vec<Ask>, standing: &Standing) {
    let mut bytes = Vec::new();
    let mut waiting = Vec::new();
    for (job, answers) in asks {
        match job {
            Job::Append(more) => {
                bytes.extend_from_slice(&more);
                waiting.push(answers);
            }
            Job::Replace(all) => {
                flush(disk, &mut bytes, &mut waiting, standing);
                let result = disk.replace(&all);
                standing.wrote(&result, true);
                standing.answer(answers, result);
            }
        }
    }
    flush(disk, &mut bytes, &mut waiting, standing);
}

fn flush(
    disk: &mut dyn Disk,
    bytes: &mut Vec<u8>,
    waiting: &mut Vec<oneshot::Sender<Result<()>>>,
    standing: &Standing,
) {
    if waiting.is_empty() {
        return;
    }
    let result = match standing.is_broken() {
        true => Err(not_whole()),
        false if bytes.is_empty() => Ok(()),
        false => disk.append(bytes),
    };
    standing.wrote(&result, false);
    bytes.clear();
    for answers in waiting.drain(..) {
        let told = match &result {
            Ok(()) => Ok(()),
            Err(error) => Err(Error::new(error.kind(), error.operation(), error.message())),
        };
        standing.answer(answers, told);
    }
}
