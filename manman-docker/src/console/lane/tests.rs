use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A game that prints, an engine that logs and passes on, each a little late.
#[derive(Debug)]
struct World {
    text: Vec<u8>,
    /// When the log has which message: logged at (ms), stamped with the same moment.
    log: Vec<(u64, Vec<u8>)>,
    /// When the attach has how much of the text.
    attach: Vec<(u64, usize)>,
    begins: usize,
    asked: u64,
}

#[derive(Clone, Debug)]
struct Write {
    pause: u64,
    text: Vec<u8>,
    log_lag: u64,
    attach_lag: u64,
}

fn world(writes: &[Write], asked_after: usize) -> World {
    let (mut now, mut text, mut logged) = (10_000, Vec::new(), 0);
    let mut world = World { text: Vec::new(), log: Vec::new(), attach: Vec::new(), begins: 0, asked: 10_000 };
    let (mut log_time, mut attach_time) = (0, 0);
    for (number, write) in writes.iter().enumerate() {
        now += write.pause;
        if number == asked_after {
            // Asked for, and hooked in a moment later, but before this write.
            world.asked = now.saturating_sub(2);
            world.begins = text.len();
        }
        text.extend_from_slice(&write.text);
        log_time = log_time.max(now + write.log_lag);
        while let Some(end) = memchr::memchr(b'\n', &text[logged..]) {
            world.log.push((log_time, text[logged..logged + end + 1].to_vec()));
            logged += end + 1;
        }
        if number >= asked_after {
            attach_time = attach_time.max(now + write.attach_lag);
            world.attach.push((attach_time, text.len()));
        }
    }
    if asked_after >= writes.len() {
        world.asked = now;
        world.begins = text.len();
    }
    world.text = text;
    world
}

struct Run {
    shown: Vec<u8>,
    turned_at: Option<u64>,
    lost: bool,
    readings: usize,
}

/// Follows the world from `delivered` on, as the splice does.
fn follow(world: &World, delivered: usize) -> Run {
    let base = Instant::now();
    let at = |ms: u64| base + Duration::from_millis(ms);
    let nanos = |ms: u64| ms as i64 * 1_000_000;
    let mut lane = Lane::new(Form::Bytes, nanos(world.asked), at(world.asked));
    // By count, as `seek` does it.
    let mut spot =
        Spot { cursor: Cursor::START, skip: delivered as u64, expect: Vec::new(), counts: None, messages: 0 };
    let line = memchr::memrchr(b'\n', &world.text[..delivered]).map_or(0, |end| end + 1);
    let mut count = 0;
    for (stamp, text) in &world.log {
        count += text.len();
        if count <= line {
            spot.cursor = spot.cursor.after(nanos(*stamp));
        }
    }
    spot.skip = (delivered - line) as u64;
    spot.expect = world.text[line..delivered].to_vec();
    lane.resume(spot, delivered as u64);

    let mut run = Run { shown: Vec::new(), turned_at: None, lost: false, readings: 0 };
    let mut got = world.begins;
    let (mut now, mut due, mut wait) = (world.asked + 1, world.asked + 1, 50);
    let end =
        world.log.last().map_or(0, |(at, _)| *at).max(world.attach.last().map_or(0, |(at, _)| *at)) + 13_000;
    let mut rests = false;
    while now < end {
        let pump = |now: u64, got: &mut usize, lane: &mut Lane, run: &mut Run| {
            let passed = world.attach.partition_point(|(at, _)| *at <= now);
            let have = passed.checked_sub(1).map_or(*got, |last| world.attach[last].1);
            let new = have > *got;
            if new {
                let bytes = &world.text[*got..have];
                *got = have;
                if lane.is_live() {
                    run.shown.extend_from_slice(bytes);
                } else {
                    lane.hold(bytes, at(now));
                }
            }
            if let Some(rest) = lane.turn() {
                run.shown.extend_from_slice(&rest);
                run.turned_at = Some(now);
            }
            new
        };
        if pump(now, &mut got, &mut lane, &mut run) && rests {
            (rests, due, wait) = (false, now + 20, 50);
        }
        if !rests && !lane.is_live() && now >= due {
            run.readings += 1;
            let (began, until) = (now, now + 3);
            lane.begin_reading();
            for (stamp, text) in world.log.iter().take_while(|(at, _)| *at <= began) {
                match lane.take(nanos(*stamp), text) {
                    Taken::Old => {}
                    Taken::New(new) => run.shown.extend_from_slice(new),
                    Taken::Other(_) => panic!("the log is the truth here"),
                }
            }
            now = until;
            pump(now, &mut got, &mut lane, &mut run);
            if lane.is_live() {
                continue;
            }
            match lane.end_reading(at(began), at(now)) {
                Verdict::Again => (due, wait) = (now + wait, (wait * 2).min(1000)),
                Verdict::Rest => rests = true,
                Verdict::Lost => {
                    run.lost = true;
                    let rest = lane.surrender();
                    run.shown.extend_from_slice(&rest);
                }
            }
            pump(now, &mut got, &mut lane, &mut run);
        }
        now += 1;
    }
    run
}

fn writes(repeating: bool) -> impl Strategy<Value = Vec<Write>> {
    let line = if repeating {
        prop::sample::select(vec!["tick\n", "tick\n", "tock\n", "> ", "\n", "tick\ntick\n"]).boxed()
    } else {
        prop::sample::select(vec!["#\n", "#\n", "# ", "#\n#\n#\n", "# long and longer and longer\n"]).boxed()
    };
    let pauses = prop_oneof![6 => 0u64..20, 1 => 100u64..800];
    prop::collection::vec((line, pauses, 0u64..30, 0u64..20), 1..150).prop_map(|writes| {
        let mut number = 0;
        let mut fill = |text: &str| {
            let mut filled = String::new();
            for part in text.split_inclusive('#') {
                number += 1;
                filled.push_str(&part.replace('#', &format!("line {number}")));
            }
            filled.into_bytes()
        };
        writes
            .into_iter()
            .map(|(text, pause, log_lag, attach_lag)| Write { pause, text: fill(text), log_lag, attach_lag })
            .collect()
    })
}

/// What has to be shown: all whole lines, and what the attach brought after them unless the
/// log is still shown.
fn check(world: &World, delivered: usize, run: &Run) -> Result<(), TestCaseError> {
    let all = &world.text[delivered..];
    let whole = memchr::memrchr(b'\n', all).map_or(0, |end| end + 1);
    prop_assert!(
        run.shown == all || (run.turned_at.is_none() && run.shown == all[..whole]),
        "shown {:?}\nof {:?}",
        String::from_utf8_lossy(&run.shown),
        String::from_utf8_lossy(all)
    );
    prop_assert!(!run.lost);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var("MANMAN_TESTS").as_deref() == Ok("full") { 5000 } else { 200 }, ..ProptestConfig::default() })]

    #[test]
    fn lines_that_differ_are_neither_lost_nor_doubled(
        writes in writes(false),
        asked in any::<prop::sample::Index>(),
        delivered in any::<prop::sample::Index>(),
    ) {
        let world = world(&writes, asked.index(writes.len() + 1));
        let delivered = delivered.index(world.begins + 1);
        check(&world, delivered, &follow(&world, delivered))?;
    }

    #[test]
    fn lines_that_repeat_are_neither_lost_nor_doubled(
        writes in writes(true),
        asked in any::<prop::sample::Index>(),
        delivered in any::<prop::sample::Index>(),
    ) {
        let world = world(&writes, asked.index(writes.len() + 1));
        let delivered = delivered.index(world.begins + 1);
        check(&world, delivered, &follow(&world, delivered))?;
    }
}

fn steady(lines: impl Iterator<Item = String>, every: u64) -> Vec<Write> {
    lines.map(|text| Write { pause: every, text: text.into_bytes(), log_lag: 3, attach_lag: 2 }).collect()
}

#[test]
fn a_flood_of_lines_that_differ_is_joined_soon() {
    let writes = steady((0..5000).map(|n| format!("line {n}\n")), 1);
    let world = world(&writes, 1000);
    let run = follow(&world, 700);
    assert_eq!(run.shown, &world.text[700..]);
    assert!(run.turned_at.unwrap() < world.asked + 500, "{:?}", run.turned_at);
    assert!(run.readings < 6);
}

#[test]
fn a_flood_of_identical_lines_is_joined_in_a_pause() {
    let mut writes = steady((0..5000).map(|_| "the same\n".to_owned()), 1);
    writes[4000].pause = 2_500;
    let world = world(&writes, 1000);
    let run = follow(&world, 9 * 900);
    assert_eq!(run.shown, &world.text[9 * 900..]);
    let turned = run.turned_at.unwrap();
    assert!(turned > 10_000 + 3_000 && turned < 10_000 + 7_600, "in the pause: {turned}");
}

#[test]
fn a_silent_channel_is_left_in_peace_and_joined_when_it_speaks() {
    let mut writes = steady((0..20).map(|n| format!("line {n}\n")), 5);
    writes[10].pause = 60_000;
    let world = world(&writes, 10);
    // It was asked for long before the next line.
    let world = World { asked: world.asked - 59_000, ..world };
    let run = follow(&world, world.begins);
    assert_eq!(run.shown, &world.text[world.begins..]);
    assert!(run.turned_at.is_some());
    assert!(run.readings < 15, "{} readings", run.readings);
}

#[test]
fn a_log_that_does_not_show_what_the_attach_does_is_given_up() {
    let writes = steady((0..2000).map(|n| format!("line {n}\n")), 20);
    let mut world = world(&writes, 100);
    world.log.truncate(100);
    let run = follow(&world, world.begins);
    assert!(run.lost);
    assert_eq!(run.shown, &world.text[world.begins..], "from the attach, all the same");
}
