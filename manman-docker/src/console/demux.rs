//! The engine's stream of two channels, taken apart.
//!
//! Without a TTY each stretch of output comes as a frame: a header of eight bytes
//! (stream, three zeros, length in big endian; Engine API, "Stream format" of
//! `POST /containers/{id}/attach`), then its bytes. With a TTY there are no
//! headers, and everything is stdout. Which of both it is must be known: the first
//! byte does not tell, and API 1.41 names both by one content type.

use std::fmt;

use manman_core::console::Channel;

use super::lines::{Lines, Pieces, Scratch, Waiting};

const HEADER: usize = 8;

/// No frame of an engine is longer: it sends what it read at once (32 KiB in an attach)
/// or one log message. What claims more is no header.
const LONGEST_FRAME: u32 = 16 << 20;

/// The most of an engine's error text that is kept.
const LONGEST_ERROR: usize = 4096;

/// Why a stream cannot be taken apart any further. Whoever reads it closes it and
/// resumes from the last position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Desync {
    /// What stands where a header should be is none.
    Header([u8; HEADER]),
    /// The engine reports an error of its own in the stream.
    Engine(String),
}

impl fmt::Display for Desync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(bytes) => write!(f, "no frame begins with {bytes:02x?}"),
            Self::Engine(text) => write!(f, "the engine says: {}", text.trim_end()),
        }
    }
}

impl std::error::Error for Desync {}

/// Takes one attach stream apart, however its reads are cut.
///
/// Holds at most one unfinished line of each channel and a header: less than
/// 2 x [`MAX_PIECE`](manman_core::console::MAX_PIECE), whatever comes in.
///
/// # Examples
/// ```
/// use manman_docker::console::{Demux, Scratch};
///
/// let (mut demux, mut scratch) = (Demux::new(false), Scratch::default());
/// assert!(demux.feed(b"\x01\0\0\0\0\0\0\x06hel", &mut scratch).is_none());
/// let pieces = demux.feed(b"lo\n", &mut scratch).unwrap();
/// assert_eq!(&*pieces.text, b"hello\n");
/// ```
#[derive(Debug)]
pub struct Demux {
    framing: Framing,
    lines: Lines,
    failure: Option<Box<Desync>>,
}

#[derive(Debug)]
enum Framing {
    /// No headers.
    Raw,
    /// Within a header, of which so much is there.
    Header { bytes: [u8; HEADER], have: usize },
    /// Within a frame's bytes, of which so many are to come.
    Payload { channel: Channel, left: u32 },
    /// Within an error's text.
    Error { text: Vec<u8>, left: u32 },
}

const NO_HEADER: Framing = Framing::Header { bytes: [0; HEADER], have: 0 };

impl Demux {
    /// A stream from its beginning; `tty` is the container's `Config.Tty`.
    pub fn new(tty: bool) -> Self {
        let framing = if tty { Framing::Raw } else { NO_HEADER };
        Self { framing, lines: Lines::default(), failure: None }
    }

    /// Takes what one read gave. Returns all pieces that are finished by it; what is
    /// not is kept. After a failure it takes nothing.
    pub fn feed(&mut self, mut bytes: &[u8], scratch: &mut Scratch) -> Option<Pieces> {
        if self.failure.is_some() {
            return None;
        }
        let mut cut = self.lines.begin(bytes.len());
        while !bytes.is_empty() {
            match &mut self.framing {
                Framing::Raw => {
                    cut.append(Channel::Stdout, bytes);
                    bytes = &[];
                }
                Framing::Payload { channel, left } => {
                    let take = bytes.len().min(*left as usize);
                    cut.append(*channel, &bytes[..take]);
                    bytes = &bytes[take..];
                    *left -= take as u32;
                    if *left == 0 {
                        self.framing = NO_HEADER;
                    }
                }
                Framing::Header { have: 0, .. } if bytes.len() >= HEADER => {
                    // The common case, without state: whole frames, one after the other.
                    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { break };
                    match frame(*header) {
                        Ok(Frame::Output(channel, length)) if rest.len() >= length as usize => {
                            let (payload, rest) = rest.split_at(length as usize);
                            cut.append(channel, payload);
                            bytes = rest;
                        }
                        begun => {
                            bytes = rest;
                            match begin(begun) {
                                Ok(framing) => self.framing = framing,
                                Err(desync) => {
                                    self.failure = Some(desync);
                                    break;
                                }
                            }
                        }
                    }
                }
                Framing::Header { bytes: header, have } => {
                    let take = bytes.len().min(HEADER - *have);
                    header[*have..*have + take].copy_from_slice(&bytes[..take]);
                    bytes = &bytes[take..];
                    *have += take;
                    if *have == HEADER {
                        match begin(frame(*header)) {
                            Ok(framing) => self.framing = framing,
                            Err(desync) => {
                                self.failure = Some(desync);
                                break;
                            }
                        }
                    }
                }
                Framing::Error { text, left } => {
                    let take = bytes.len().min(*left as usize);
                    let room = LONGEST_ERROR.saturating_sub(text.len());
                    text.extend_from_slice(&bytes[..take.min(room)]);
                    bytes = &bytes[take..];
                    *left -= take as u32;
                    if *left == 0 {
                        let text = String::from_utf8_lossy(text).into_owned();
                        self.failure = Some(Box::new(Desync::Engine(text)));
                        break;
                    }
                }
            }
        }
        cut.finish(scratch)
    }

    /// Hands out all unfinished lines as they are, at the end of the stream.
    pub fn flush(&mut self, scratch: &mut Scratch) -> Option<Pieces> {
        self.lines.flush(self.lines.waiting(), scratch)
    }

    /// Hands out those of `which` that still wait, as prompts do.
    pub fn flush_waiting(&mut self, which: Waiting, scratch: &mut Scratch) -> Option<Pieces> {
        self.lines.flush(which, scratch)
    }

    /// Which lines wait for their newline.
    pub fn waiting(&self) -> Waiting {
        self.lines.waiting()
    }

    /// Whether an unfinished line waits for its newline.
    pub fn is_pending(&self) -> bool {
        self.lines.is_pending()
    }

    /// Why it takes no more, once it does not.
    pub fn failure(&self) -> Option<&Desync> {
        self.failure.as_deref()
    }

    /// Whether the stream may end here: not within a frame.
    pub fn is_between_frames(&self) -> bool {
        matches!(self.framing, Framing::Raw | Framing::Header { have: 0, .. })
    }

    /// The bytes of memory it holds besides itself.
    pub fn retained(&self) -> usize {
        self.lines.retained()
            + match &self.framing {
                Framing::Error { text, .. } => text.capacity(),
                _ => 0,
            }
    }
}

enum Frame {
    Output(Channel, u32),
    Error(u32),
}

/// Reads a header.
#[inline]
fn frame(header: [u8; HEADER]) -> Result<Frame, Box<Desync>> {
    let word = u64::from_le_bytes(header);
    let length = ((word >> 32) as u32).swap_bytes();
    // The low half holds the stream and the three zeros: one comparison proves both.
    // Stream 0 is stdin, which the engine's own client shows on stdout.
    match word as u32 {
        _ if length > LONGEST_FRAME => Err(Box::new(Desync::Header(header))),
        0 | 1 => Ok(Frame::Output(Channel::Stdout, length)),
        2 => Ok(Frame::Output(Channel::Stderr, length)),
        3 => Ok(Frame::Error(length)),
        _ => Err(Box::new(Desync::Header(header))),
    }
}

fn begin(frame: Result<Frame, Box<Desync>>) -> Result<Framing, Box<Desync>> {
    Ok(match frame? {
        Frame::Output(_, 0) => NO_HEADER,
        Frame::Output(channel, left) => Framing::Payload { channel, left },
        Frame::Error(0) => return Err(Box::new(Desync::Engine(String::new()))),
        Frame::Error(left) => Framing::Error { text: Vec::new(), left },
    })
}

#[cfg(test)]
#[path = "demux_tests.rs"]
mod tests;
