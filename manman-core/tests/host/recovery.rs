use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use manman_core::{
    blob::{BlobKey, BlobStream, Presigned},
    error::{Error, ErrorKind, Result},
    host::journal::MemoryDisk,
    id::{AttemptId, Generation, SessionId},
    memory::runtime::{Deeds, Script},
    model::{SessionSpec, State, reason::ReasonCode},
    testkit::broker::BrokerFaults as _,
    uplink::{HostIdentity, Known, Registration, Snapshot, Uplink, Welcomed},
};

use super::world::{World, alice, millis, run, secs};

/// How often games were started.
fn starts(world: &World) -> usize {
    world.engine.deeds().iter().filter(|deed| deed.what == Deeds::Started).count()
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_dies_is_not_noticed_by_its_games() {
    let mut world = World::begin().await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let sgc = world.playing(Script::default()).await;
        sessions.push(world.up(sgc).await);
    }
    let mut revisions = Vec::new();
    for &session in &sessions {
        revisions.push(world.session(session).await.revision);
    }
    for _ in 0..5 {
        world.bounce().await;
        tokio::time::sleep(secs(4)).await;
    }
    for (&session, revision) in sessions.iter().zip(revisions) {
        let now = world.session(session).await;
        // Not even for a moment was it anything else.
        assert_eq!((now.state, now.revision), (State::Running, revision));
    }
    assert_eq!(starts(&world), 20);
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_seen_again_is_running() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.until(session, State::Lost).await;
    world.manage();
    world.until(session, State::Running).await;
    assert_eq!(starts(&world), 1);
}

/// The control plane's store is taken back to an old copy while hosts know more: what is wanted
/// from then on counts, and what ended meanwhile is said to have.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_restored_from_an_old_copy_is_healed() {
    let mut world = World::begin().await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let sgc = world.playing(Script::default()).await;
        sessions.push(world.up(sgc).await);
    }
    let [restarted, forgotten, stopping, untouched] = sessions[..] else { unreachable!() };
    let copy = world.books.backup();

    for restarts in 2..=3 {
        world.control.session_restart(restarted, &alice()).await.unwrap();
        world.when(async || world.live().contains(&run(restarted, restarts))).await;
    }
    world.stop(forgotten).await;
    world.until(forgotten, State::Stopped).await;
    tokio::time::sleep(secs(60)).await;
    // This one's end is not on record when the copy comes.
    world.broker.stop().await;
    world.stop(stopping).await;
    world.when(async || !world.live().contains(&run(stopping, 1))).await;
    world.books.restore(&copy);
    assert_eq!(world.session(forgotten).await.state, State::Running);
    world.broker.start().await;

    world.until(stopping, State::Stopped).await;
    let ended = world.until(forgotten, State::Crashed).await;
    assert!(ended.reason.text.contains("restored from an old copy"), "{}", ended.reason.text);
    let known = async |session| world.session(session).await.generation;
    world.when(async || known(restarted).await > Generation(3)).await;
    assert_eq!(known(untouched).await, Generation(1));
    for session in [restarted, untouched] {
        world.stop(session).await;
        world.until(session, State::Stopped).await;
    }
    world.clean().await;
    // Each of them was started once, and one restarted twice.
    assert_eq!(starts(&world), 6);
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_lost_while_it_stopped_is_stopped() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.stop(session).await;
    world.until(session, State::Lost).await;
    world.manage();
    world.until(session, State::Stopped).await;
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_journal_is_rebuilt_from_labels_and_snapshot() {
    let mut world = World::begin().await;
    let kept = world.playing(Script::default()).await;
    let ended = world.playing(Script::exits(secs(60), 5)).await;
    let (kept, ended) = (world.up(kept).await, world.up(ended).await);
    world.kill().await;
    tokio::time::sleep(secs(65)).await;
    for damage in [Vec::new(), b"garbage".to_vec()] {
        world.disk.set(damage);
        world.bounce().await;
        tokio::time::sleep(secs(10)).await;
        assert_eq!(world.session(kept).await.state, State::Running);
    }
    assert_eq!(world.disk.aside().len(), 1);
    let crashed = world.session(ended).await;
    assert_eq!((crashed.state, crashed.exit_code), (State::Crashed, Some(5)));
    assert_eq!(starts(&world), 2);
    world.stop(kept).await;
    world.until(kept, State::Stopped).await;
    world.clean().await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_lost_journal_does_not_bring_back_what_is_gone() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    tokio::time::sleep(secs(61)).await;
    world.engine.remove(run(session, 1));
    world.disk = MemoryDisk::new();
    world.manage();
    let crashed = world.until(session, State::Crashed).await;
    assert_eq!(crashed.reason.code, ReasonCode::RemovedOutside);
    assert_eq!(starts(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_serves_its_games_while_the_control_plane_is_away() {
    let mut world = World::begin().await;
    let stays = world.playing(Script::default()).await;
    let ends = world.playing(Script::exits(secs(100), 7)).await;
    let (stays, ends) = (world.up(stays).await, world.up(ends).await);
    world.kill().await;
    world.control_away();
    world.manage();
    tokio::time::sleep(secs(200)).await;
    world.bounce().await;
    tokio::time::sleep(secs(20)).await;
    assert_eq!(world.live(), [run(stays, 1)]);
    world.control_back();
    let crashed = world.until(ends, State::Crashed).await;
    assert_eq!(crashed.exit_code, Some(7));
    world.until(stays, State::Running).await;
    assert_eq!(starts(&world), 2);
    world.when(async || world.engine.holds() == (1, 1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_a_session_whose_manager_is_away_is_done_when_it_is_back() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.stop(session).await;
    tokio::time::sleep(secs(5)).await;
    world.manage();
    let before = tokio::time::Instant::now();
    world.until(session, State::Stopped).await;
    assert!(before.elapsed() < secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_wiped_is_made_up_for_by_the_next_snapshot() {
    use manman_core::broker::{Broker, Queue};
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    world.up(sgc).await;
    let other = world.playing(Script::default()).await;
    let queue = Queue::of_host(world.server);
    world.broker.delete(&queue.name).await.unwrap();
    world.broker.declare(&queue).await.unwrap();
    let session = world.start(other).await;
    let before = tokio::time::Instant::now();
    world.until(session, State::Running).await;
    assert!(before.elapsed() < secs(35), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_quick_told_and_not_noticed_by_games() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    let took = world.shut_down().await;
    assert!(took < secs(10), "{took:?}");
    tokio::time::sleep(secs(40)).await;
    // Said to be away for a minute, it is not missed before.
    assert_eq!(world.session(session).await.state, State::Running);
    world.manage();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.session(session).await.state, State::Running);
    assert_eq!(starts(&world), 1);
    tokio::time::sleep(millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_broker_that_is_away() {
    use manman_core::testkit::broker::BrokerFaults;
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    world.up(sgc).await;
    world.broker.freeze().await;
    let took = world.shut_down().await;
    assert!(took < secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_replaced_touches_nothing_more() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    // Another manager on the same machine, with a journal of its own.
    let journal = std::mem::take(&mut world.disk);
    let second = world.manager();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let second = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(second.run(shutdown)));
    tokio::time::sleep(secs(6)).await;
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    let other = world.playing(Script::default()).await;
    let other = world.up(other).await;
    // The first one is fenced: alone again it does nothing, and comes back by a start only.
    drop(second);
    world.stop(other).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.live(), [run(other, 1)]);
    assert!(world.returned().is_none());
    drop(journal);
    world.bounce().await;
    world.until(other, State::Stopped).await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_container_that_clings_to_its_name_is_worked_around_by_whoever_comes_after_us() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.set_stuck(true);
    world.engine.crash(run(session, 1), 3);
    world.until(session, State::Crashed).await;
    tokio::time::sleep(secs(2)).await;
    world.bounce().await;
    let before = tokio::time::Instant::now();
    let next = world.up(sgc).await;
    assert!(before.elapsed() < secs(10), "{:?}", before.elapsed());
    assert_eq!((world.live(), world.engine.holds().0), (vec![run(next, 1)], 2));
    world.engine.set_stuck(false);
    world.stop(next).await;
    world.until(next, State::Stopped).await;
    world.clean().await;
    world.all_well();
}

/// Knows no specification any more.
#[derive(Debug)]
struct Forgetful {
    inner: Arc<dyn Uplink>,
    asked: AtomicU64,
}

#[async_trait::async_trait]
impl Uplink for Forgetful {
    async fn register(&self, hello: &Registration) -> Result<Welcomed> {
        self.inner.register(hello).await
    }

    async fn snapshot(&self, me: HostIdentity, known: &[Known]) -> Result<Snapshot> {
        self.inner.snapshot(me, known).await
    }

    async fn spec(&self, _: HostIdentity, session: SessionId) -> Result<SessionSpec> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(ErrorKind::NotFound, "ask what a session runs", format!("there is no {session}")))
    }

    async fn receipts(&self, me: HostIdentity, ends: &[AttemptId]) -> Result<Vec<AttemptId>> {
        self.inner.receipts(me, ends).await
    }

    async fn blob_put(&self, me: HostIdentity, key: &BlobKey, bytes: BlobStream) -> Result<u64> {
        self.inner.blob_put(me, key, bytes).await
    }

    async fn blob_address(&self, me: HostIdentity, key: &BlobKey) -> Result<Option<Presigned>> {
        self.inner.blob_address(me, key).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_specification_that_is_refused_is_not_asked_for_without_a_pause() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    // What it runs is not in the journal any more, and the control plane does not say it either.
    world.disk.set(Vec::new());
    let uplink = Arc::new(Forgetful { inner: world.uplink.clone(), asked: AtomicU64::new(0) });
    let runtime = Arc::new(world.engine.runtime(world.owner.clone()));
    let manager = world.manager_over(runtime, uplink.clone());
    drop(world.run(manager));
    tokio::time::sleep(secs(5)).await;
    world.control.session_restart(session, &alice()).await.unwrap();
    world.when(async || world.live().is_empty()).await;
    tokio::time::sleep(secs(60)).await;
    let asked = uplink.asked.load(Ordering::SeqCst);
    assert!((5..40).contains(&asked), "asked {asked} times");
    let before = tokio::time::Instant::now();
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    assert!(before.elapsed() < secs(2), "{:?}", before.elapsed());
    world.clean().await;
}
