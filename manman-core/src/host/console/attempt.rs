//! The console of one attempt: opened, read to its end, opened again when it breaks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::{
    EndHint,
    input::{self, Asked, Stdin},
    recorder::Recorder,
};
use crate::{
    console::{Channel, Console, EndCause, Output, Position},
    error::{Chain, Error, ErrorKind, Result},
    host::spool::Kept,
    id::AttemptId,
    model::ConsoleLine,
    retry::Backoff,
    runtime::Runtime,
    watched::{Watched, Watcher},
    wire::Outcome,
};

/// The console of one attempt, with the tasks that read and write it.
#[derive(Debug)]
pub(super) struct Attempt {
    run: AttemptId,
    recorder: Arc<Recorder>,
    queue: mpsc::Sender<Asked>,
    standing: Watcher<Standing>,
    opened: tokio::sync::Mutex<Option<oneshot::Receiver<Result<()>>>>,
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Reading,
    Drained,
}

impl Attempt {
    /// Opens and reads the console. With `once` a first opening that fails is the end of it.
    pub(super) fn begin(
        runtime: Arc<dyn Runtime>,
        recorder: Arc<Recorder>,
        run: AttemptId,
        hint: Arc<EndHint>,
        once: bool,
    ) -> Arc<Self> {
        let (queue, asked) = mpsc::channel(input::QUEUE);
        let stdin = Watched::new(Stdin::Closed);
        let standing = Watched::new(Standing::Reading);
        let stands = standing.watch();
        let (opens, opened) = oneshot::channel();
        let reading = Reading {
            runtime,
            recorder: recorder.clone(),
            run,
            hint,
            stdin: stdin.clone(),
            opens: Some(opens),
            once,
            unplaced: false,
            backoff: Backoff::new(
                Duration::from_millis(100),
                Duration::from_secs(5),
                run.session.0 as u64 ^ u64::from(run.attempt) << 48,
            ),
        };
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(async move {
                if reading.read().await {
                    standing.replace(Standing::Drained);
                }
            })),
            AbortOnDropHandle::new(tokio::spawn(input::write(asked, stdin))),
        ];
        Arc::new(Self {
            run,
            recorder,
            queue,
            standing: stands,
            opened: tokio::sync::Mutex::new(Some(opened)),
            tasks: Mutex::new(tasks),
        })
    }

    pub(super) fn run(&self) -> AttemptId {
        self.run
    }

    /// Waits until the runtime has opened it for the first time, or would not.
    pub(super) async fn opened(&self) -> Result<()> {
        match self.opened.lock().await.take() {
            Some(opened) => opened.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "open the console", "it was closed"))
            }),
            None => Ok(()),
        }
    }

    /// Lets go of the console.
    pub(super) fn close(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Reads no more; `true` if all was shown by then.
    pub(super) async fn stop(&self) -> bool {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(AbortOnDropHandle::abort);
        // Aborted, or over; waited for, so that nothing more is taken after this.
        futures::future::join_all(tasks).await;
        self.is_drained()
    }

    pub(super) async fn write_line(&self, line: &ConsoleLine, within: Duration) -> Outcome {
        input::ask(&self.queue, line, within).await
    }

    /// Waits until all is shown, or the console was closed.
    pub(super) async fn drained(&self) {
        // An error says that the reader is gone, and nothing more will come.
        let _ = self.standing.clone().until(|standing| *standing == Standing::Drained).await;
    }

    pub(super) fn is_drained(&self) -> bool {
        *self.standing.look() == Standing::Drained
    }

    pub(super) async fn last_lines(&self, lines: usize, bytes: usize) -> Vec<String> {
        // Lines may come in pieces, and other attempts' lines between them.
        let most = (lines as u64).saturating_mul(4).max(64);
        match self.recorder.last(self.run.attempt, most).await {
            Ok(pieces) => joined(&pieces, lines, bytes),
            Err(error) => {
                tracing::warn!(session.id = %self.run.session, error = %Chain(&error),
                    "the last lines of {} cannot be read", self.run);
                Vec::new()
            }
        }
    }
}

/// What the reading task has.
struct Reading {
    runtime: Arc<dyn Runtime>,
    recorder: Arc<Recorder>,
    run: AttemptId,
    hint: Arc<EndHint>,
    stdin: Watched<Stdin>,
    opens: Option<oneshot::Sender<Result<()>>>,
    once: bool,
    /// Where it was left was not understood, so that it is read from its beginning.
    unplaced: bool,
    backoff: Backoff,
}

impl Reading {
    /// Reads until the attempt has ended and all is shown. `false` if it was not to be opened.
    async fn read(mut self) -> bool {
        let mut said = false;
        loop {
            match self.open().await {
                Ok(console) => {
                    said = false;
                    if let Some(opens) = self.opens.take() {
                        // Nobody has to wait for it.
                        let _ = opens.send(Ok(()));
                    }
                    if self.follow(console).await {
                        break;
                    }
                    (self.hint)(self.run);
                }
                // Left by another version, or damaged: trying the same again would not help.
                Err(error) if error.kind() == ErrorKind::Corrupt && !self.unplaced => {
                    tracing::warn!(session.id = %self.run.session, error = %Chain(&error),
                        "the console of {} cannot go on where it was left, it is read from its beginning",
                        self.run);
                    self.unplaced = true;
                    let reason =
                        "where it was left is not understood; what follows may have been shown before";
                    self.recorder.push_gap(self.run.attempt, Position::START, reason);
                    continue;
                }
                Err(error) if self.once && self.opens.is_some() => {
                    if let Some(opens) = self.opens.take() {
                        let _ = opens.send(Err(error));
                    }
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.gone().await;
                    break;
                }
                Err(error) => {
                    if !said {
                        tracing::warn!(session.id = %self.run.session, error = %Chain(&error),
                            "the console of {} cannot be opened, will try again", self.run);
                    }
                    said = true;
                }
            }
            tokio::time::sleep(self.backoff.delay()).await;
        }
        self.stdin.replace(Stdin::Ended);
        self.recorder.shown().await;
        (self.hint)(self.run);
        true
    }

    async fn open(&self) -> Result<Console> {
        let after = self.recorder.resume(self.run.attempt).await?;
        // Pieces before the beginning would only mislead.
        let after = after.filter(|resume| resume.position != Position::START);
        self.runtime.console(self.run, after).await
    }

    /// Takes what an open console shows; `true` when the attempt has ended.
    async fn follow(&mut self, mut console: Console) -> bool {
        self.stdin.replace(Stdin::open(console.input));
        let attempt = self.run.attempt;
        while let Some(output) = console.output.next().await {
            match output {
                Output::Batch(batch) => {
                    self.backoff.reset();
                    self.recorder.push(attempt, Kept::Output(batch));
                }
                Output::Gap(gap, position) => {
                    tracing::warn!(session.id = %self.run.session,
                        "output of {} is missing: {}", self.run, gap.reason);
                    let now = self.recorder.now();
                    self.recorder.push(attempt, Kept::Gap(gap, position, now));
                }
                Output::End(EndCause::Ended) => return true,
                Output::End(_) => break,
            }
            self.recorder.room().await;
        }
        self.stdin.replace(Stdin::Closed);
        false
    }

    /// The container is gone before its output was seen to end.
    async fn gone(&self) {
        let reason = "the container is gone, and what it printed since the last line with it";
        self.recorder.push_gap_here(self.run.attempt, reason).await;
    }
}

/// The last lines in these pieces: parts of a line joined, each at most `bytes` long.
fn joined(pieces: &[(Channel, Vec<u8>)], lines: usize, bytes: usize) -> Vec<String> {
    let mut open: [Option<usize>; 2] = [None, None];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for (channel, piece) in pieces {
        let at = *open[channel.index()].get_or_insert_with(|| {
            all.push(Vec::new());
            all.len() - 1
        });
        let (text, ends) = match piece.strip_suffix(b"\n") {
            Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), true),
            None => (piece.as_slice(), false),
        };
        let left = bytes.saturating_sub(all[at].len());
        all[at].extend_from_slice(&text[..text.len().min(left)]);
        if ends {
            open[channel.index()] = None;
        }
    }
    let skip = all.len().saturating_sub(lines);
    all[skip..].iter().map(|line| cut(String::from_utf8_lossy(line).into_owned(), bytes)).collect()
}

/// At most `bytes` bytes of a text, whole characters: replacing what is no UTF-8 made it longer.
fn cut(mut text: String, bytes: usize) -> String {
    text.truncate((0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_joined_cut_and_readable() {
        use Channel::{Stderr, Stdout};
        let piece = |channel, text: &str| (channel, text.as_bytes().to_vec());
        let pieces = [
            piece(Stdout, "one\r\n"),
            piece(Stdout, "tw"),
            piece(Stderr, "oops\n"),
            piece(Stdout, "o\n"),
            (Stdout, vec![b'a', 0xff, b'b', b'\n']),
            piece(Stdout, "> "),
        ];
        assert_eq!(joined(&pieces, 9, 500), ["one", "two", "oops", "a\u{fffd}b", "> "]);
        assert_eq!(joined(&pieces, 2, 2), ["a", "> "]);
    }
}
