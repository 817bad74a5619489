//! The thread that reads all consoles of an engine.
//!
//! A game whose attach is not read stops after 1.5 MB (measured with 20.10), so nothing
//! that may wait runs here: no follower, no disk, no other call to the engine.

mod reading;

use std::{
    io,
    os::unix::net::UnixStream as Socket,
    sync::Arc,
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use manman_core::clock::Clock;
use tokio::{
    net::{UnixStream, unix::OwnedWriteHalf},
    runtime,
    sync::oneshot,
};

use self::reading::Reading;
use super::feed::{Feed, feed};

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
        self.handle.spawn(Reading::new(from, prefix, tty, sink, clock));
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

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use manman_core::clock::SystemClock;

    use super::*;
    use crate::console::feed::Close;

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
