//! Where in a channel's log its attach begins.
//!
//! Both show the same bytes: the log from the attempt's beginning, in whole lines and a
//! little later; the attach from some place on that nobody tells. Lines that differ
//! give it away. Lines that repeat do not, and then the log goes on being read until
//! there is a pause, in which both must have come to the same end.

use memchr::memmem;

/// An attach is looked for by at least so many whole lines of it …
const LINES: usize = 2;
/// … and so many bytes, if it has them …
const PROBE: usize = 256;
/// … and at most so many.
const LONGEST_PROBE: usize = 64 << 10;

/// After so many places that begin alike, more of the same is expected.
const TRIES: usize = 4096;

/// What the log says about the beginning of an attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// There are not enough lines to look for.
    Short,
    /// It fits nowhere: the log has not come so far.
    Nowhere,
    /// It fits here, and nowhere else.
    At(usize),
    /// It fits in several places.
    Several,
}

/// Where `attach` begins in `log`: at such a place, both go on alike for as long as both
/// go on.
pub(super) fn fit(attach: &[u8], log: &[u8]) -> Fit {
    // The first line may be the end of one that began before.
    let mut ends = memchr::memchr_iter(b'\n', attach);
    let Some(lines) = ends.nth(LINES) else { return Fit::Short };
    let lines = (lines + 1).min(LONGEST_PROBE);
    let enough = ends.map(|end| end + 1).take_while(|&end| end <= PROBE).last().unwrap_or(lines);
    let probe = memmem::Finder::new(&attach[..enough.max(lines)]);
    let (mut from, mut found) = (0, None);
    for _ in 0..TRIES {
        let Some(at) = log.get(from..).and_then(|rest| probe.find(rest)).map(|at| from + at) else {
            return found.map_or(Fit::Nowhere, Fit::At);
        };
        if alike(attach, &log[at..]) && found.replace(at).is_some() {
            return Fit::Several;
        }
        from = at + 1;
    }
    Fit::Several
}

/// Whether two texts are the same as far as both go.
pub(super) fn alike(one: &[u8], other: &[u8]) -> bool {
    let both = one.len().min(other.len());
    one[..both] == other[..both]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(range: std::ops::Range<usize>) -> Vec<u8> {
        range.flat_map(|n| format!("line {n}\n").into_bytes()).collect()
    }

    #[test]
    fn lines_that_differ_tell_the_place() {
        let log = numbered(0..1000);
        for cut in [0, 1, 6, 700, 7777] {
            assert_eq!(fit(&log[cut..], &log), Fit::At(cut));
            assert_eq!(fit(&log[cut..cut + 40], &log), Fit::At(cut));
        }
        assert_eq!(fit(&numbered(1000..1100), &log), Fit::Nowhere);
        assert_eq!(fit(b"line 1\nline 2\n", &log), Fit::Short, "the first may be torn");
        assert_eq!(fit(b"", &log), Fit::Short);
    }

    #[test]
    fn lines_that_repeat_tell_nothing() {
        let log = b"tick\n".repeat(1000);
        assert_eq!(fit(&log[..100], &log), Fit::Several);
        assert_eq!(fit(&log[3..], &log[..2000]), Fit::Several);
        // One line among the first ones tells all; later, the end of the log fits too.
        let mut log = log;
        log[2500..2505].copy_from_slice(b"tock\n");
        assert_eq!(fit(&log[2400..], &log), Fit::At(2400));
        assert_eq!(fit(&log[2000..], &log), Fit::Several);
    }

    #[test]
    fn what_follows_must_agree_too() {
        let log = [b"a\nb\nc\nd\n".as_slice(), &numbered(0..9), b"a\nb\nc\ne\n"].concat();
        assert_eq!(fit(b"a\nb\nc\ne\n", &log), Fit::At(log.len() - 8));
        assert_eq!(fit(b"a\nb\nc\nf\n", &log), Fit::Nowhere);
    }
}
