//! Consoles through the death of their host manager, slow viewers and full disks.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;
#[path = "common/gate.rs"]
mod gate;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::*;
use futures::StreamExt;
use gate::Gate;
use manman_core::{
    clock::Timestamp,
    console::{Batch, Channel, Position, Resume},
    error::{Error, ErrorKind, Result},
    host::spool::{Entry, FileSpool, History, Holding, Keeper, Kept, MemorySpool, Span, Spool, SpoolConfig},
    id::{AttemptId, SessionId},
    memory::runtime::{Act, Faults, Script, Stdin},
    model::ConsoleLine,
    runtime::Runtime,
    viewing::{Begin, Shown, Viewing},
    wire::Outcome,
};

fn flood(lines: u32, same: bool) -> Script {
    Script::of([
        Act::Print(Channel::Stdout, b"ready\n".to_vec()),
        Act::Count { lines, pause: Duration::from_millis(1), same },
        Act::Print(Channel::Stdout, b"> ".to_vec()),
        Act::Exit(0),
    ])
}

fn line(text: &str) -> ConsoleLine {
    text.parse().unwrap()
}

/// `MANMAN_TESTS=full` plays ten times as many.
fn many(ci: u64) -> u64 {
    if std::env::var("MANMAN_TESTS").is_ok_and(|tests| tests == "full") { ci * 10 } else { ci }
}

/// Plays one history: a game floods, host managers die at random moments.
async fn deaths(seed: u64) {
    let what = format!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::new(seed);
    let same = random.bool();
    world.create(RUN, flood(random.u32(50..300), same)).await;
    let mut consoles = world.consoles();
    world.start(&consoles, RUN).await;
    world.engine.set_faults(Faults {
        broken_consoles: if random.bool() { 0.05 } else { 0.0 },
        before: if random.bool() { 0.1 } else { 0.0 },
        ..Faults::default()
    });
    let mut seen = Seen::default();
    for _ in 0..random.u32(1..8) {
        // Somebody watches until the host manager dies.
        let begin =
            if random.bool() { Begin::At(random.u64(1..300)) } else { Begin::Last(random.u64(0..20)) };
        let dies = tokio::time::sleep(Duration::from_micros(random.u64(0..60_000)));
        let watch = async {
            seen.again();
            let mut shown = consoles.view(SESSION, begin, true).await.unwrap();
            while let Some(item) = shown.next().await {
                seen.take(item);
            }
        };
        tokio::select! {
            () = watch => {}
            () = dies => {}
        }
        drop(consoles);
        if random.bool() {
            tokio::time::sleep(Duration::from_micros(random.u64(0..60_000))).await;
        }
        consoles = world.consoles();
        consoles.open(RUN, false).await.unwrap();
    }
    let handle = consoles.open(RUN, false).await.unwrap();
    within(handle.drained()).await;
    consoles.end(SESSION).await.unwrap();
    let all = view(&consoles, Begin::At(1), true).await;
    all.assert_contiguous(&what);
    world.assert_whole(&all, RUN, &what);
    assert!(all.gaps.is_empty() && seen.gaps.is_empty(), "{what}");
    for (number, piece) in &seen.pieces {
        assert_eq!(all.pieces.get(number), Some(piece), "{what}: {number} was renumbered");
    }
}

#[test]
fn deaths_at_random_moments_lose_double_and_renumber_nothing() {
    for seed in 0..many(1000) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(deaths(seed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_slow_viewers_delay_nobody() {
    let mut world = World::new(1);
    world.config.recent_bytes = 4 << 10;
    world.config.lag_pieces = 500;
    world.create(RUN, flood(3000, false)).await;
    let consoles = world.consoles();
    consoles.open(RUN, true).await.unwrap();
    let mut viewers = Vec::new();
    for n in 0..100 {
        let mut shown = consoles.view(SESSION, Begin::At(1), true).await.unwrap();
        viewers.push(tokio::spawn(async move {
            let mut seen = Seen::default();
            while let Some(item) = shown.next().await {
                seen.take(item);
                // Some do not read at all until it is over.
                let pause = if n % 10 == 0 { 3_600_000 } else { n * 20 };
                if seen.lagged == 0 {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
            seen
        }));
    }
    let began = tokio::time::Instant::now();
    let handle = consoles.get(RUN).unwrap();
    world.runtime().start(RUN).await.unwrap();
    within(handle.drained()).await;
    assert!(began.elapsed() < Duration::from_secs(4), "3000 lines take 3 s, whoever watches");
    consoles.end(SESSION).await.unwrap();
    let all = view(&consoles, Begin::At(1), false).await;
    all.assert_contiguous("all");
    world.assert_whole(&all, RUN, "all");
    let mut lagged = 0;
    for viewer in viewers {
        let seen = viewer.await.unwrap();
        lagged += usize::from(seen.lagged > 0);
        assert_eq!(
            seen.pieces.len() as u64 + seen.lagged,
            all.pieces.len() as u64,
            "each passed over is counted"
        );
        assert!(seen.pieces.iter().all(|(number, piece)| all.pieces[number] == *piece));
    }
    assert!(lagged > 50, "{lagged} were dropped");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_who_falls_behind_reads_from_the_spool() {
    let mut world = World::new(1);
    world.config.recent_bytes = 1 << 10;
    world.create(RUN, flood(2000, true)).await;
    let consoles = world.consoles();
    consoles.open(RUN, true).await.unwrap();
    let mut shown = consoles.view(SESSION, Begin::At(1), true).await.unwrap();
    world.runtime().start(RUN).await.unwrap();
    let mut seen = Seen::default();
    for _ in 0..20 {
        seen.take(next(&mut shown).await);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    within(consoles.get(RUN).unwrap().drained()).await;
    consoles.end(SESSION).await.unwrap();
    while let Some(item) = within(shown.next()).await {
        seen.take(item);
    }
    seen.assert_contiguous("slow");
    world.assert_whole(&seen, RUN, "slow");
}

#[tokio::test(start_paused = true)]
async fn viewers_begin_anywhere_without_hole_or_double_at_the_seam() {
    let world = World::new(3);
    world.create(RUN, flood(500, false)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    let mut viewers = Vec::new();
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(random.u64(0..12))).await;
        let printed = consoles.view(SESSION, Begin::At(1), false).await.unwrap();
        let printed = printed.fold(Seen::default(), async |mut seen, item| {
            seen.take(item);
            seen
        });
        let so_far = printed.await.next.max(1);
        let (begin, first) = match random.u8(0..3) {
            0 => (Begin::At(so_far), so_far),
            1 => {
                let at = random.u64(1..=so_far + 40);
                (Begin::At(at), at)
            }
            _ => {
                let last = random.u64(0..50);
                (Begin::Last(last), so_far.saturating_sub(last).max(1))
            }
        };
        let mut shown = consoles.view(SESSION, begin, true).await.unwrap();
        viewers.push(tokio::spawn(async move {
            let mut seen = Seen::default();
            while let Some(item) = shown.next().await {
                seen.take(item);
            }
            (first, begin, seen)
        }));
    }
    within(consoles.get(RUN).unwrap().drained()).await;
    consoles.end(SESSION).await.unwrap();
    let all = view(&consoles, Begin::At(1), false).await;
    world.assert_whole(&all, RUN, "all");
    for viewer in viewers {
        let (first, begin, seen) = within(viewer).await.unwrap();
        let wanted: Vec<_> = all.pieces.range(first..).collect();
        assert!(seen.pieces.iter().collect::<Vec<_>>() == wanted, "{begin:?} from {first}");
        assert_eq!(seen.lagged, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_go_on_through_attempts() {
    let world = World::new(3);
    let consoles = world.consoles();
    for attempt in 1..=3 {
        let run = AttemptId::new(SESSION, attempt);
        world.create(run, flood(20, true)).await;
        world.start(&consoles, run).await;
        let handle = consoles.get(run).unwrap();
        within(handle.drained()).await;
        assert!(handle.is_drained());
        assert_eq!(handle.last_lines(2, 500).await, ["tick", "> "]);
        world.runtime().retire(run).await.unwrap();
    }
    consoles.end(SESSION).await.unwrap();
    let all = view(&consoles, Begin::At(1), true).await;
    all.assert_contiguous("all");
    for attempt in 1..=3 {
        world.assert_whole(&all, AttemptId::new(SESSION, attempt), "all");
    }
    assert_eq!(all.pieces.len(), 3 * 42);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_holds_up_nobody_and_is_made_good() {
    let spool = MemorySpool::default();
    let world = World::with(5, Arc::new(spool.clone()));
    world.create(RUN, flood(400, false)).await;
    let consoles = world.consoles();
    let mut shown = {
        consoles.open(RUN, true).await.unwrap();
        consoles.view(SESSION, Begin::At(1), true).await.unwrap()
    };
    spool.set_full(true);
    world.runtime().start(RUN).await.unwrap();
    let handle = consoles.get(RUN).unwrap();
    let mut seen = Seen::default();
    while seen.pieces.len() < 300 {
        seen.take(next(&mut shown).await);
    }
    let [warning] = &consoles.warnings()[..] else { panic!("{:?}", consoles.warnings()) };
    assert!(warning.contains("session 7") && warning.contains("the disk is full"), "{warning}");
    // Who comes meanwhile sees it too, also when nobody else watches.
    drop(shown);
    let late = view(&consoles, Begin::At(1), false).await;
    assert!(late.pieces.len() >= 300);
    late.assert_contiguous("late");
    assert_eq!(handle.last_lines(1, 500).await.len(), 1);
    within(handle.drained()).await;
    spool.set_full(false);
    consoles.end(SESSION).await.unwrap();
    assert_eq!(consoles.warnings(), Vec::<String>::new());
    let all = view(&consoles, Begin::At(1), true).await;
    all.assert_contiguous("all");
    world.assert_whole(&all, RUN, "all");
    assert!(all.gaps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_full_disk_cannot_take_is_a_gap_with_its_size() {
    let spool = MemorySpool::default();
    let mut world = World::with(5, Arc::new(spool.clone()));
    world.config.unkept_bytes = 8 << 10;
    world.create(RUN, flood(4000, false)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    let mut live = consoles.view(SESSION, Begin::At(1), true).await.unwrap();
    let mut seen = Seen::default();
    while seen.pieces.len() < 1000 {
        seen.take(next(&mut live).await);
    }
    spool.set_full(true);
    world.engine.set_live_restore(true);
    while seen.pieces.len() < 6000 {
        seen.take(next(&mut live).await);
    }
    // The place in the output is known all the same.
    world.engine.stop();
    world.engine.start();
    while seen.pieces.len() < 6500 {
        seen.take(next(&mut live).await);
    }
    assert!(consoles.warnings()[0].contains("shown and not kept"), "{:?}", consoles.warnings());
    spool.set_full(false);
    within(consoles.get(RUN).unwrap().drained()).await;
    consoles.end(SESSION).await.unwrap();
    while let Some(item) = within(live.next()).await {
        seen.take(item);
    }
    // Who watched has seen all.
    seen.assert_contiguous("live");
    world.assert_whole(&seen, RUN, "live");
    // What is kept has a gap, and else the same numbers.
    let kept = view(&consoles, Begin::At(1), false).await;
    assert!(kept.pieces.iter().all(|(number, piece)| seen.pieces[number] == *piece));
    let missing: Vec<_> =
        seen.pieces.iter().filter(|(number, _)| !kept.pieces.contains_key(number)).collect();
    let bytes: usize = missing.iter().map(|(_, (.., piece))| piece.len()).sum();
    assert!(missing.len() > 1000);
    let lines: u64 = kept.gaps.iter().map(|(_, gap)| gap.lines.unwrap()).sum();
    let gap_bytes: u64 = kept.gaps.iter().map(|(_, gap)| gap.bytes.unwrap()).sum();
    assert_eq!((lines, gap_bytes), (missing.len() as u64, bytes as u64));
    assert_eq!(Some(&kept.gaps[0].0), missing.first().map(|(number, _)| *number));
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_the_engine_is_told_with_a_number_of_its_own() {
    let world = World::new(5);
    world.engine.set_live_restore(true);
    world.create(RUN, flood(1000, false)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(consoles);
    tokio::time::sleep(Duration::from_millis(800)).await;
    world.engine.rotate(RUN, 50);
    let consoles = world.consoles();
    let handle = consoles.open(RUN, false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    world.engine.stop();
    world.engine.start();
    within(handle.drained()).await;
    consoles.end(SESSION).await.unwrap();
    let seen = view(&consoles, Begin::At(1), true).await;
    let [(number, gap)] = &seen.gaps[..] else { panic!("{:?}", seen.gaps) };
    assert_eq!(seen.pieces.len() as u64 + gap.lines.unwrap(), 2002);
    assert_eq!(world.engine.violations(), Vec::<String>::new());
    assert_eq!(seen.next - 1, seen.pieces.len() as u64 + 1);
    assert!(!seen.pieces.contains_key(number));
}

#[tokio::test(start_paused = true)]
async fn input_has_its_outcome() {
    let world = World::new(5);
    world.create(RUN, Script::default()).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    let handle = consoles.get(RUN).unwrap();
    let soon = Duration::from_secs(5);
    assert_eq!(handle.write_line(&line("hello"), soon).await, Outcome::Done);
    assert_eq!(handle.write_line(&line("err oops"), soon).await, Outcome::Done);
    assert_eq!(handle.write_line(&line("save"), soon).await, Outcome::Done);
    world.engine.freeze();
    let frozen = handle.write_line(&line("frozen"), soon).await;
    assert!(matches!(frozen, Outcome::Unknown(_)), "{frozen:?}");
    world.engine.thaw();
    assert_eq!(handle.write_line(&line("quit"), soon).await, Outcome::Done);
    within(handle.drained()).await;
    let late = handle.write_line(&line("late"), soon).await;
    assert!(matches!(late, Outcome::Refused(_)), "{late:?}");
    // The game may have got a part of "frozen", so what follows begins on a line of its own.
    assert_eq!(handle.last_lines(9, 500).await, ["hello", "oops", "saved", "", "bye"]);
    assert!(world.ends.load(Ordering::Relaxed) >= 1, "the end wakes whoever inspects");
}

#[tokio::test(start_paused = true)]
async fn a_game_that_does_not_read_refuses_what_the_queue_cannot_hold() {
    let world = World::new(5);
    world.create(RUN, Script::default().stdin(Stdin::Unread)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    let handle = consoles.get(RUN).unwrap();
    let line = line("x");
    let writes = (0..200).map(|_| handle.write_line(&line, Duration::from_secs(600)));
    let outcomes = futures::future::join_all(writes).await;
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| wanted(outcome)).count();
    let refused = count(|outcome| matches!(outcome, Outcome::Refused(_)));
    assert_eq!(refused, 136, "64 wait");
    let more = handle.write_line(&line, Duration::from_secs(600)).await;
    assert!(matches!(more, Outcome::Unknown(_)), "its pipe is full: {more:?}");
    // Its neighbour takes lines as ever.
    let other = AttemptId::new(SessionId(8), 1);
    world.runtime().kill(RUN).await.unwrap();
    world.runtime().retire(RUN).await.unwrap();
    world.create(other, Script::default()).await;
    world.start(&consoles, other).await;
    let handle = consoles.get(other).unwrap();
    assert_eq!(handle.write_line(&line, Duration::from_secs(5)).await, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn a_line_waits_for_a_console_that_is_opened_again() {
    let world = World::new(5);
    world.engine.set_live_restore(true);
    world.create(RUN, Script::default()).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    let handle = consoles.get(RUN).unwrap();
    world.engine.stop();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let refused = handle.write_line(&line("nobody takes it"), Duration::from_secs(1)).await;
    assert!(matches!(refused, Outcome::Refused(_)), "{refused:?}");
    let line = line("there");
    let write = handle.write_line(&line, Duration::from_secs(30));
    let back = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.engine.start();
    };
    let (outcome, ()) = tokio::join!(write, back);
    assert_eq!(outcome, Outcome::Done);
    let mut shown = consoles.view(SESSION, Begin::At(1), true).await.unwrap();
    let mut seen = Seen::default();
    while seen.pieces.is_empty() {
        seen.take(next(&mut shown).await);
    }
    assert_eq!(seen.text(1, Channel::Stdout), b"there\n");
}

#[tokio::test(start_paused = true)]
async fn a_console_that_cannot_be_opened_fails_before_the_start() {
    let world = World::new(5);
    let consoles = world.consoles();
    assert_eq!(consoles.open(RUN, true).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(consoles.get(RUN).is_none());
    world.create(RUN, flood(10, false)).await;
    world.engine.stop();
    assert_eq!(consoles.open(RUN, true).await.unwrap_err().kind(), ErrorKind::Unavailable);
    world.engine.start();
    world.start(&consoles, RUN).await;
    within(consoles.get(RUN).unwrap().drained()).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_removed_by_somebody_else_leaves_a_gap() {
    let world = World::new(5);
    world.create(RUN, flood(100_000, false)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(consoles);
    world.engine.remove(RUN);
    let consoles = world.consoles();
    let handle = consoles.open(RUN, false).await.unwrap();
    within(handle.drained()).await;
    consoles.end(SESSION).await.unwrap();
    let seen = view(&consoles, Begin::At(1), true).await;
    assert!(seen.gaps.len() == 1 && seen.gaps[0].1.uncertain, "{:?}", seen.gaps);
    assert_eq!(seen.gaps[0].0, seen.pieces.len() as u64 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_or_restarted_engine_costs_nothing() {
    let world = World::new(5);
    world.engine.set_live_restore(true);
    world.create(RUN, flood(3000, true)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        world.engine.freeze();
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.engine.thaw();
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.engine.stop();
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.engine.start();
    }
    within(consoles.get(RUN).unwrap().drained()).await;
    consoles.end(SESSION).await.unwrap();
    let seen = view(&consoles, Begin::At(1), true).await;
    seen.assert_contiguous("all");
    world.assert_whole(&seen, RUN, "all");
    assert!(world.ends.load(Ordering::Relaxed) >= 4, "each break is hinted at");
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_is_seen_until_it_is_swept() {
    let mut world = World::new(5);
    world.config.spool.keep_days = 3;
    world.create(RUN, flood(10, true)).await;
    let consoles = world.consoles();
    let nobody = consoles.view(SESSION, Begin::At(1), true).await.map(drop);
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::NotFound);
    world.start(&consoles, RUN).await;
    within(consoles.get(RUN).unwrap().drained()).await;
    assert_eq!(consoles.sweep().await.unwrap(), [], "it has not ended");
    consoles.end(SESSION).await.unwrap();
    drop(consoles);
    let consoles = world.consoles();
    tokio::time::sleep(Duration::from_secs(2 * 86_400)).await;
    assert_eq!(consoles.sweep().await.unwrap(), []);
    for follow in [true, false] {
        assert_eq!(view(&consoles, Begin::At(1), follow).await.pieces.len(), 22);
        assert_eq!(view(&consoles, Begin::Last(2), follow).await.pieces.len(), 2);
    }
    tokio::time::sleep(Duration::from_secs(2 * 86_400)).await;
    assert_eq!(consoles.sweep().await.unwrap(), [SESSION]);
    assert!(consoles.view(SESSION, Begin::At(1), false).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_a_session_that_is_not_taken_up_yet_waits_for_it() {
    let world = World::new(5);
    world.create(RUN, flood(200, true)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(consoles);
    let consoles = world.consoles();
    let mut shown = consoles.view(SESSION, Begin::At(1), true).await.unwrap();
    let mut seen = Seen::default();
    seen.take(next(&mut shown).await);
    let handle = consoles.open(RUN, false).await.unwrap();
    within(handle.drained()).await;
    consoles.end(SESSION).await.unwrap();
    while let Some(item) = within(shown.next()).await {
        seen.take(item);
    }
    seen.assert_contiguous("all");
    world.assert_whole(&seen, RUN, "all");
}

/// A spool whose disk can be held up.
#[derive(Clone, Debug, Default)]
struct HeldUp {
    spool: MemorySpool,
    gate: Gate,
    /// Reading and marks of ends fail.
    broken: Arc<AtomicBool>,
}

impl HeldUp {
    fn works(&self) -> Result<()> {
        match self.broken.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Unavailable, "use the disk", "it is broken")),
            false => Ok(()),
        }
    }
}

#[derive(Debug)]
struct HeldUpHistory {
    history: Box<dyn History>,
    spool: HeldUp,
}

impl History for HeldUpHistory {
    fn span(&mut self) -> Result<Span> {
        self.history.span()
    }

    fn read(&mut self, from: u64, until: u64, enough: usize) -> Result<Vec<Entry>> {
        self.spool.works()?;
        self.history.read(from, until, enough)
    }
}

impl Spool for HeldUp {
    fn blocks(&self) -> bool {
        true
    }

    fn open(&self, session: SessionId) -> Result<Box<dyn Keeper>> {
        if session == SESSION {
            self.gate.pass();
        }
        Ok(Box::new(HeldUpKeeper { keeper: self.spool.open(session)?, spool: self.clone() }))
    }

    fn read(&self, session: SessionId) -> Result<Option<Box<dyn History>>> {
        let history = self.spool.read(session)?;
        Ok(history
            .map(|history| Box::new(HeldUpHistory { history, spool: self.clone() }) as Box<dyn History>))
    }

    fn resume(&self, session: SessionId, attempt: u32, until: u64) -> Result<Option<Resume>> {
        self.spool.resume(session, attempt, until)
    }

    fn end(&self, session: SessionId, at: Timestamp) -> Result<()> {
        self.works()?;
        self.spool.end(session, at)
    }

    fn ended(&self, session: SessionId) -> Result<Option<Timestamp>> {
        self.spool.ended(session)
    }

    fn list(&self) -> Result<Vec<Holding>> {
        self.spool.list()
    }

    fn remove(&self, session: SessionId) -> Result<()> {
        self.spool.remove(session)
    }
}

#[derive(Debug)]
struct HeldUpKeeper {
    keeper: Box<dyn Keeper>,
    spool: HeldUp,
}

impl Keeper for HeldUpKeeper {
    fn span(&self) -> Span {
        self.keeper.span()
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.spool.gate.pass();
        self.keeper.append(entries)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_answer_holds_up_nobody() {
    let spool = HeldUp::default();
    let world = World::with(5, Arc::new(spool.clone()));
    world.create(RUN, flood(4000, false)).await;
    let consoles = world.consoles();
    consoles.open(RUN, true).await.unwrap();
    let mut shown = consoles.view(SESSION, Begin::At(1), true).await.unwrap();
    let mut seen = Seen::default();
    let held = spool.gate.shut();
    world.runtime().start(RUN).await.unwrap();
    let told = async {
        while seen.pieces.len() < 6000 || consoles.warnings().is_empty() {
            tokio::select! {
                item = next(&mut shown), if seen.pieces.len() < 6000 => seen.take(item),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    };
    within(told).await;
    let [warning] = &consoles.warnings()[..] else { panic!("{:?}", consoles.warnings()) };
    assert!(warning.contains("does not answer"), "{warning}");
    within(consoles.get(RUN).unwrap().drained()).await;
    drop(held);
    consoles.end(SESSION).await.unwrap();
    while let Some(item) = within(shown.next()).await {
        seen.take(item);
    }
    for seen in [&seen, &view(&consoles, Begin::At(1), false).await] {
        seen.assert_contiguous("all");
        world.assert_whole(seen, RUN, "all");
    }
}

/// Virtual time stands still while the disk writes, so that it is never taken for one that hangs.
#[tokio::test(start_paused = true)]
async fn what_is_read_faster_than_a_disk_writes_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let spool = FileSpool::new(dir.path(), SpoolConfig::default()).unwrap();
    let mut world = World::with(9, Arc::new(spool));
    world.config.unkept_bytes = 64 << 10;
    let many = Act::Count { lines: 50_000, pause: Duration::ZERO, same: false };
    world.create(RUN, Script::of([many, Act::Exit(0)])).await;
    world.runtime().start(RUN).await.unwrap();
    while !world.engine.live().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let consoles = world.consoles();
    let handle = consoles.open(RUN, false).await.unwrap();
    within(handle.drained()).await;
    consoles.end(SESSION).await.unwrap();
    let all = view(&consoles, Begin::At(1), true).await;
    all.assert_contiguous("all");
    world.assert_whole(&all, RUN, "all");
}

/// The same on a disk and in real time, with threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_disk_deaths_lose_double_and_renumber_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = manman_core::host::console::ConsoleConfig::default();
    config.spool.session_bytes = 4 << 20;
    let spool = || Arc::new(FileSpool::new(dir.path(), config.spool.clone()).unwrap());
    let mut world = World::with(9, spool() as Arc<dyn Spool>);
    world.config = config.clone();
    world.create(RUN, flood(1500, true)).await;
    let mut consoles = world.consoles();
    world.start(&consoles, RUN).await;
    let mut seen = Seen::default();
    for n in 1..8 {
        seen.again();
        let from = Begin::At(n * 100);
        let mut shown = consoles.view(SESSION, from, true).await.unwrap();
        while seen.next < n * 250 {
            seen.take(next(&mut shown).await);
        }
        drop((consoles, shown));
        world.spool = spool();
        consoles = world.consoles();
        consoles.open(RUN, false).await.unwrap();
    }
    within(consoles.get(RUN).unwrap().drained()).await;
    consoles.end(SESSION).await.unwrap();
    let all = view(&consoles, Begin::At(1), true).await;
    all.assert_contiguous("all");
    world.assert_whole(&all, RUN, "all");
    assert!(seen.pieces.iter().all(|(number, piece)| all.pieces[number] == *piece));
    let shown = consoles.view(SESSION, Begin::Last(3), false).await.unwrap().collect::<Vec<Shown>>().await;
    assert!(!shown.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_disk_does_not_answer_holds_up_no_other() {
    let spool = HeldUp::default();
    let world = World::with(5, Arc::new(spool.clone()));
    let other = AttemptId::new(SessionId(8), 1);
    world.create(RUN, flood(10, false)).await;
    let consoles = world.consoles();
    let held = spool.gate.shut();
    let stuck = consoles.clone();
    let stuck = tokio::spawn(async move { stuck.open(RUN, true).await.map(drop) });
    tokio::task::yield_now().await;
    within(consoles.open(other, false)).await.unwrap();
    assert!(!stuck.is_finished());
    drop(held);
    within(stuck).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_end_that_could_not_be_noted_is_told_and_noted_by_the_next_call() {
    let spool = HeldUp::default();
    let world = World::with(5, Arc::new(spool.clone()));
    world.create(RUN, flood(10, false)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    within(consoles.get(RUN).unwrap().drained()).await;
    spool.broken.store(true, Ordering::Relaxed);
    assert_eq!(consoles.end(SESSION).await.unwrap_err().kind(), ErrorKind::Unavailable);
    spool.broken.store(false, Ordering::Relaxed);
    // Somebody who comes now waits, and not for ever.
    let mut shown = consoles.view(SESSION, Begin::Last(1), true).await.unwrap();
    assert!(matches!(next(&mut shown).await, Shown::Output { .. }));
    consoles.end(SESSION).await.unwrap();
    assert!(within(shown.next()).await.is_none());
    assert_eq!(view(&consoles, Begin::At(1), true).await.pieces.len(), 22);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_is_a_gap_that_says_why() {
    let spool = HeldUp::default();
    let world = World::with(5, Arc::new(spool.clone()));
    world.create(RUN, flood(10, false)).await;
    let consoles = world.consoles();
    world.start(&consoles, RUN).await;
    within(consoles.get(RUN).unwrap().drained()).await;
    spool.broken.store(true, Ordering::Relaxed);
    let recorded = view(&consoles, Begin::At(1), false).await;
    spool.broken.store(false, Ordering::Relaxed);
    consoles.end(SESSION).await.unwrap();
    spool.broken.store(true, Ordering::Relaxed);
    for seen in [recorded, view(&consoles, Begin::At(1), true).await] {
        let [(1, gap)] = &seen.gaps[..] else { panic!("{:?}", seen.gaps) };
        assert_eq!((gap.lines, seen.pieces.len(), seen.lagged), (Some(22), 0, 0));
        assert!(gap.reason.contains("it is broken"), "{}", gap.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_not_understood_costs_doubled_lines_and_not_the_console() {
    let world = World::new(5);
    world.create(RUN, Script::default()).await;
    let strange = Position::from_bytes(b"of a later version").unwrap();
    let batch = Batch::of([(Channel::Stdout, &b"before\n"[..])], strange, Timestamp::default()).unwrap();
    let entry = Entry { first: 1, numbers: 1, attempt: 1, what: Kept::Output(Arc::new(batch)) };
    world.spool.open(SESSION).unwrap().append(&[entry]).unwrap();
    let consoles = world.consoles();
    let handle = consoles.open(RUN, true).await.unwrap();
    world.runtime().start(RUN).await.unwrap();
    assert_eq!(handle.write_line(&line("there"), Duration::from_secs(5)).await, Outcome::Done);
    let mut shown = consoles.view(SESSION, Begin::At(1), true).await.unwrap();
    let mut seen = Seen::default();
    while seen.pieces.len() < 2 {
        seen.take(next(&mut shown).await);
    }
    assert_eq!(seen.text(1, Channel::Stdout), b"before\nthere\n");
    let [(2, gap)] = &seen.gaps[..] else { panic!("{:?}", seen.gaps) };
    assert!(gap.uncertain, "{gap:?}");
    assert_eq!(world.engine.violations(), Vec::<String>::new());
}
