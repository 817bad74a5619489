//! The manager dies before and after every single call it makes, and before every write
//! of its journal; whoever is started after it comes to the same end.

use std::sync::Arc;

use futures::StreamExt;
use manman_core::{
    host::{Manager, journal::Journal},
    id::SgcId,
    memory::runtime::{Deeds, Faults},
    model::{ConfigBody, State, StopPlan, StopStep},
    runtime::Runtime,
};

use super::{
    mortal::{Gate, MortalDisk, MortalRuntime},
    world::{World, alice, millis, run, secs},
};

/// What is to go on while managers die.
#[derive(Clone, Copy, Debug)]
enum Story {
    StartAndStop,
    Restart,
    Kill,
    CrashAndStartAgain,
}

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Strike {
    Call,
    Write,
}

impl Story {
    async fn tell(self, world: &World, sgc: SgcId) {
        let session = world.up(sgc).await;
        match self {
            Self::StartAndStop => world.stop(session).await,
            Self::Kill => world.kill_session(session).await,
            Self::Restart => {
                world.control.session_restart(session, &alice()).await.unwrap();
                world
                    .when(async || {
                        let now = world.session(session).await;
                        (now.state, now.attempt >= 2) == (State::Running, true)
                    })
                    .await;
                world.stop(session).await;
            }
            Self::CrashAndStartAgain => {
                world.engine.crash(run(session, 1), 7);
                let crashed = world.until(session, State::Crashed).await;
                assert_eq!(crashed.exit_code, Some(7));
                let next = world.up(sgc).await;
                world.stop(next).await;
                world.until(next, State::Stopped).await;
                world.clean().await;
                return;
            }
        }
        world.until(session, State::Stopped).await;
        world.clean().await;
    }
}

/// Tells a story with a death at the `nth` strike. `false` if it never came to that.
async fn survives(story: Story, strike: Strike, nth: u64) -> bool {
    let mut world = World::still(nth).await;
    world.engine.set_faults(Faults { latency: millis(20), ..Faults::default() });
    world.process();
    let mut body = ConfigBody::new("game:1".parse().unwrap());
    body.stop = StopPlan {
        steps: vec![StopStep { command: "save".parse().unwrap(), wait_millis: 500 }],
        ..StopPlan::default()
    };
    let sgc = world.deployed(body).await;

    let runtime: Arc<dyn Runtime> = Arc::new(world.engine.runtime(world.owner.clone()));
    let gate = Gate::at(nth);
    let never = Gate::at(u64::MAX);
    let (calls, writes) = match strike {
        Strike::Call => (gate.clone(), never),
        Strike::Write => (never, gate.clone()),
    };
    let disk = MortalDisk { inner: world.disk.clone(), gate: writes };
    let manager = Manager::builder(
        Arc::new(MortalRuntime { inner: runtime, gate: calls }),
        Arc::new(world.broker.clone()),
        world.uplink.clone(),
    )
    .clock(world.engine.clock())
    .journal(Journal::open(disk).unwrap())
    .spool(world.spool.clone())
    .seed(nth)
    .build(world.config.clone())
    .unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let mut first = Box::pin(manager.run(shutdown));
    {
        let told = story.tell(&world, sgc);
        tokio::pin!(told);
        tokio::select! {
            biased;
            () = gate.died.notified() => {}
            _ = &mut first => unreachable!("it runs until it is told not to"),
            () = &mut told => return false,
        }
        drop(first);
        let second = world.manager();
        let _events = second.events().boxed();
        let second = second.run(tokio_util::sync::CancellationToken::new());
        tokio::pin!(second);
        tokio::time::sleep(millis(700)).await;
        let both = async {
            tokio::select! {
                biased;
                _ = second => unreachable!("it runs until it is told not to"),
                () = told => {}
            }
        };
        let ended = tokio::time::timeout(secs(300), both).await;
        assert!(ended.is_ok(), "{story:?} does not come to its end after {strike:?} {nth}");
    }
    world.all_well();
    let deeds = world.engine.deeds();
    let started = deeds.iter().filter(|deed| deed.what == Deeds::Started).count();
    let expected = match story {
        Story::StartAndStop | Story::Kill => 1,
        Story::Restart | Story::CrashAndStartAgain => 2,
    };
    assert_eq!(started, expected, "{story:?} after {strike:?} {nth}: {deeds:?}");
    true
}

async fn survives_all(story: Story, strike: Strike) {
    let mut nth = 1;
    while survives(story, strike, nth).await {
        nth += 1;
    }
    assert!(nth > 5, "{story:?} was struck only {nth} times");
}

#[tokio::test(start_paused = true)]
async fn a_start_and_a_stop_survive_a_death_at_every_call() {
    survives_all(Story::StartAndStop, Strike::Call).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_and_a_stop_survive_a_death_at_every_write() {
    survives_all(Story::StartAndStop, Strike::Write).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_survives_a_death_at_every_call_and_write() {
    survives_all(Story::Restart, Strike::Call).await;
    survives_all(Story::Restart, Strike::Write).await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_survives_a_death_at_every_call_and_write() {
    survives_all(Story::Kill, Strike::Call).await;
    survives_all(Story::Kill, Strike::Write).await;
}

#[tokio::test(start_paused = true)]
async fn an_end_survives_a_death_at_every_call_and_write() {
    survives_all(Story::CrashAndStartAgain, Strike::Call).await;
    survives_all(Story::CrashAndStartAgain, Strike::Write).await;
}
