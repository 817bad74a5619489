//! Random stories: messages are lost, doubled and late, brokers and hosts die.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Instant,
};

use manman_core::{
    memory::runtime::{Act, Script},
    testkit::broker::{BrokerFaults, Nastiness},
    viewing::Begin,
};

use crate::{
    common::within,
    stage::{assert_alike, open, replica, watch, whole},
    world::{World, millis},
};

/// `MANMAN_TESTS=full` tells ten times as many.
fn many(ci: u64) -> u64 {
    if std::env::var("MANMAN_TESTS").is_ok_and(|tests| tests == "full") { ci * 10 } else { ci }
}

async fn storm(seed: u64) {
    let what = format!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::still(seed).await;
    world.process();
    world.manage();
    let (lines, pause) = (random.u32(20..200), millis(random.u64(1..20)));
    let count = Act::Count { lines, pause, same: random.bool() };
    let sgc = world.playing(Script::of([count, Act::Exit(0)])).await;
    let session = world.up(sgc).await;
    world.broker.set(Nastiness { scramble_telemetry: 0.2, ..Nastiness::worst() });
    let replicas = [replica(&world), replica(&world)];
    let mut viewers = Vec::new();
    for n in 0..random.u64(2..5) {
        let begin = if random.bool() { Begin::At(random.u64(1..30)) } else { Begin::Last(random.u64(1..20)) };
        let (replica, late) = (random.choice(&replicas).unwrap().clone(), millis(random.u64(0..3_000)));
        let slow = millis(random.choice([0, 10, 1_000]).unwrap());
        viewers.push(tokio::spawn(async move {
            tokio::time::sleep(late).await;
            watch(open(&replica, session, begin, true).await, slow, seed ^ n).await
        }));
    }
    for _ in 0..random.u32(0..5) {
        tokio::time::sleep(millis(random.u64(0..2_000))).await;
        match random.u8(0..4) {
            0 => world.bounce().await,
            1 => {
                world.kill().await;
                tokio::time::sleep(millis(random.u64(0..5_000))).await;
                world.manage();
            }
            2 => world.broker.crash().await,
            _ => {
                world.broker.stop().await;
                tokio::time::sleep(millis(random.u64(0..5_000))).await;
                world.broker.start().await;
            }
        }
    }
    world.when(async || world.session(session).await.state.is_end()).await;
    let mut seen = Vec::new();
    for viewer in viewers {
        seen.push(within(viewer).await.unwrap());
    }
    world.kill().await;
    let all = whole(&world, session).await;
    all.assert_contiguous(&what);
    assert_eq!(all.pieces.len() as u32, 2 * lines, "{what}");
    for seen in &seen {
        assert_alike(seen, &all, &what);
    }
}

fn told(seed: u64) -> Result<(), String> {
    let told = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(storm(seed));
    }));
    told.map_err(|_| format!("MANMAN_SEED={seed}"))
}

#[test]
fn in_any_storm_viewers_see_what_the_host_shows() {
    if let Some(seed) = std::env::var("MANMAN_SEED").ok().and_then(|seed| seed.parse().ok()) {
        told(seed).unwrap();
        return;
    }
    let (begun, next, failed) = (Instant::now(), AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while failed.lock().unwrap().len() < 3 {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= many(1_000) {
                        return;
                    }
                    if let Err(seed) = told(seed) {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    println!("told in {:?}", begun.elapsed());
    assert_eq!(failed.into_inner().unwrap(), Vec::<String>::new());
}
