use std::sync::Arc;

use manman_core::{
    id::{AttemptId, ClusterId, SessionId, SgcId},
    memory::runtime::Script,
    model::State,
    runtime::{ContainerSpec, Owner, Runtime},
};

use super::world::{World, alice, secs};

fn container(session: i64, sgc: i64) -> ContainerSpec {
    let run = AttemptId::new(SessionId(session), 1);
    ContainerSpec::new(run, SgcId(sgc), "game:1".parse().unwrap())
}

async fn planted(world: &World, owner: &Owner, session: i64, sgc: i64) {
    let runtime: Arc<dyn Runtime> = Arc::new(world.engine.runtime(owner.clone()));
    let spec = container(session, sgc);
    runtime.prepare(&spec, None).await.unwrap();
    runtime.create(&spec).await.unwrap();
    runtime.start(spec.run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_orphan_goes_at_the_second_look_and_not_before() {
    let mut world = World::still(7).await;
    world.config.sweep_secs = 30;
    world.config.orphan_grace_secs = 30;
    world.process();
    world.manage();
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    world.clean().await;
    // It comes back from nowhere, and ours beside it stays.
    planted(&world, &world.owner, session.0, 99).await;
    let other = world.playing(Script::default()).await;
    let other = world.up(other).await;
    tokio::time::sleep(secs(25)).await;
    assert_eq!(world.engine.holds(), (2, 2));
    let before = tokio::time::Instant::now();
    world.when(async || world.engine.holds() == (1, 1)).await;
    assert!(before.elapsed() < secs(90), "{:?}", before.elapsed());
    assert_eq!(world.live(), [AttemptId::new(other, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_control_plane_does_not_know_is_left_alone() {
    let mut world = World::still(7).await;
    world.config.sweep_secs = 30;
    world.config.orphan_grace_secs = 30;
    world.process();
    world.manage();
    // A session far above all that were given out; another cluster's; another server's.
    planted(&world, &world.owner, 1_000, 50).await;
    let foreign = Owner { cluster: ClusterId::random(), ..world.owner.clone() };
    planted(&world, &foreign, 2, 51).await;
    let elsewhere = Owner { server: manman_core::id::ServerId(77), ..world.owner.clone() };
    planted(&world, &elsewhere, 3, 52).await;
    world.engine.plant_unreadable("who-knows");
    tokio::time::sleep(secs(3_600)).await;
    assert_eq!(world.engine.holds().0, 3);
    assert_eq!(world.live().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_memory_alone_removes_nothing() {
    let mut world = World::still(7).await;
    world.config.sweep_secs = 30;
    world.config.orphan_grace_secs = 30;
    world.process();
    world.manage();
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.disk.set(Vec::new());
    world.control_away();
    world.manage();
    tokio::time::sleep(secs(3_600)).await;
    assert_eq!(world.live(), [AttemptId::new(session, 1)]);
    world.control_back();
    world.until(session, State::Running).await;
}

#[tokio::test(start_paused = true)]
async fn a_network_without_its_session_goes_too() {
    let mut world = World::still(7).await;
    world.config.sweep_secs = 30;
    world.config.orphan_grace_secs = 30;
    world.process();
    world.manage();
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    world.clean().await;
    planted(&world, &world.owner, session.0, 99).await;
    let runtime: Arc<dyn Runtime> = Arc::new(world.engine.runtime(world.owner.clone()));
    let run = AttemptId::new(session, 1);
    runtime.stop(run, secs(1)).await.unwrap();
    runtime.remove(run).await.unwrap();
    assert_eq!(world.engine.holds(), (0, 1));
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_games_of_an_abandoned_machine_are_stopped_when_it_returns() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.until(session, State::Lost).await;
    world.control.server_abandon(world.server, &alice()).await.unwrap();
    let abandoned = world.session(session).await;
    assert_eq!(abandoned.state, State::Crashed);
    world.manage();
    world.clean().await;
    assert_eq!(world.session(session).await, abandoned);
    // Its deployment can be started again.
    world.up(sgc).await;
    world.all_well();
}
