//! What others make of an attach stream.

use std::{
    hint::black_box,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bollard::container::LogOutput;
use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::codec::FramedRead;

use crate::streams::{READ, Stream};

#[allow(missing_docs, dead_code, clippy::all, reason = "bollard's own code, as it is")]
mod decoder {
    use std::io;

    use bollard::container::LogOutput;
    use bytes::BytesMut;
    use tokio_util::codec::Decoder;

    // Its logging is left out: it is off, and costs a comparison.
    macro_rules! trace {
        ($($argument:tt)*) => {};
    }
    macro_rules! debug {
        ($($argument:tt)*) => {};
    }

    include!(concat!(env!("OUT_DIR"), "/bollard_decoder.rs"));
}

/// What was found in a stream. Equal for equal lines on each channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    lines: [u64; 2],
    bytes: [u64; 2],
    mark: [u64; 2],
}

impl Found {
    /// Notes a line, its newline included. `channel` is 0 or 1.
    #[inline]
    pub fn line(&mut self, channel: usize, line: &[u8]) {
        self.lines[channel] += 1;
        self.bytes[channel] += line.len() as u64;
        // Looks at the line, as whoever takes it does, without reading all of it.
        let mark = u64::from(line[line.len() / 2]) + line.len() as u64;
        self.mark[channel] = self.mark[channel].wrapping_mul(31).wrapping_add(mark);
    }
}

/// Reads as from a socket: each read copies, and is cut as the stream says.
struct Reads<'a> {
    stream: &'a Stream,
    from: usize,
    read: usize,
}

impl AsyncRead for Reads<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.stream.reads[self.read % self.stream.reads.len()];
        let rest = &self.stream.bytes[self.from..];
        let here = rest.len().min(most).min(buffer.remaining());
        buffer.put_slice(&rest[..here]);
        self.from += here;
        self.read += 1;
        Poll::Ready(Ok(()))
    }
}

/// bollard's decoder as its attach uses it, and lines put together from its frames. Each
/// line can be kept and handed on, as ours can: a slice of its frame, or its own buffer.
pub fn bollard_lines(stream: &Stream) -> Found {
    let mut found = Found::default();
    let mut lines = [Kept::default(), Kept::default()];
    bollard_frames(stream, |channel, message| {
        lines[channel].take(&message, |line| found.line(channel, &black_box(line)));
    });
    found
}

/// The same, but each line is only shown in passing, and gone then.
pub fn bollard_passing(stream: &Stream) -> Found {
    let mut found = Found::default();
    let mut lines = [Passing::default(), Passing::default()];
    bollard_frames(stream, |channel, message| {
        lines[channel].take(&message, |line| found.line(channel, line));
    });
    found
}

fn bollard_frames(stream: &Stream, mut take: impl FnMut(usize, Bytes)) {
    let reads = Reads { stream, from: 0, read: 0 };
    let mut frames = FramedRead::new(reads, decoder::NewlineLogOutputDecoder::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    runtime.block_on(async {
        while let Some(frame) = frames.next().await {
            match frame.expect("a well-formed stream") {
                LogOutput::StdOut { message } => take(0, message),
                LogOutput::StdErr { message } => take(1, message),
                other => unreachable!("{other:?}"),
            }
        }
    });
}

/// The ordinary way to lines that can be kept.
#[derive(Default)]
struct Kept {
    rest: Vec<u8>,
}

impl Kept {
    fn take(&mut self, message: &Bytes, mut show: impl FnMut(Bytes)) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', message) {
            if self.rest.is_empty() {
                show(message.slice(from..=end));
            } else {
                self.rest.extend_from_slice(&message[from..=end]);
                show(Bytes::from(std::mem::take(&mut self.rest)));
            }
            from = end + 1;
        }
        self.rest.extend_from_slice(&message[from..]);
    }
}

/// The ordinary way to lines that are only looked at.
#[derive(Default)]
struct Passing {
    rest: Vec<u8>,
}

impl Passing {
    fn take(&mut self, message: &Bytes, mut show: impl FnMut(&[u8])) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', message) {
            let line = &message[from..=end];
            if self.rest.is_empty() {
                show(line);
            } else {
                self.rest.extend_from_slice(line);
                show(&self.rest);
                self.rest.clear();
            }
            from = end + 1;
        }
        self.rest.extend_from_slice(&message[from..]);
    }
}

/// The limit of anything that takes a stream from a socket and finds its lines: one copy,
/// one look at each byte. Returns the number of newlines.
pub fn copy_and_count(stream: &Stream) -> u64 {
    let mut buffer = vec![0; READ];
    let (mut from, mut read, mut lines) = (0, 0, 0);
    while from < stream.bytes.len() {
        let here = (stream.bytes.len() - from).min(stream.reads[read % stream.reads.len()]);
        buffer[..here].copy_from_slice(&stream.bytes[from..from + here]);
        lines += memchr::memchr_iter(b'\n', &buffer[..here]).count() as u64;
        from += here;
        read += 1;
    }
    lines
}
