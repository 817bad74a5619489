//! The journal's disk is full, may only be read, is broken, or hangs: games that run are
//! served all the same, what needs the disk waits or says why it cannot be, and beats tell.

use std::sync::Arc;

use manman_core::{
    console::Channel,
    error::{ErrorKind, Result},
    host::journal::{Disk, Journal, MemoryDisk},
    id::SgcId,
    memory::runtime::{Image, OnSignal, Pull, PullOutcome, Script},
    model::{ConfigBody, State, StopPlan, StopStep, reason::ReasonCode},
    wire::Outcome,
};
use tokio::time::Instant;

use super::{
    gate::Gate,
    world::{World, alice, millis, run, secs},
};

/// A deployment that is told to save and to say bye before its signal.
async fn saving(world: &mut World) -> SgcId {
    let image = "saving:1".parse().unwrap();
    let script = Script::default().on_signal(OnSignal::Exit { after: millis(100), code: 0 });
    world.engine.image(&image, Image::of(script));
    let step = |command: &str| StopStep { command: command.parse().unwrap(), wait_millis: 500 };
    let stop = StopPlan { steps: vec![step("save"), step("say bye")], ..StopPlan::default() };
    world.deployed(ConfigBody { stop, ..ConfigBody::new(image) }).await
}

#[tokio::test(start_paused = true)]
async fn a_game_is_told_to_save_also_when_the_disk_is_full() {
    for how in [ErrorKind::Busy, ErrorKind::Denied, ErrorKind::Unavailable] {
        let mut world = World::begin().await;
        let sgc = saving(&mut world).await;
        let session = world.up(sgc).await;
        world.disk.refuse(Some(how));
        let before = Instant::now();
        world.stop(session).await;
        let stopped = world.until(session, State::Stopped).await;
        assert!(before.elapsed() < secs(3), "{how:?}: {:?}", before.elapsed());
        assert_eq!(stopped.last_lines, ["saved", "say bye"], "{how:?}");
        world.when(async || world.wrong().await.contains("the journal cannot be written")).await;
        world.disk.refuse(None);
        world.when(async || world.wrong().await.is_empty()).await;
        world.clean().await;
        world.all_well();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_before_that_is_on_the_disk() {
    let mut world = World::begin().await;
    let image = "large:1".parse().unwrap();
    let pull = Pull { takes: secs(10), steps: 10, outcome: PullOutcome::Here };
    world.engine.image(&image, Image::of(Script::default()).pulled(pull));
    let sgc = world.deployed(ConfigBody::new(image)).await;
    let session = world.start(sgc).await;
    world.until(session, State::Starting).await;
    tokio::time::sleep(secs(5)).await;
    world.disk.refuse(Some(ErrorKind::Unavailable));
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.live(), [], "it was started, and no disk knows of it");
    world.disk.refuse(None);
    world.until(session, State::Running).await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_start_that_cannot_be_written_down_says_so() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let old = world.up(sgc).await;
    let sgc = world.playing(Script::default()).await;
    for (how, code, patience) in [
        (ErrorKind::Busy, ReasonCode::DiskFull, secs(2)),
        (ErrorKind::Denied, ReasonCode::DataDirectory, secs(2)),
        (ErrorKind::Unavailable, ReasonCode::Expired, secs(70)),
    ] {
        world.disk.refuse(Some(how));
        let before = Instant::now();
        let session = world.start(sgc).await;
        let failed = world.until(session, State::Failed).await;
        assert!(before.elapsed() < patience, "{how:?}: {:?}", before.elapsed());
        assert_eq!(failed.reason.code, code, "{how:?}: {}", failed.reason);
        assert!(failed.reason.text.contains("write the journal"), "{how:?}: {}", failed.reason);
        assert!(world.wrong().await.contains("the journal") || how != ErrorKind::Unavailable);
        assert_eq!(world.live(), [run(old, 1)]);
        world.disk.refuse(None);
        world.when(async || world.wrong().await.is_empty()).await;
    }
    world.up(sgc).await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_cannot_be_written_down_leaves_no_riddle() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.disk.refuse(Some(ErrorKind::Denied));
    world.control.session_restart(session, &alice()).await.unwrap();
    let failed = world.until(session, State::Failed).await;
    assert_eq!(failed.reason.code, ReasonCode::DataDirectory, "{failed:?}");
    assert_eq!(failed.reason.text, "write the journal: the disk refuses");
    let timeline = world.control.session_timeline(session).await.unwrap();
    assert!(timeline.iter().any(|entry| entry.reason.code == ReasonCode::Restarted), "{timeline:?}");
    world.clean().await;
    world.all_well();
}

/// A disk that takes nothing and refuses nothing, until it is let go on.
#[derive(Debug)]
struct HungDisk {
    inner: MemoryDisk,
    gate: Gate,
}

impl Disk for HungDisk {
    fn blocks(&self) -> bool {
        true
    }

    fn load(&mut self) -> Result<Vec<u8>> {
        self.inner.load()
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.gate.pass();
        self.inner.append(bytes)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        self.gate.pass();
        self.inner.replace(bytes)
    }

    fn set_aside(&mut self) -> Result<String> {
        self.inner.set_aside()
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_stops_no_host() {
    let mut world = World::begin().await;
    let (saves, plain) = (saving(&mut world).await, world.playing(Script::default()).await);
    let (crashes, later) = (world.playing(Script::default()).await, world.playing(Script::default()).await);
    let (stopped, killed, crashed) = (world.up(saves).await, world.up(plain).await, world.up(crashes).await);
    world.kill().await;
    let gate = Gate::default();
    let hangs = gate.shut();
    let disk = HungDisk { inner: world.disk.clone(), gate };
    let runtime = Arc::new(world.engine.runtime(world.owner.clone()));
    let manager = world.manager_with(runtime, world.uplink.clone(), Journal::open(disk).unwrap());
    drop(world.run(manager));

    world.when(async || world.wrong().await.contains("the journal's disk has not answered")).await;
    // What is not to be done twice is not done, and that is answered.
    let before = Instant::now();
    let receipt = world.control.session_input(stopped, &"hello".parse().unwrap(), &alice()).await.unwrap();
    assert!(matches!(&receipt.outcome, Outcome::Refused(why) if why.contains("journal")), "{receipt:?}");
    assert!(before.elapsed() < secs(8), "{:?}", before.elapsed());
    // New games say why they do not come.
    let failing = world.start(later).await;
    // What ends, ends as ever, and is told.
    let before = Instant::now();
    world.stop(stopped).await;
    world.kill_session(killed).await;
    world.engine.crash(run(crashed, 1), 3);
    let stopped = world.until(stopped, State::Stopped).await;
    assert_eq!(stopped.last_lines, ["saved", "say bye"]);
    assert_eq!(stopped.exit_code, Some(0));
    assert_eq!(world.until(killed, State::Stopped).await.exit_code, Some(137));
    assert_eq!(world.until(crashed, State::Crashed).await.exit_code, Some(3));
    assert!(before.elapsed() < secs(30), "{:?}", before.elapsed());
    let failed = world.until(failing, State::Failed).await;
    assert!(failed.reason.text.contains("journal: its disk does not answer"), "{}", failed.reason);
    world.clean().await;

    drop(hangs);
    let well = async || {
        // The disk's thread lives in real time.
        std::thread::sleep(millis(1));
        world.wrong().await.is_empty()
    };
    world.when(well).await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_line_is_given_once_while_the_disk_refuses_now_and_then() {
    for seed in 0..8 {
        let mut world = World::still(seed).await;
        world.process();
        world.manage();
        let sgc = saving(&mut world).await;
        let session = world.up(sgc).await;
        let disk = world.disk.clone();
        let flaps = tokio::spawn(async move {
            for n in 0_u64.. {
                disk.refuse((n % 3 != 0).then_some(ErrorKind::Unavailable));
                tokio::time::sleep(millis(90 + 40 * (seed + n) % 170)).await;
            }
        });
        world.stop(session).await;
        world.until(session, State::Stopped).await;
        let printed = world.kept(session);
        assert_eq!(printed, "saved\nsay bye\n", "seed {seed}");
        flaps.abort();
        assert_eq!(world.engine.printed(run(session, 1), Channel::Stderr).unwrap_or_default(), b"");
    }
}
