use manman_core::{clock::Timestamp, console::Channel};
use proptest::prelude::*;

use super::*;
use crate::console::position::Stand;

const MILLI: i64 = 1_000_000;

/// What a channel printed, as a log has it, and how much of it was delivered.
#[derive(Clone, Debug)]
struct Story {
    log: Vec<(Nanos, Vec<u8>)>,
    delivered: usize,
}

impl Story {
    fn text(&self) -> Vec<u8> {
        self.log.iter().flat_map(|(_, text)| text.clone()).collect()
    }

    /// When the message that holds the last byte delivered was logged.
    fn last(&self) -> Nanos {
        let mut count = 0;
        for (at, text) in &self.log {
            count += text.len();
            if count >= self.delivered {
                return *at;
            }
        }
        0
    }

    fn wanted(&self, tail: usize) -> Wanted {
        let delivered = &self.text()[..self.delivered];
        let pieces: Vec<_> = delivered.split_inclusive(|&byte| byte == b'\n').collect();
        let stand = Stand {
            bytes: self.delivered as u64,
            lines: delivered.iter().filter(|&&byte| byte == b'\n').count() as u64,
            last: Timestamp::from_micros(self.last() / 1_000 + 1),
            since: Timestamp::from_micros(self.last() / 1_000),
        };
        let tail = pieces[pieces.len().saturating_sub(tail)..].concat();
        Wanted::new(Channel::Stdout, stand, tail)
    }

    fn seek(&self, tail: usize, log: &[(Nanos, Vec<u8>)]) -> Seek {
        let mut seek = Seek::new(self.wanted(tail));
        for (at, text) in log {
            seek.take(*at, text);
        }
        seek
    }

    /// Whether what follows `spot` is what was not delivered.
    fn is_right(&self, spot: &Spot, log: &[(Nanos, Vec<u8>)]) -> bool {
        let (mut cursor, mut after) = (Cursor::START, Vec::new());
        for (at, text) in log {
            cursor = cursor.after(*at);
            if cursor > spot.cursor {
                after.extend_from_slice(text);
            }
        }
        let skip = (spot.skip as usize).min(after.len());
        after[skip..] == self.text()[self.delivered.min(self.text().len())..]
    }
}

fn story() -> impl Strategy<Value = Story> {
    let line = prop_oneof![
        4 => Just(None),
        3 => prop::sample::select(vec!["tick\n", "tock\n", "\n"]).prop_map(Some),
    ];
    (prop::collection::vec((line, 0i64..400), 1..120), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(lines, at, whole_lines)| {
            let (mut clock, mut log) = (1_800_000_000_000 * MILLI, Vec::new());
            for (number, (line, pause)) in lines.into_iter().enumerate() {
                clock += pause * MILLI;
                log.push((
                    clock,
                    line.map_or_else(|| format!("line {number}\n"), str::to_owned).into_bytes(),
                ));
            }
            let mut story = Story { log, delivered: 0 };
            let text = story.text();
            story.delivered = at.index(text.len() + 1);
            if whole_lines {
                story.delivered = memchr::memrchr(b'\n', &text[..story.delivered]).map_or(0, |at| at + 1);
            }
            story
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_log_from_the_beginning_is_exact(story in story(), tail in 0usize..70) {
        let (spot, gap) = story.seek(tail, &story.log).by_count(true, true);
        prop_assert_eq!(gap, None);
        prop_assert!(story.is_right(&spot, &story.log), "{spot:?}");
    }

    #[test]
    fn a_log_that_lags_is_exact_too(story in story(), tail in 0usize..70, unlogged in 0usize..10) {
        // What was delivered last is not logged yet; it is skipped when it comes.
        let logged = &story.log[..story.log.len() - unlogged.min(story.log.len())];
        let (spot, gap) = story.seek(tail, logged).by_count(true, true);
        prop_assert_eq!(gap, None);
        prop_assert!(story.is_right(&spot, &story.log), "{spot:?}");
    }

    #[test]
    fn a_look_at_the_last_two_seconds_is_exact_or_undecided(story in story(), tail in 1usize..70) {
        let since = story.last() - 2_000 * MILLI;
        let log: Vec<_> = story.log.iter().filter(|(at, _)| *at >= since).cloned().collect();
        if story.delivered > 0 && let Some(spot) = story.seek(tail, &log).by_content(false) {
            prop_assert!(story.is_right(&spot, &log), "{spot:?}");
        }
    }

    #[test]
    fn telling_lines_are_right_wherever_the_search_begins(story in story(), tail in 1usize..70, from in 0usize..120) {
        let log = &story.log[from.min(story.log.len())..];
        if story.delivered > 0 && story.wanted(tail).is_telling()
            && let Some(spot) = story.seek(tail, log).by_telling_content()
        {
            prop_assert!(story.is_right(&spot, log), "{spot:?}");
        }
    }

    #[test]
    fn lines_that_differ_are_found_at_once(story in story(), tail in 1usize..70) {
        let mut story = story;
        for (number, (_, text)) in story.log.iter_mut().enumerate() {
            *text = format!("{:>1$}\n", number, text.len()).into_bytes();
        }
        story.delivered = memchr::memrchr(b'\n', &story.text()[..story.delivered]).map_or(0, |at| at + 1);
        let since = story.last() - 2_000 * MILLI;
        let log: Vec<_> = story.log.iter().filter(|(at, _)| *at >= since).cloned().collect();
        if story.delivered > 0 {
            let spot = story.seek(tail, &log).by_content(false);
            prop_assert!(story.is_right(&spot.unwrap(), &log));
        }
    }

    #[test]
    fn a_channel_silent_for_long_is_taken_up_where_it_goes_on(story in story()) {
        // Nothing of what was delivered is in the window, save an unfinished line.
        let mut count = 0;
        let log: Vec<_> = story.log.iter().filter(|(_, text)| {
            count += text.len();
            count > story.delivered
        }).cloned().collect();
        if story.delivered > 0
            && let Some(spot) = story.seek(64, &log).by_content(true)
        {
            prop_assert!(story.is_right(&spot, &log));
        }
    }

    #[test]
    fn a_rotated_log_is_right_or_says_that_it_guesses(story in story(), dropped in 0usize..120) {
        let log = &story.log[dropped.min(story.log.len())..];
        let (spot, gap) = story.seek(64, log).by_count(false, true);
        let lost: usize = story.log[..dropped.min(story.log.len())].iter().map(|(_, text)| text.len()).sum();
        if gap.is_none() {
            prop_assert!(story.is_right(&spot, log), "{spot:?}");
        }
        if lost > story.delivered {
            prop_assert!(gap.is_some(), "{} bytes are gone without a word", lost - story.delivered);
        }
    }
}

#[test]
fn identical_lines_are_found_by_count() {
    let log: Vec<_> = (0..10_000).map(|i| (i * MILLI, b"the same\n".to_vec())).collect();
    for delivered in [0, 9, 9 * 777, 9 * 777 + 4, 90_000] {
        let story = Story { log: log.clone(), delivered };
        let (spot, gap) = story.seek(64, &log).by_count(true, true);
        assert_eq!(gap, None);
        assert!(story.is_right(&spot, &log), "{delivered}");
        assert!(delivered == 0 || story.seek(64, &log).by_content(false).is_none());
    }
}

#[test]
fn an_engine_that_lost_lines_is_noticed() {
    let log: Vec<_> = (0..1000).map(|i| (i * MILLI, format!("line {i}\n").into_bytes())).collect();
    let story = Story { delivered: 5000, log };
    // The log misses lines that were delivered: the count leads too far, the lines do not.
    let mut log = story.log.clone();
    log.drain(10..20);
    let (spot, gap) = story.seek(64, &log).by_count(true, true);
    assert_eq!(gap, None);
    assert!(story.is_right(&spot, &log));
    assert_eq!(
        spot.counts.map(|(bytes, _)| bytes + 80),
        Some(5000),
        "counts are those of the log from here on"
    );
}
