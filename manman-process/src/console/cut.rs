//! From a stretch of a file to pieces.

use manman_core::console::MAX_PIECE;
use memchr::{memchr_iter, memrchr};

/// Where the pieces of `text` end that are finished, or all of them if `all`: a line with its
/// newline, or so much of a longer one as a piece may have.
pub fn ends(text: &[u8], all: bool) -> Vec<u32> {
    let finished = memrchr(b'\n', text).map_or(0, |at| at + 1);
    let mut ends = Vec::new();
    let mut from = 0;
    for newline in memchr_iter(b'\n', &text[..finished]) {
        from = split(from, newline + 1, &mut ends);
        ends.push(newline as u32 + 1);
        from = from.max(newline + 1);
    }
    let from = split(from, text.len(), &mut ends);
    if all && from < text.len() {
        ends.push(text.len() as u32);
    }
    ends
}

/// Cuts off whole pieces of what is longer than one; gives where the rest begins.
fn split(mut from: usize, to: usize, ends: &mut Vec<u32>) -> usize {
    while to - from > MAX_PIECE {
        from += MAX_PIECE;
        ends.push(from as u32);
    }
    from
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_pieces_and_long_ones_several() {
        assert!(ends(b"", true).is_empty());
        assert_eq!(ends(b"a\n\nb", false), [2, 3]);
        assert_eq!(ends(b"a\n\nb", true), [2, 3, 4]);
        assert!(ends(b"> ", false).is_empty());
        let long = vec![b'x'; 2 * MAX_PIECE + 5];
        assert_eq!(ends(&long, false), [MAX_PIECE as u32, 2 * MAX_PIECE as u32]);
        let mut line = vec![b'x'; MAX_PIECE - 1];
        line.push(b'\n');
        assert_eq!(ends(&line, false), [MAX_PIECE as u32]);
        line.insert(0, b'x');
        assert_eq!(ends(&line, false), [MAX_PIECE as u32, MAX_PIECE as u32 + 1]);
    }

    proptest! {
        #[test]
        fn whatever_is_printed_comes_in_fitting_pieces(
            lines in prop::collection::vec((0usize..3 * MAX_PIECE, any::<bool>()), 0..8),
            all in any::<bool>(),
        ) {
            let mut text = Vec::new();
            for (length, newline) in lines {
                text.extend(std::iter::repeat_n(b'x', length));
                if newline { text.push(b'\n') }
            }
            let ends = ends(&text, all);
            let mut from = 0;
            for &end in &ends {
                let piece = &text[from as usize..end as usize];
                prop_assert!((1..=MAX_PIECE).contains(&piece.len()));
                prop_assert!(!piece[..piece.len() - 1].contains(&b'\n'));
                from = end;
            }
            let rest = &text[from as usize..];
            prop_assert!(rest.len() <= MAX_PIECE && !rest.contains(&b'\n'));
            prop_assert!(!all || rest.is_empty());
        }
    }
}
