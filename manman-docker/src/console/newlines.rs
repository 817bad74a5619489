//! Where the lines of a stretch end.

use manman_core::console::MAX_PIECE;

const MAX: u32 = MAX_PIECE as u32;

/// Appends the ends of all pieces of `stretch`, which stands at `from` in its buffer,
/// and says how many of them are newlines. The last piece ends with the stretch; a line
/// longer than [`MAX_PIECE`] is cut.
pub(super) fn find(stretch: &[u8], from: u32, ends: &mut Vec<u32>) -> u64 {
    let mut last = from;
    let mut lines = 0;
    for at in memchr::memchr_iter(b'\n', stretch) {
        let end = from + at as u32 + 1;
        if end - last > MAX {
            last = cut(last, end, ends);
        }
        if end > last {
            ends.push(end);
        }
        last = end;
        lines += 1;
    }
    let end = from + stretch.len() as u32;
    last = cut(last, end, ends);
    if last < end {
        ends.push(end);
    }
    lines
}

/// Cuts whole pieces off the line from `last` to `end` and says where the rest begins.
#[cold]
fn cut(mut last: u32, end: u32, ends: &mut Vec<u32>) -> u32 {
    while end - last > MAX {
        last += MAX;
        ends.push(last);
    }
    last
}
