//! One console being read.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use manman_core::{
    clock::{Clock, Timestamp},
    console::PARTIAL_AFTER,
};
use rustix::net::Shutdown;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::unix::OwnedReadHalf,
    time::Sleep,
};

use crate::console::{
    demux::Demux,
    feed::{Close, Fresh, Sink},
    lines::{Pieces, Scratch, Waiting},
};

/// One read takes up to this much. More is no faster: it leaves the second-level cache
/// (measured with 256 KiB).
const READ: usize = 64 << 10;

thread_local! {
    /// One for all consoles of the thread: an idle console holds no buffer.
    static BUFFER: RefCell<(Box<[u8]>, Scratch)> =
        RefCell::new((vec![0; READ].into_boxed_slice(), Scratch::default()));
}

/// One console being read. As a future it ends when there is nothing more to read, or
/// nobody to read it for.
pub(super) struct Reading {
    from: OwnedReadHalf,
    demux: Demux,
    prefix: Bytes,
    /// When an unfinished line is shown as it is. Only there while one waits.
    partial: Option<Partial>,
    /// When the socket was last seen empty.
    drained: Timestamp,
    sink: Sink,
    clock: Arc<dyn Clock>,
}

struct Partial {
    which: Waiting,
    due: Pin<Box<Sleep>>,
}

impl Reading {
    pub fn new(from: OwnedReadHalf, prefix: Bytes, tty: bool, sink: Sink, clock: Arc<dyn Clock>) -> Self {
        let drained = clock.now();
        Self { from, demux: Demux::new(tty), prefix, partial: None, drained, sink, clock }
    }

    /// Hands over `pieces`; says whether to go on.
    fn push(&mut self, pieces: Option<Pieces>, read_at: Timestamp, since: Timestamp) -> bool {
        let drained = self.drained;
        pieces.is_none_or(|pieces| self.sink.push(Fresh { pieces, read_at, since, drained }))
    }

    /// One read; `false` if it was the last one.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        BUFFER.with_borrow_mut(|(buffer, scratch)| {
            let now = self.clock.now();
            let since = self.drained;
            let prefix = std::mem::take(&mut self.prefix);
            let bytes = if prefix.is_empty() {
                let mut read = ReadBuf::new(buffer);
                match Pin::new(&mut self.from).poll_read(cx, &mut read) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        self.sink.close(Close::Broken(error.to_string()));
                        return Poll::Ready(false);
                    }
                    Poll::Pending => return Poll::Pending,
                }
                let length = read.filled().len();
                if length == 0 {
                    self.end(now, since, scratch);
                    return Poll::Ready(false);
                }
                if length < READ {
                    // The socket is empty: all that was in it at `now` is in here.
                    self.drained = now;
                }
                &buffer[..length]
            } else {
                &*prefix
            };
            let pieces = self.demux.feed(bytes, scratch);
            if !self.push(pieces, now, since) {
                return Poll::Ready(false);
            }
            if let Some(desync) = self.demux.failure() {
                self.sink.close(Close::Broken(desync.to_string()));
                return Poll::Ready(false);
            }
            Poll::Ready(true)
        })
    }

    fn end(&mut self, now: Timestamp, since: Timestamp, scratch: &mut Scratch) {
        let pieces = self.demux.flush(scratch);
        self.push(pieces, now, since);
        self.sink.close(if self.demux.is_between_frames() {
            Close::Eof
        } else {
            Close::Broken("the stream ended within a frame".to_owned())
        });
    }

    /// Shows an unfinished line that has waited long enough; `false` if nobody wants it.
    fn poll_partial(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.demux.is_pending() {
            self.partial = None;
            return Poll::Pending;
        }
        let demux = &mut self.demux;
        let partial = self.partial.get_or_insert_with(|| Partial {
            which: demux.waiting(),
            due: Box::pin(tokio::time::sleep(PARTIAL_AFTER)),
        });
        ready!(partial.due.as_mut().poll(cx));
        let which = partial.which;
        self.partial = None;
        // Lines that began to wait later get their own time on the next round.
        let pieces = BUFFER.with_borrow_mut(|(_, scratch)| demux.flush_waiting(which, scratch));
        let now = self.clock.now();
        Poll::Ready(self.push(pieces, now, self.drained))
    }
}

impl Future for Reading {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.sink.poll_gone(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            // The runtime makes `poll_read` pending after many reads in a row, so that
            // a flooding game does not keep the others from being read.
            match this.poll_read(cx) {
                Poll::Ready(true) => continue,
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            match this.poll_partial(cx) {
                Poll::Ready(true) => continue,
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Reading {
    /// The half for writing may outlive this. An attach that is open and not read would
    /// stop the game: both directions end here.
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(self.from.as_ref(), Shutdown::Both);
    }
}
