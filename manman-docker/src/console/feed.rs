//! From the reading thread to whoever follows a console: bounded, and never waited for.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use manman_core::clock::Timestamp;

use super::lines::Pieces;

/// What one read gave.
#[derive(Debug)]
pub(super) struct Fresh {
    pub pieces: Pieces,
    /// When it was read.
    pub read_at: Timestamp,
    /// The engine passed it on after this moment.
    pub since: Timestamp,
    /// What the engine had passed on before this moment is in here or was before.
    pub drained: Timestamp,
}

/// Why there is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The engine ended the stream.
    Eof,
    /// The stream broke; the text says how.
    Broken(String),
    /// The follower did not keep up.
    Overrun,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Fresh>,
    bytes: usize,
    close: Option<Close>,
    follower: Option<Waker>,
    follower_gone: bool,
    reader: Option<Waker>,
}

#[derive(Debug)]
struct Shared {
    room: usize,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds it can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The follower's end. Dropping it lets go of the stream.
#[derive(Debug)]
pub(super) struct Feed(Arc<Shared>);

/// The reading thread's end.
#[derive(Debug)]
pub(super) struct Sink(Arc<Shared>);

/// A feed that holds up to about `room` bytes. While it is empty it costs no memory.
pub(super) fn feed(room: usize) -> (Sink, Feed) {
    let shared = Arc::new(Shared { room, state: Mutex::default() });
    (Sink(shared.clone()), Feed(shared))
}

/// What a buffer costs beyond its text, roughly.
fn cost(pieces: &Pieces) -> usize {
    size_of::<Fresh>() + pieces.text.len() + pieces.ends.len() * 4 + pieces.runs.len() * 8
}

impl Sink {
    /// Hands over what was read. Returns whether there is any use in reading on: not if
    /// the follower is gone, or has now been left behind.
    pub fn push(&self, fresh: Fresh) -> bool {
        let mut state = self.0.lock();
        if state.follower_gone || state.close.is_some() {
            return false;
        }
        state.bytes += cost(&fresh.pieces);
        state.queue.push_back(fresh);
        if state.bytes > self.0.room {
            state.close = Some(Close::Overrun);
        }
        let go_on = state.close.is_none();
        let follower = state.follower.take();
        drop(state);
        if let Some(follower) = follower {
            follower.wake();
        }
        go_on
    }

    /// Says why nothing follows; the first word stands.
    pub fn close(&self, close: Close) {
        let mut state = self.0.lock();
        state.close.get_or_insert(close);
        let follower = state.follower.take();
        drop(state);
        if let Some(follower) = follower {
            follower.wake();
        }
    }

    /// Ready once nobody follows any more.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.follower_gone {
            return Poll::Ready(());
        }
        if !state.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Sink {
    /// A reader that went away without a word was cut off.
    fn drop(&mut self) {
        self.close(Close::Broken("the reading thread has ended".to_owned()));
    }
}

impl Feed {
    /// The next read, or why there is none any more.
    pub async fn next(&mut self) -> Result<Fresh, Close> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next read if it is there.
    pub fn try_next(&mut self) -> Option<Result<Fresh, Close>> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Fresh, Close>> {
        let mut state = self.0.lock();
        if let Some(fresh) = state.queue.pop_front() {
            state.bytes -= cost(&fresh.pieces);
            if state.queue.is_empty() {
                // A burst leaves no memory behind.
                state.queue = VecDeque::new();
            }
            return Poll::Ready(Ok(fresh));
        }
        if let Some(close) = &state.close {
            return Poll::Ready(Err(close.clone()));
        }
        state.follower = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.follower_gone = true;
        state.queue = VecDeque::new();
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use manman_core::console::{Channel, Run};

    use super::*;

    fn fresh(length: usize) -> Fresh {
        let end = length as u32;
        Fresh {
            pieces: Pieces {
                text: vec![b'x'; length].into(),
                ends: [end].into(),
                runs: [Run { end, channel: Channel::Stdout }].into(),
                tally: Default::default(),
            },
            read_at: Timestamp::default(),
            since: Timestamp::default(),
            drained: Timestamp::default(),
        }
    }

    #[test]
    fn a_follower_left_behind_gets_what_was_kept_and_is_told() {
        let (sink, mut feed) = feed(1000);
        assert!(sink.push(fresh(400)));
        assert!(!sink.push(fresh(1000)), "it is full: the reader lets go");
        assert!(!sink.push(fresh(1)));
        assert_eq!(feed.try_next().unwrap().unwrap().pieces.text.len(), 400);
        assert_eq!(feed.try_next().unwrap().unwrap().pieces.text.len(), 1000);
        assert_eq!(feed.try_next().unwrap().unwrap_err(), Close::Overrun);
    }

    #[tokio::test]
    async fn a_follower_that_leaves_is_noticed() {
        let (sink, feed) = feed(1000);
        let gone = tokio::spawn(async move {
            std::future::poll_fn(|cx| sink.poll_gone(cx)).await;
            sink.push(fresh(1))
        });
        tokio::task::yield_now().await;
        drop(feed);
        assert!(!gone.await.unwrap());
    }

    #[tokio::test]
    async fn a_reader_that_dies_is_noticed() {
        let (sink, mut feed) = feed(1000);
        drop(sink);
        assert!(matches!(feed.next().await, Err(Close::Broken(_))));
    }
}
