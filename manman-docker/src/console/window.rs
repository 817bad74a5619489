//! The recent part of a stream, with its place in the whole of it.

/// More than this is not kept; when it is reached, the older half goes. It has to hold what
/// the fastest game prints while the engine's log is read once: 2.5 MB/s and channel for
/// 15 s and more, on a busy machine.
const MOST: usize = 64 << 20;

/// The last bytes of a stream that is counted from its beginning.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    begin: u64,
}

impl Window {
    /// A stream of which `begin` bytes have passed already.
    pub fn from(begin: u64) -> Self {
        Self { bytes: Vec::new(), begin }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the first byte that is here stands in the stream.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// How much has passed in all.
    pub fn end(&self) -> u64 {
        self.begin + self.bytes.len() as u64
    }

    /// What is here from `at` on, if that is here.
    pub fn since(&self, at: u64) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(at.checked_sub(self.begin)?).ok()?..)
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > MOST {
            self.forget(MOST / 2);
        }
    }

    /// Forgets the oldest lines, all but about the last `keep` bytes of them.
    pub fn forget(&mut self, keep: usize) {
        let Some(surplus) = self.bytes.len().checked_sub(keep) else { return };
        let line = memchr::memchr(b'\n', &self.bytes[surplus..]).map_or(surplus, |at| surplus + at + 1);
        self.bytes.drain(..line);
        self.begin += line as u64;
    }
}
