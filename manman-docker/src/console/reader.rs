//! The thread that reads all consoles of an engine.
//!
//! A game whose attach is not read stops after 1.5 MB (measured with 20.10), so nothing
//! that may wait runs here: no follower, no disk, no other call to the engine.

use std::{
    cell::RefCell,
    future::Future,
    io,
    os::unix::net::UnixStream as Socket,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use manman_core::{
    clock::{Clock, Timestamp},
    console::PARTIAL_AFTER,
};
use rustix::net::Shutdown;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime,
    sync::oneshot,
    time::Sleep,
};

use super::{
    demux::Demux,
    feed::{Close, Feed, Fresh, Sink, feed},
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

/// The thread, running until this is dropped; consoles still open are closed then.
#[derive(Debug)]
pub(super) struct Reader {
    handle: runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("manman-console".to_owned()).spawn(move || {
            // Either answer means the same: nobody wants it to run any more.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Reads `socket` from now on, after `prefix`, and keeps up to `room` bytes for
    /// whoever follows. Also returns the half to write to.
    pub fn read(
        &self,
        socket: Socket,
        prefix: Bytes,
        tty: bool,
        room: usize,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(Feed, OwnedWriteHalf)> {
        let _within = self.handle.enter();
        let (from, to) = UnixStream::from_std(socket)?.into_split();
        let (sink, feed) = feed(room);
        let drained = clock.now();
        let reading = Reading { from, demux: Demux::new(tty), prefix, partial: None, drained, sink, clock };
        self.handle.spawn(reading);
        Ok((feed, to))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It ends at once, and nothing of it is left then. A panic was its own report.
            let _ = thread.join();
        }
    }
}

/// One console being read. As a future it ends when there is nothing more to read, or
/// nobody to read it for.
struct Reading {
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

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use manman_core::clock::SystemClock;

    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![1, 0, 0, 0];
        frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    fn open(reader: &Reader, room: usize) -> (Socket, Feed, OwnedWriteHalf) {
        let (ours, theirs) = Socket::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (feed, to) = reader.read(ours, Bytes::new(), false, room, Arc::new(SystemClock)).unwrap();
        (theirs, feed, to)
    }

    #[tokio::test]
    async fn a_prompt_is_shown_before_its_line_ends() {
        let reader = Reader::start().unwrap();
        let (mut game, mut feed, _to) = open(&reader, 1 << 20);
        game.write_all(&frame(b"> ")).unwrap();
        assert_eq!(&*feed.next().await.unwrap().pieces.text, b"> ");
        game.write_all(&frame(b"ok\n")).unwrap();
        assert_eq!(&*feed.next().await.unwrap().pieces.text, b"ok\n");
        drop(game);
        assert_eq!(feed.next().await.unwrap_err(), Close::Eof);
    }

    #[tokio::test]
    async fn a_console_nobody_reads_does_not_hold_the_game_up() {
        let reader = Reader::start().unwrap();
        let (mut game, mut feed, _to) = open(&reader, 1 << 20);
        game.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let line = frame(&[[b'x'; 99].as_slice(), b"\n"].concat());
        let mut error = None;
        // Far more than any buffer on the way: were it held up, this would time out.
        for _ in 0..1_000_000 {
            if let Err(stopped) = game.write_all(&line) {
                error = Some(stopped.kind());
                break;
            }
        }
        assert_eq!(error, Some(io::ErrorKind::BrokenPipe), "the reader let go");
        while feed.next().await.is_ok() {}
        assert_eq!(feed.next().await.unwrap_err(), Close::Overrun);
    }

    #[tokio::test]
    async fn whoever_leaves_lets_go_of_the_game() {
        let reader = Reader::start().unwrap();
        let (mut game, feed, _to) = open(&reader, 1 << 20);
        drop(feed);
        game.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        loop {
            match game.write_all(&frame(b"x\n")) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                    break;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_stream_cut_within_a_frame_is_broken() {
        let reader = Reader::start().unwrap();
        let (mut game, mut feed, _to) = open(&reader, 1 << 20);
        game.write_all(&frame(b"whole\nrest")[..16]).unwrap();
        drop(game);
        assert_eq!(&*feed.next().await.unwrap().pieces.text, b"whole\n");
        assert_eq!(&*feed.next().await.unwrap().pieces.text, b"re");
        assert!(matches!(feed.next().await, Err(Close::Broken(_))));
    }
}
