//! What a look at the engine shows.

use futures::StreamExt;

use super::*;
use crate::{
    id::{AttemptId, SessionId},
    runtime::RuntimeEvent,
};

/// "freshly asked: also the way to learn whether it answers"
pub async fn the_engine_answers(fixture: &dyn RuntimeFixture) {
    let (one, other) = (fixture.runtime().await, fixture.runtime().await);
    let info = one.engine().await.unwrap();
    assert!(!info.version.is_empty() && info.cpus > 0 && info.memory_bytes > 0, "{info:?}");
    assert_eq!(other.engine().await.unwrap().id, info.id, "one engine has one id");
    assert_eq!(one.owner(), other.owner());
}

/// "Brings the image here unless it is, and tells what it is."
pub async fn an_image_that_is_here_is_told(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let image = fixture.program(&Game::Sleeper).image;
    let first = runtime.pull(&image, Box::new(|_| {})).await.unwrap();
    assert!(!first.digest.is_empty());
    assert_eq!(runtime.pull(&image, Box::new(|_| {})).await.unwrap(), first);
}

/// "`list` shows what this owner created, also before its last restart"
pub async fn list_shows_ours_after_a_restart(fixture: &dyn RuntimeFixture) {
    let before = fixture.runtime().await;
    let program = fixture.program(&Game::Sleeper);
    let running = spec(1, 1, 1, program.clone());
    let ended = spec(2, 3, 2, program.clone());
    let created = spec(3, 1, 3, program);
    drop(ready(&before, &running).await);
    drop(ready(&before, &ended).await);
    let exit = before.stop(ended.run, Duration::from_secs(20)).await.unwrap();
    before.retire(ended.run).await.unwrap();
    made(&before, &created).await;
    drop(before);

    let after = fixture.runtime().await;
    let mut found = after.list().await.unwrap().found;
    found.sort_by_key(|found| found.run);
    let runs: Vec<_> = found.iter().map(|found| (found.run, found.sgc, found.spec_hash.as_str())).collect();
    let wanted: Vec<_> =
        [&running, &ended, &created].map(|spec| (spec.run, spec.sgc, spec.spec_hash.as_str())).into();
    assert_eq!(runs, wanted);
    assert!(found[0].state.is_alive());
    assert_eq!(found[1].state, AttemptState::Exited(exit));
    assert_eq!(found[2].state, AttemptState::Created);
    for found in &found {
        assert_eq!(found.created_at, Some(running.created_at), "the label tells when");
        assert!(!found.engine_id.is_empty());
        assert_eq!(after.inspect(found.run).await.unwrap().as_ref(), Some(found));
    }
    for spec in [&running, &ended, &created] {
        gone(&after, spec).await;
    }
    assert_eq!(after.list().await.unwrap().found, []);
}

/// "Nothing here touches what another owner made." and "what it cannot read or does not
/// own is in `foreign`"
pub async fn what_is_foreign_is_never_touched(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let ours = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &ours).await);
    let planted = fixture.plant_foreign().await;
    assert!(planted.len() >= 3);
    let inventory = runtime.list().await.unwrap();
    assert_eq!(inventory.found.iter().map(|found| found.run).collect::<Vec<_>>(), [ours.run]);
    for name in &planted {
        let foreign = inventory.foreign.iter().find(|foreign| foreign.name.contains(name));
        let foreign = foreign.unwrap_or_else(|| panic!("{name} is said in {:?}", inventory.foreign));
        assert!(!foreign.why.is_empty());
    }
    // Whatever session a foreign container claims, it is not to be had by it.
    for session in 1..=9 {
        let run = AttemptId::new(SessionId(session), 1);
        if run == ours.run {
            continue;
        }
        assert_eq!(runtime.inspect(run).await.unwrap(), None);
        runtime.kill(run).await.unwrap();
        runtime.retire(run).await.unwrap();
        runtime.remove(run).await.unwrap();
        runtime.remove_network(run.session).await.unwrap();
        assert_eq!(refused(runtime.stop(run, Duration::ZERO).await), ErrorKind::NotFound);
    }
    gone(&runtime, &ours).await;
    assert!(fixture.foreign_is_untouched().await);
}

/// "What one attempt is at, as the engine sees it."
pub async fn inspect_follows_a_life(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Echo));
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), None);
    made(&runtime, &spec).await;
    let created = runtime.inspect(spec.run).await.unwrap().unwrap();
    assert_eq!((created.run, created.sgc), (spec.run, spec.sgc));
    assert_eq!(created.state, AttemptState::Created);
    let mut screen = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    screen.until_line(Channel::Stdout, "ready").await;
    let running = runtime.inspect(spec.run).await.unwrap().unwrap();
    let AttemptState::Running { started_at, paused: false, .. } = running.state else {
        panic!("{running:?} runs")
    };
    assert_eq!(running.engine_id, created.engine_id);
    screen.say("exit 5").await;
    let exit = ended(&runtime, &spec).await;
    assert_eq!((exit.code, exit.out_of_memory), (5, false));
    if let (Some(from), Some(to)) = (started_at, exit.at) {
        assert!(from <= to, "{from} is before {to}");
    }
    gone(&runtime, &spec).await;
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), None);
}

/// "What a running attempt uses now."
pub async fn a_running_game_has_stats(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    let stats = runtime.stats(spec.run).await.unwrap();
    assert!(stats.pids > 0 && stats.memory_bytes > 0, "{stats:?}");
    gone(&runtime, &spec).await;
}

/// "Hints from now on."
pub async fn events_hint_at_a_life(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    let mut events = runtime.events().await.unwrap();
    made(&runtime, &spec).await;
    // Whatever is hinted at, a look after it sees the change.
    let mut seen = async |wanted: &dyn Fn(&AttemptState) -> bool| {
        let hinted = async {
            loop {
                match events.next().await.expect("the engine is there") {
                    RuntimeEvent::Attempt(run) => assert_eq!(run, spec.run, "others' events are not ours"),
                    RuntimeEvent::Resync => {}
                }
                if runtime.inspect(spec.run).await.unwrap().is_some_and(|found| wanted(&found.state)) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, hinted).await.expect("a hint comes in time");
    };
    runtime.start(spec.run).await.unwrap();
    seen(&AttemptState::is_alive).await;
    runtime.kill(spec.run).await.unwrap();
    seen(&|state| matches!(state, AttemptState::Exited(_))).await;
    gone(&runtime, &spec).await;
}
