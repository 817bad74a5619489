//! The messages of a log, as `GET /containers/{id}/logs?timestamps=1` shows them.
//!
//! A message is a line, or 16 KiB of a longer one. Each has its stamp; those of one
//! long line have the same one (`Copier.copySrc` in the engine's source, 20.10).
//! Without a TTY each comes in a frame of its own; with one they stand one after the
//! other and must be told apart by their stamps.

use manman_core::console::Channel;
use memchr::memchr;

use super::{
    demux::Desync,
    stamp::{self, Nanos},
};

/// The engine cuts a line here. A message of this length without a newline goes on in the
/// next one; a shorter one was the end of its line, or of all output.
const LONGEST: usize = 16 << 10;

const HEADER: usize = 8;

/// A message of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub channel: Channel,
    pub at: Nanos,
    /// With its newline, unless its line goes on in the next message or never ended.
    pub text: &'a [u8],
}

/// Takes a log apart, however its reads are cut.
#[derive(Debug)]
pub(super) struct Messages {
    tty: bool,
    bytes: Vec<u8>,
    from: usize,
    /// Of each channel, the stamp of the message whose line goes on.
    goes_on: [Option<Nanos>; 2],
    mended: Vec<u8>,
    ended: bool,
}

impl Messages {
    pub fn new(tty: bool) -> Self {
        Self { tty, bytes: Vec::new(), from: 0, goes_on: [None; 2], mended: Vec::new(), ended: false }
    }

    /// Takes what one read gave.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Says that nothing more will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next message that is whole.
    pub fn next(&mut self) -> Result<Option<Message<'_>>, Desync> {
        let Some(found) = (if self.tty { self.find_bare() } else { self.find_framed() })? else {
            return Ok(None);
        };
        let text = &self.bytes[found.from..found.to];
        let goes_on = &mut self.goes_on[found.channel.index()];
        let mut mended = false;
        if text.ends_with(b"\n") {
            *goes_on = None;
        } else if text.len() == LONGEST {
            *goes_on = Some(found.at);
        } else {
            // The driver `local` (20.10) forgets the newline of a line that was cut.
            mended = *goes_on == Some(found.at);
            *goes_on = None;
        }
        self.from = found.to;
        let text = if mended {
            self.mended.clear();
            self.mended.extend_from_slice(text);
            self.mended.push(b'\n');
            &self.mended
        } else {
            text
        };
        Ok(Some(Message { channel: found.channel, at: found.at, text }))
    }

    fn find_framed(&self) -> Result<Option<Found>, Desync> {
        let bytes = &self.bytes[self.from..];
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let channel = match header[..4] {
            [0 | 1, 0, 0, 0] => Some(Channel::Stdout),
            [2, 0, 0, 0] => Some(Channel::Stderr),
            [3, 0, 0, 0] => None,
            _ => return Err(Desync::Header(*header)),
        };
        // Far more than a stamp and a message.
        if length > 64 * LONGEST {
            return Err(Desync::Header(*header));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let Some(channel) = channel else {
            return Err(Desync::Engine(String::from_utf8_lossy(payload).into_owned()));
        };
        let Some((at, stamp)) = stamp::read(payload) else {
            return Err(Desync::Header(*header));
        };
        let from = self.from + HEADER;
        Ok(Some(Found { channel, at, from: from + stamp, to: from + length }))
    }

    fn find_bare(&self) -> Result<Option<Found>, Desync> {
        let bytes = &self.bytes[self.from..];
        if bytes.is_empty() || (bytes.len() < stamp::LONGEST && !self.ended) {
            return Ok(None);
        }
        let Some((at, stamp)) = stamp::read(bytes) else {
            // The engine's complaints stand among the lines here, without any mark.
            let text = &bytes[..bytes.len().min(200)];
            return Err(Desync::Engine(String::from_utf8_lossy(text).into_owned()));
        };
        let text = &bytes[stamp..];
        let head = &text[..text.len().min(LONGEST)];
        // Where a cut line ends and its newline was forgotten, the next stamp follows.
        let next =
            self.goes_on[0].filter(|&goes_on| goes_on == at).and_then(|_| next_stamp(text, self.ended));
        let length = match (memchr(b'\n', head), next) {
            (Some(newline), Some(next)) if next <= newline => next,
            (Some(newline), _) => newline + 1,
            (None, Some(next)) => next,
            // Whether it goes on is told by what stands behind it.
            (None, None) if text.len() > LONGEST => LONGEST,
            (None, None) if self.ended => text.len(),
            (None, None) => return Ok(None),
        };
        // A forgotten newline can only be seen with the whole of the next stamp.
        if self.goes_on[0] == Some(at)
            && !self.ended
            && next.is_none()
            && text.len() < LONGEST + stamp::LONGEST
        {
            return Ok(None);
        }
        let from = self.from + stamp;
        Ok(Some(Found { channel: Channel::Stdout, at, from, to: from + length }))
    }
}

/// Where in the rest of a cut line another stamp stands.
fn next_stamp(text: &[u8], ended: bool) -> Option<usize> {
    let end = text.len().min(LONGEST);
    let candidates = memchr::memchr_iter(b'T', &text[..text.len().min(end + stamp::LONGEST)]);
    candidates
        .filter_map(|at| at.checked_sub(10))
        .filter(|&at| at <= end && (ended || text.len() - at >= stamp::LONGEST))
        .find(|&at| stamp::read(&text[at..]).is_some())
}

#[derive(Debug)]
struct Found {
    channel: Channel,
    at: Nanos,
    from: usize,
    to: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMPS: [&str; 4] = [
        "2026-11-21T09:29:26.000000001Z ",
        "2026-11-21T09:29:26.000000002Z ",
        "2026-11-21T09:29:26.000000003Z ",
        "2026-11-21T09:29:26.000000004Z ",
    ];

    fn framed(messages: &[(u8, usize, Vec<u8>)]) -> Vec<u8> {
        let mut log = Vec::new();
        for (kind, stamp, text) in messages {
            let text = [STAMPS[*stamp].as_bytes(), text].concat();
            log.extend_from_slice(&[*kind, 0, 0, 0]);
            log.extend_from_slice(&(text.len() as u32).to_be_bytes());
            log.extend_from_slice(&text);
        }
        log
    }

    fn bare(messages: &[(u8, usize, Vec<u8>)]) -> Vec<u8> {
        messages.iter().flat_map(|(_, stamp, text)| [STAMPS[*stamp].as_bytes(), text].concat()).collect()
    }

    fn read(log: &[u8], tty: bool, cut: usize) -> Result<[Vec<u8>; 2], Desync> {
        let mut messages = Messages::new(tty);
        let mut seen = [Vec::new(), Vec::new()];
        for (last, bytes) in log.chunks(cut).enumerate().map(|(n, bytes)| ((n + 1) * cut >= log.len(), bytes))
        {
            messages.feed(bytes);
            if last {
                messages.end();
            }
            while let Some(message) = messages.next()? {
                seen[message.channel.index()].extend_from_slice(message.text);
            }
        }
        Ok(seen)
    }

    /// A message as it comes: its channel, its stamp, its text.
    type Framed = (u8, usize, Vec<u8>);

    fn long(length: usize) -> Vec<u8> {
        vec![b'x'; length]
    }

    /// As an engine 20.10.24 with driver `local` answered: the cut lines lost their newlines.
    fn local() -> (Vec<Framed>, Vec<u8>) {
        let messages = vec![
            (1, 0, long(LONGEST)),
            (1, 0, long(LONGEST)),
            (1, 0, long(7232)),
            (1, 1, b"after\n".to_vec()),
            (1, 2, long(LONGEST)),
            (1, 2, Vec::new()),
            (1, 3, b"\n".to_vec()),
            (1, 3, b"no newline at end".to_vec()),
        ];
        let text =
            [long(40_000), b"\nafter\n".to_vec(), long(LONGEST), b"\n\nno newline at end".to_vec()].concat();
        (messages, text)
    }

    #[test]
    fn a_cut_line_is_put_together_again() {
        let (messages, text) = local();
        for cut in [1, 7, 100, 4096, 1 << 20] {
            assert_eq!(read(&framed(&messages), false, cut).unwrap()[0], text, "framed, cut {cut}");
            assert_eq!(read(&bare(&messages), true, cut).unwrap()[0], text, "bare, cut {cut}");
        }
    }

    #[test]
    fn a_cut_line_that_kept_its_newline_gets_no_second_one() {
        let messages = [(1, 0, long(LONGEST)), (1, 0, b"x\n".to_vec()), (1, 1, b"after\n".to_vec())];
        let text = [long(LONGEST + 1), b"\nafter\n".to_vec()].concat();
        for cut in [1, 1000, 1 << 20] {
            assert_eq!(read(&framed(&messages), false, cut).unwrap()[0], text);
            assert_eq!(read(&bare(&messages), true, cut).unwrap()[0], text);
        }
    }

    #[test]
    fn channels_are_told_apart() {
        let messages = [(1, 0, b"a\n".to_vec()), (2, 0, b"b\n".to_vec()), (1, 1, b"\n".to_vec())];
        assert_eq!(read(&framed(&messages), false, 5).unwrap(), [b"a\n\n".to_vec(), b"b\n".to_vec()]);
    }

    #[test]
    fn what_the_engine_complains_of_is_an_error() {
        let log = [framed(&[(1, 0, b"a\n".to_vec())]), b"\x03\0\0\0\0\0\0\x04oops".to_vec()].concat();
        assert_eq!(read(&log, false, 3), Err(Desync::Engine("oops".to_owned())));
        assert!(matches!(read(b"\x09\0\0\0\0\0\0\x04oops", false, 100), Err(Desync::Header(_))));
        assert!(matches!(read(b"\x01\0\0\0\xff\0\0\x04oops", false, 100), Err(Desync::Header(_))));
        assert!(matches!(read(b"Error grabbing logs: invalid character", true, 100), Err(Desync::Engine(_))));
    }
}
