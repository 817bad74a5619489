//! The form in which a log keeps what a game printed.

use std::borrow::Cow;

/// How a log driver keeps bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are (`local`).
    Bytes,
    /// As JSON text (`json-file`): each byte that is not part of UTF-8 text becomes
    /// U+FFFD, as Go's `utf8.DecodeRune` sees it.
    Utf8,
}

/// U+FFFD.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

impl Form {
    /// `bytes` as the log keeps them.
    pub fn of(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        if self == Self::Bytes || std::str::from_utf8(bytes).is_ok() {
            return Cow::Borrowed(bytes);
        }
        let mut kept = Vec::with_capacity(bytes.len() + 64);
        for chunk in bytes.utf8_chunks() {
            kept.extend_from_slice(chunk.valid().as_bytes());
            for _ in chunk.invalid() {
                kept.extend_from_slice(REPLACEMENT);
            }
        }
        Cow::Owned(kept)
    }

    /// The length of [`Form::of`].
    pub fn length(self, bytes: &[u8]) -> usize {
        if self == Self::Bytes || std::str::from_utf8(bytes).is_ok() {
            return bytes.len();
        }
        let spread =
            |chunk: std::str::Utf8Chunk<'_>| chunk.valid().len() + REPLACEMENT.len() * chunk.invalid().len();
        bytes.utf8_chunks().map(spread).sum()
    }

    /// How many of `bytes` make up the first `kept` bytes in the log. `None` if there
    /// are fewer, or if a replacement would be cut.
    pub fn prefix(self, bytes: &[u8], kept: usize) -> Option<usize> {
        if self == Self::Bytes || std::str::from_utf8(bytes).is_ok() {
            return (kept <= bytes.len()).then_some(kept);
        }
        let (mut raw, mut left) = (0, kept);
        for chunk in bytes.utf8_chunks() {
            let valid = chunk.valid().len();
            if left <= valid {
                return Some(raw + left);
            }
            (raw, left) = (raw + valid, left - valid);
            let invalid = chunk.invalid().len();
            if left < REPLACEMENT.len() * invalid {
                return (left % REPLACEMENT.len() == 0).then_some(raw + left / REPLACEMENT.len());
            }
            (raw, left) = (raw + invalid, left - REPLACEMENT.len() * invalid);
        }
        (left == 0).then_some(raw)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_byte_that_is_no_text_becomes_a_replacement() {
        // As the engine (20.10.24, json-file) showed it.
        assert_eq!(&*Form::Utf8.of(b"\xff\xfebad\n"), "\u{fffd}\u{fffd}bad\n".as_bytes());
        // A character cut short: one replacement for each of its bytes.
        assert_eq!(&*Form::Utf8.of(b"\xe2\x82x"), "\u{fffd}\u{fffd}x".as_bytes());
        assert_eq!(&*Form::Bytes.of(b"\xff"), b"\xff");
    }

    proptest! {
        #[test]
        fn a_prefix_is_what_it_says(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0usize..40) {
            let at = at.min(bytes.len());
            let kept = Form::Utf8.of(&bytes);
            prop_assert_eq!(Form::Utf8.length(&bytes), kept.len());
            for cut in 0..=kept.len() + 1 {
                if let Some(raw) = Form::Utf8.prefix(&bytes, cut) {
                    prop_assert!(cut <= kept.len());
                    let _ = &bytes[..raw];
                }
            }
            prop_assert_eq!(Form::Bytes.prefix(&bytes, at), Some(at));
            prop_assert_eq!(Form::Utf8.prefix(&bytes, kept.len()), Some(bytes.len()));
        }
    }
}
