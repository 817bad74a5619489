use manman_core::{
    console::Channel,
    memory::runtime::{OnSignal, Script, Stdin},
    model::{ConfigBody, State, StopPlan, StopStep, reason::ReasonCode},
};

use super::world::{World, alice, millis, run, secs};

fn plan(steps: &[(&str, u32)], grace_millis: u32) -> StopPlan {
    let steps = steps
        .iter()
        .map(|&(command, wait_millis)| StopStep { command: command.parse().unwrap(), wait_millis });
    StopPlan { steps: steps.collect(), grace_millis, ..StopPlan::default() }
}

async fn deployed(world: &mut World, script: Script, stop: StopPlan) -> manman_core::id::SgcId {
    let image = "stopped:1".parse().unwrap();
    world.engine.image(&image, manman_core::memory::runtime::Image::of(script));
    world.deployed(ConfigBody { stop, ..ConfigBody::new(image) }).await
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_its_commands_then_the_signal_then_the_kill() {
    let mut world = World::begin().await;
    let script = Script::default().on_signal(OnSignal::Ignore);
    let sgc = deployed(&mut world, script, plan(&[("save", 2_000), ("say bye", 3_000)], 10_000)).await;
    let session = world.up(sgc).await;
    let before = tokio::time::Instant::now();
    world.stop(session).await;
    world.when(async || world.session(session).await.state == State::Stopping).await;
    let stopped = world.until(session, State::Stopped).await;
    let took = before.elapsed();
    assert!(took > secs(15) && took < secs(17), "{took:?}");
    assert_eq!(stopped.exit_code, Some(137));
    assert_eq!(stopped.reason.code, ReasonCode::Asked);
    assert_eq!(stopped.last_lines, ["saved", "say bye"]);
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_game_that_ends_by_a_command_is_not_signalled() {
    let mut world = World::begin().await;
    let sgc = deployed(&mut world, Script::default(), plan(&[("save", 500), ("quit", 60_000)], 10_000)).await;
    let session = world.up(sgc).await;
    let before = tokio::time::Instant::now();
    world.stop(session).await;
    let stopped = world.until(session, State::Stopped).await;
    assert!(before.elapsed() < secs(2), "{:?}", before.elapsed());
    assert_eq!((stopped.exit_code, stopped.last_lines), (Some(0), vec!["saved".into(), "bye".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_kill_overtakes_a_stop() {
    let mut world = World::begin().await;
    let script = Script::default().on_signal(OnSignal::Ignore);
    for wait in [0, 600_000] {
        let sgc = deployed(&mut world, script.clone(), plan(&[("save", wait)], 3_600_000)).await;
        let session = world.up(sgc).await;
        world.stop(session).await;
        tokio::time::sleep(secs(5)).await;
        assert_eq!(world.session(session).await.state, State::Stopping);
        let before = tokio::time::Instant::now();
        world.kill_session(session).await;
        let stopped = world.until(session, State::Stopped).await;
        assert!(before.elapsed() < secs(1), "{:?}", before.elapsed());
        assert_eq!(stopped.exit_code, Some(137));
        world.clean().await;
    }
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_kill_that_takes_long_is_waited_for_and_not_slept_over() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.engine.freeze();
    world.kill_session(session).await;
    // Longer than until it would be sent again.
    tokio::time::sleep(millis(5_300)).await;
    world.engine.thaw();
    let before = tokio::time::Instant::now();
    world.until(session, State::Stopped).await;
    assert!(before.elapsed() < millis(300), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_stop_holds_nobody_up() {
    let mut world = World::begin().await;
    let stubborn = Script::default().on_signal(OnSignal::Ignore);
    let slow = deployed(&mut world, stubborn, plan(&[], 300_000)).await;
    let slow = world.up(slow).await;
    world.stop(slow).await;
    let sgc = world.playing(Script::default()).await;
    let before = tokio::time::Instant::now();
    let other = world.up(sgc).await;
    world.stop(other).await;
    world.until(other, State::Stopped).await;
    assert!(before.elapsed() < secs(2), "{:?}", before.elapsed());
    assert_eq!(world.session(slow).await.state, State::Stopping);
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_on_after_the_managers_death_and_says_nothing_twice() {
    let mut world = World::begin().await;
    let script = Script::default().on_signal(OnSignal::Exit { after: secs(1), code: 3 });
    let sgc = deployed(&mut world, script, plan(&[("save", 4_000), ("say bye", 4_000)], 30_000)).await;
    let session = world.up(sgc).await;
    world.stop(session).await;
    for _ in 0..10 {
        tokio::time::sleep(millis(1_000)).await;
        world.bounce().await;
    }
    let stopped = world.until(session, State::Stopped).await;
    assert_eq!(stopped.exit_code, Some(3));
    assert_eq!(stopped.last_lines, ["saved", "say bye"]);
    world.clean().await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_game_that_reads_no_lines_is_stopped_by_the_signal() {
    let mut world = World::begin().await;
    let script = Script::default().stdin(Stdin::Unread);
    let sgc = deployed(&mut world, script, plan(&[("save", 1_000); 16], 10_000)).await;
    let session = world.up(sgc).await;
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    assert_eq!(world.engine.printed(run(session, 1), Channel::Stdout).unwrap_or_default(), b"");
    world.clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_the_next_attempt_of_the_same_session() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    for attempt in 2..5 {
        world.control.session_restart(session, &alice()).await.unwrap();
        world.when(async || world.live() == [run(session, attempt)]).await;
        world
            .when(async || {
                let now = world.session(session).await;
                (now.state, now.attempt) == (State::Running, attempt)
            })
            .await;
        // What ended before is cleared away when it was told.
        world.when(async || world.engine.holds() == (1, 1)).await;
    }
    world.stop(session).await;
    world.until(session, State::Stopped).await;
    world.clean().await;
    world.all_well();
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_of_a_death_is_one_attempt_more() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    world.control.session_restart(session, &alice()).await.unwrap();
    world.engine.crash(run(session, 1), 9);
    world.manage();
    world.when(async || world.live() == [run(session, 2)]).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.live(), [run(session, 2)]);
    let now = world.session(session).await;
    assert_eq!((now.state, now.attempt), (State::Running, 2));
    world.all_well();
}
