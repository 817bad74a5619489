//! Writes records behind each other, many with one sync where many wait.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use super::Disk;
use crate::error::{Error, ErrorKind, Result};

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
    /// Nothing was to be written.
    pub(super) fn already() -> Self {
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

/// Where jobs go: to a thread of their own, or done at once where nothing blocks.
#[derive(Debug)]
pub(super) enum Writer {
    Thread { asks: mpsc::Sender<Ask>, broken: Arc<AtomicBool> },
    Inline { disk: Box<dyn Disk>, broken: bool },
}

impl Writer {
    pub(super) fn new(mut disk: Box<dyn Disk>) -> Result<Self> {
        if !disk.blocks() {
            return Ok(Self::Inline { disk, broken: false });
        }
        let (asks, asked) = mpsc::channel::<Ask>();
        let broken = Arc::new(AtomicBool::new(false));
        let says = broken.clone();
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
        Ok(Self::Thread { asks, broken })
    }

    /// Whether a write failed, so that only a rewrite of all makes it whole again.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Thread { broken, .. } => broken.load(Ordering::Acquire),
            Self::Inline { broken, .. } => *broken,
        }
    }

    pub(super) fn write(&mut self, job: Job) -> Written {
        match self {
            Self::Thread { asks, .. } => {
                let (answers, answer) = oneshot::channel();
                // A writer that is gone drops `answers`, which the receiver notices.
                let _ = asks.send((job, answers));
                Written(Waiting::Asked(answer))
            }
            Self::Inline { disk, broken } => {
                let result = match &job {
                    Job::Append(_) if *broken => Err(not_whole()),
                    Job::Append(bytes) => disk.append(bytes),
                    Job::Replace(bytes) => disk.replace(bytes),
                };
                *broken = match job {
                    Job::Replace(_) => result.is_err(),
                    Job::Append(_) => *broken || result.is_err(),
                };
                Written(Waiting::Known(Some(result)))
            }
        }
    }
}

fn not_whole() -> Error {
    Error::new(ErrorKind::Unavailable, "write the journal", "an earlier record could not be written")
}

/// Does these jobs in order: appends that follow each other with one write and one sync.
fn write_all(disk: &mut dyn Disk, asks: Vec<Ask>, broken: &AtomicBool) {
    let mut bytes = Vec::new();
    let mut waiting = Vec::new();
    for (job, answers) in asks {
        match job {
            Job::Append(more) => {
                bytes.extend_from_slice(&more);
                waiting.push(answers);
            }
            Job::Replace(all) => {
                flush(disk, &mut bytes, &mut waiting, broken);
                let result = disk.replace(&all);
                broken.store(result.is_err(), Ordering::Release);
                // Whoever asked may have gone.
                let _ = answers.send(result);
            }
        }
    }
    flush(disk, &mut bytes, &mut waiting, broken);
}

fn flush(
    disk: &mut dyn Disk,
    bytes: &mut Vec<u8>,
    waiting: &mut Vec<oneshot::Sender<Result<()>>>,
    broken: &AtomicBool,
) {
    if waiting.is_empty() {
        return;
    }
    let result = match broken.load(Ordering::Acquire) {
        true => Err(not_whole()),
        false if bytes.is_empty() => Ok(()),
        false => disk.append(bytes),
    };
    if result.is_err() {
        broken.store(true, Ordering::Release);
    }
    bytes.clear();
    for answers in waiting.drain(..) {
        let told = match &result {
            Ok(()) => Ok(()),
            Err(error) => Err(Error::new(error.kind(), error.operation(), error.message())),
        };
        // Whoever asked may have gone.
        let _ = answers.send(told);
    }
}
