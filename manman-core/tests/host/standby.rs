//! A machine whose place another one has taken: it is refused when it comes back, and stands by.

use std::sync::Arc;

use futures::{StreamExt, stream::BoxStream};
use manman_core::{
    control::RemoteConsoles,
    host::{HostEvent, journal::MemoryDisk, spool::MemorySpool},
    id::{Epoch, SessionId},
    memory::runtime::{Act, Engine, Script},
    model::{Capacity, ServerStatus, State},
    testkit::broker::BrokerFaults as _,
    uplink::{Registration, Uplink},
    viewing::{Begin, Viewing},
    wire::Outcome,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::world::{World, alice, run, secs};

/// A machine that was replaced, with what is on its disk and at its engine.
struct Replaced {
    engine: Engine,
    disk: MemoryDisk,
    spool: Arc<MemorySpool>,
}

/// Another machine takes the place of the one there is, as soon as that is silent.
async fn replace(world: &mut World) -> Replaced {
    world.kill().await;
    tokio::time::sleep(secs(15)).await;
    let before = Replaced {
        engine: std::mem::replace(&mut world.engine, Engine::new(8)),
        disk: std::mem::take(&mut world.disk),
        spool: std::mem::take(&mut world.spool),
    };
    world.config.machine_id = "another machine".into();
    let Epoch(epoch) = epoch(world).await;
    world.manage();
    world.when(async || self::epoch(world).await == Epoch(epoch + 1)).await;
    before
}

async fn epoch(world: &World) -> Epoch {
    world.control.server_get(world.server).await.unwrap().epoch
}

/// Swaps the machine that is there, as far as `world` sees it, with `other`.
fn swap(world: &mut World, other: &mut Replaced) {
    std::mem::swap(&mut world.engine, &mut other.engine);
    std::mem::swap(&mut world.disk, &mut other.disk);
    std::mem::swap(&mut world.spool, &mut other.spool);
    let mine = world.config.machine_id == "machine";
    world.config.machine_id = if mine { "another machine".into() } else { "machine".into() };
}

/// The replaced machine boots, with what it has.
struct Booted {
    running: AbortOnDropHandle<()>,
    shutdown: CancellationToken,
    events: BoxStream<'static, HostEvent>,
}

fn boot(world: &mut World, replaced: &mut Replaced) -> Booted {
    swap(world, replaced);
    let manager = world.manager();
    swap(world, replaced);
    let events = manager.events().boxed();
    let shutdown = CancellationToken::new();
    let until = shutdown.clone();
    let running = AbortOnDropHandle::new(tokio::spawn(async move { manager.run(until).await.unwrap() }));
    Booted { running, shutdown, events }
}

/// Waits until a host says that it stands by.
async fn stands_by(events: &mut BoxStream<'static, HostEvent>) {
    loop {
        let told = tokio::time::timeout(secs(60), events.next()).await;
        if let HostEvent::Warning(text) = told.expect("it says so").unwrap()
            && text.contains("stands by")
        {
            assert!(text.contains("another machine that was heard"), "{text}");
            return assert!(text.contains("TAKE_OVER"), "{text}");
        }
    }
}

async fn input(world: &World, session: SessionId, line: &str) -> Outcome {
    world.control.session_input(session, &line.parse().unwrap(), &alice()).await.unwrap().outcome
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_takes_nothing_that_is_its_successors() {
    let mut world = World::begin().await;
    let first = world.playing(Script::default()).await;
    let lost = world.up(first).await;
    let mut replaced = replace(&mut world).await;
    let other = world.playing(Script::default()).await;
    let playing = world.up(other).await;

    let mut booted = boot(&mut world, &mut replaced);
    stands_by(&mut booted.events).await;
    assert_eq!(replaced.engine.live().len(), 1, "its game goes on");
    let viewer = RemoteConsoles::new(world.store.clone(), Arc::new(world.broker.clone()), Default::default());
    let Epoch(before) = epoch(&world).await;
    for round in 0..5 {
        // Whoever is in line at the broker is next.
        match round % 2 {
            0 => world.bounce().await,
            _ => {
                world.broker.stop().await;
                world.broker.start().await;
            }
        }
        tokio::time::sleep(secs(8)).await;
        assert_eq!(input(&world, playing, &format!("round {round}")).await, Outcome::Done, "round {round}");
        let before = Instant::now();
        let sgc = world.playing(Script::default()).await;
        let started = world.start(sgc).await;
        world.until(started, State::Running).await;
        world.stop(started).await;
        world.until(started, State::Stopped).await;
        assert!(before.elapsed() < secs(5), "round {round}: {:?}", before.elapsed());
        let mut shown = viewer.view(playing, Begin::At(1), false).await.unwrap();
        assert!(shown.next().await.is_some(), "round {round}");
        assert_eq!(replaced.engine.live().len(), 1, "round {round}");
        tokio::time::sleep(secs(40)).await;
    }
    // It was never registered, whoever else was.
    assert_eq!(epoch(&world).await, Epoch(before + 3));
    // What its successor says of the session counts.
    assert!(world.session(lost).await.state.is_end());
    // It goes, and says nothing of that.
    booted.shutdown.cancel();
    booted.running.await.unwrap();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(world.control.server_get(world.server).await.unwrap().status, ServerStatus::Online);
    assert_eq!(replaced.engine.live().len(), 1);
    assert_eq!((world.engine.violations(), replaced.engine.violations()), (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn who_stands_by_reads_its_consoles_and_serves_again_when_it_is_registered() {
    let mut world = World::begin().await;
    let counts = Script::of([Act::Count { lines: 400, pause: secs(1), same: false }]);
    let sgc = world.playing(counts).await;
    let session = world.up(sgc).await;
    world.kill().await;
    tokio::time::sleep(secs(15)).await;
    // Its successor is gone as soon as it has come.
    let mut hello = world.config.clone();
    hello.machine_id = "another machine".into();
    let hello = Registration {
        name: hello.name,
        environment: hello.environment,
        machine_id: hello.machine_id,
        engine_id: "another engine".into(),
        capacity: Capacity::default(),
        public_address: None,
        take_over: false,
    };
    let taken = world.uplink.register(&hello).await.unwrap().epoch;
    // What is asked for meanwhile is not done.
    world.stop(session).await;
    let manager = world.manager();
    let mut events = world.run(manager);
    stands_by(&mut events).await;
    let kept = world.kept(session).len();
    tokio::time::sleep(secs(5)).await;
    assert!(world.kept(session).len() > kept, "its console is read");
    assert_eq!((epoch(&world).await, world.live()), (taken, vec![run(session, 1)]));
    // It asks on, and is registered when the other one has been silent for long enough.
    world.until(session, State::Stopped).await;
    assert_eq!(epoch(&world).await, Epoch(taken.0 + 1));
    let next = world.playing(Script::default()).await;
    let next = world.up(next).await;
    assert_eq!(input(&world, next, "hello").await, Outcome::Done);
    world.stop(next).await;
    world.until(next, State::Stopped).await;
    world.all_well();
}

/// An announced absence is no silence: the machine that was replaced does not use it.
#[tokio::test(start_paused = true)]
async fn who_is_refused_stays_so_while_its_successor_is_upgraded() {
    let mut world = World::begin().await;
    let mut replaced = replace(&mut world).await;
    let mut booted = boot(&mut world, &mut replaced);
    stands_by(&mut booted.events).await;
    let Epoch(before) = epoch(&world).await;
    world.shut_down().await;
    tokio::time::sleep(secs(50)).await;
    assert_eq!(epoch(&world).await, Epoch(before));
    world.manage();
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    assert_eq!((epoch(&world).await, world.live()), (Epoch(before + 1), vec![run(session, 1)]));
    assert!(replaced.engine.live().is_empty() && !booted.running.is_finished());
}

/// Only a refusal makes a host stand by.
#[tokio::test(start_paused = true)]
async fn who_is_not_answered_serves_its_games() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    // It is asked for a restart, and is in the midst of it when it dies; then nobody answers.
    world.alone_amid_a_restart(session).await;
    world.bounce().await;
    world.engine.thaw();
    world.when(async || world.live() == [run(session, 2)]).await;
    world.control_back();
    world.when(async || world.session(session).await.attempt == 2).await;
    world.until(session, State::Running).await;
    world.all_well();
}
