//! Consoles whose disk refuses, whose reader is slow, whose clock is wrong: what can be kept
//! is kept, and what is missing is on record.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::StreamExt;
use manman_core::{
    clock::{SystemClock, Timestamp},
    console::{Gap, Position, Resume},
    error::Result,
    host::{
        console::{ConsoleConfig, Consoles},
        spool::{Entry, History, Holding, Keeper, Kept, MemorySpool, Spool},
    },
    id::{AttemptId, SessionId},
    memory::runtime::{Act, Faults, MemoryRuntime, Script},
    model::State,
    viewing::{Begin, Viewing},
    wire::Outcome,
};
use tokio::{sync::Notify, time::timeout};

use super::{
    gate::Gate,
    world::{World, alice, millis, run, secs},
};

#[tokio::test(start_paused = true)]
async fn a_console_that_cannot_be_opened_at_first_is_opened_later() {
    let mut world = World::begin().await;
    let counts = Act::Count { lines: 60, pause: secs(1), same: false };
    let sgc = world.playing(Script::of([counts])).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.spool.set_shut(true);
    world.manage();
    let deaf = format!("the console of session {session} cannot be opened");
    world.when(async || world.wrong().await.contains(&deaf)).await;
    assert!(world.wrong().await.contains("too many open files"));
    tokio::time::sleep(secs(20)).await;
    let receipt = world.control.session_input(session, &"early".parse().unwrap(), &alice()).await.unwrap();
    assert!(matches!(receipt.outcome, Outcome::Refused(_)), "{receipt:?}");
    assert!(!world.kept(session).contains("out 15\n"));
    world.spool.set_shut(false);
    tokio::time::sleep(secs(10)).await;
    assert!(world.wrong().await.is_empty(), "{}", world.wrong().await);
    let receipt = world.control.session_input(session, &"late".parse().unwrap(), &alice()).await.unwrap();
    assert_eq!(receipt.outcome, Outcome::Done);
    tokio::time::sleep(secs(40)).await;
    let kept = world.kept(session);
    for line in 1..=60 {
        assert_eq!(kept.matches(&format!("out {line}\n")).count(), 1, "line {line} of {kept}");
    }
    assert!(kept.contains("late\n") && !kept.contains("early\n"), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_opens_a_console_that_is_not_open_and_so_does_a_removal() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.spool.set_shut(true);
    world.manage();
    tokio::time::sleep(secs(30)).await;
    world.engine.crash(run(session, 1), 4);
    world.until(session, State::Crashed).await;
    // It is on record as ended; what it printed waits for its console.
    tokio::time::sleep(secs(20)).await;
    assert_eq!(world.engine.holds().0, 1);
    world.spool.set_shut(false);
    let took = world.clean().await;
    assert!(took < secs(10), "{took:?}");
    world.when(async || world.wrong().await.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_unread_leaves_a_gap() {
    let mut world = World::begin().await;
    let acts = [Act::Wait(secs(5)), Act::Count { lines: 10, pause: secs(1), same: false }, Act::Exit(3)];
    let sgc = world.playing(Script::of(acts)).await;
    let session = world.up(sgc).await;
    tokio::time::sleep(secs(8)).await;
    world.engine.set_faults(Faults { broken_consoles: 1.0, ..Faults::default() });
    world.until(session, State::Crashed).await;
    let took = world.clean().await;
    assert!(took > secs(50) && took < secs(90), "{took:?}");
    let kept = world.kept(session);
    let gap = "[its container was removed before all of it was read]";
    assert!(kept.contains("out 1\n") && !kept.contains("out 10\n") && kept.ends_with(gap), "{kept}");
    assert_eq!(kept.matches('[').count(), 1, "{kept}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_right_makes_no_console_old() {
    const MONTH: i64 = 30 * 86_400 * 1_000_000;
    let mut world = World::still(7).await;
    // No battery: it begins where it was switched off.
    world.clock_ahead.store(-MONTH, Ordering::SeqCst);
    world.process();
    world.manage();
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.crash(run(session, 1), 3);
    world.until(session, State::Crashed).await;
    world.clean().await;
    let spool = world.spool.clone();
    let ended_at = || spool.list().unwrap().first().and_then(|held| held.ended_at);
    tokio::time::sleep(secs(60)).await;
    let stamp = ended_at().unwrap();
    world.clock_ahead.store(0, Ordering::SeqCst);
    tokio::time::sleep(secs(660)).await;
    let right = ended_at().expect("it was removed as too old");
    let put_right = right.since(stamp);
    assert!(put_right > secs(29 * 86_400) && put_right < secs(31 * 86_400), "{put_right:?}");
    // Nor does whoever comes after us take it for old.
    world.bounce().await;
    tokio::time::sleep(secs(660)).await;
    assert_eq!(ended_at(), Some(right));
    // Nor one whose clock runs ahead for a while.
    world.clock_ahead.store(MONTH, Ordering::SeqCst);
    tokio::time::sleep(secs(660)).await;
    assert_eq!(ended_at(), Some(right));
}

const SESSION: SessionId = SessionId(7);

/// Holds whoever asks for the first time whether the session has ended, after it was looked.
#[derive(Debug, Default)]
struct Between {
    spool: MemorySpool,
    asked: AtomicBool,
    looked: Notify,
    gate: Gate,
}

impl Spool for Between {
    fn blocks(&self) -> bool {
        true
    }

    fn open(&self, session: SessionId) -> Result<Box<dyn Keeper>> {
        self.spool.open(session)
    }

    fn read(&self, session: SessionId) -> Result<Option<Box<dyn History>>> {
        self.spool.read(session)
    }

    fn resume(&self, session: SessionId, attempt: u32, until: u64) -> Result<Option<Resume>> {
        self.spool.resume(session, attempt, until)
    }

    fn end(&self, session: SessionId, at: Timestamp) -> Result<()> {
        self.spool.end(session, at)
    }

    fn ended(&self, session: SessionId) -> Result<Option<Timestamp>> {
        let ended = self.spool.ended(session);
        if !self.asked.swap(true, Ordering::SeqCst) {
            self.looked.notify_one();
            self.gate.pass();
        }
        ended
    }

    fn list(&self) -> Result<Vec<Holding>> {
        self.spool.list()
    }

    fn remove(&self, session: SessionId) -> Result<()> {
        self.spool.remove(session)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_a_session_ends_comes_to_its_end() {
    let spool = Arc::new(Between::default());
    let held = spool.gate.shut();
    let gap = Gap { channel: None, bytes: None, lines: None, uncertain: true, reason: "a gap".to_owned() };
    let what = Kept::Gap(gap, Position::START, Timestamp::default());
    spool.open(SESSION).unwrap().append(&[Entry { first: 1, numbers: 1, attempt: 1, what }]).unwrap();
    let consoles = Consoles::new(
        Arc::new(MemoryRuntime::default()),
        spool.clone(),
        Arc::new(SystemClock),
        ConsoleConfig::default(),
        Box::new(|_: AttemptId| {}),
    );
    let follows = consoles.clone();
    let follower = tokio::spawn(async move {
        let shown = follows.view(SESSION, Begin::At(1), true).await.unwrap();
        shown.count().await
    });
    spool.looked.notified().await;
    consoles.end(SESSION).await.unwrap();
    drop(held);
    let shown = timeout(secs(20), follower).await;
    assert_eq!(shown.expect("it follows for ever").unwrap(), 1);
    assert_eq!(consoles.sweep().await.unwrap(), []);
    tokio::time::sleep(millis(1)).await;
}
