//! From create to remove.

use super::*;
use crate::id::{AttemptId, SessionId, SgcId};

/// "the second `create` … with the same arguments succeeds and changes nothing"
pub async fn create_may_be_repeated(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    made(&runtime, &spec).await;
    let first = runtime.inspect(spec.run).await.unwrap().unwrap();
    assert_eq!(first.state, AttemptState::Created);
    runtime.create(&spec).await.unwrap();
    fixture.runtime().await.create(&spec).await.unwrap();
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), Some(first));
    assert_eq!(runtime.list().await.unwrap().found.len(), 1);
    gone(&runtime, &spec).await;
}

/// "`create` of an attempt that exists with another spec hash is a `Conflict`"
pub async fn another_spec_conflicts(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    made(&runtime, &spec).await;
    let first = runtime.inspect(spec.run).await.unwrap();
    let other = ContainerSpec { spec_hash: "ffffffffffffffffffffffffffffffff".to_owned(), ..spec.clone() };
    assert_eq!(refused(runtime.create(&other).await), ErrorKind::Conflict);
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), first);
    gone(&runtime, &spec).await;
}

/// "at most one of a deployment is alive: a `create` while another attempt of the
/// deployment exists unretired is a `Conflict`"
pub async fn one_attempt_of_a_deployment_at_a_time(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let program = fixture.program(&Game::Sleeper);
    let first = spec(1, 1, 1, program.clone());
    let second = spec(1, 2, 1, program.clone());
    let other_session = spec(2, 1, 1, program.clone());
    let other_deployment = spec(3, 1, 2, program);
    drop(ready(&runtime, &first).await);
    made(&runtime, &other_deployment).await;
    for rival in [&second, &other_session] {
        assert_eq!(refused(runtime.create(rival).await), ErrorKind::Conflict);
    }
    runtime.stop(first.run, Duration::from_secs(60)).await.unwrap();
    for rival in [&second, &other_session] {
        assert_eq!(refused(runtime.create(rival).await), ErrorKind::Conflict);
    }
    runtime.retire(first.run).await.unwrap();
    runtime.create(&second).await.unwrap();
    runtime.start(second.run).await.unwrap();
    let mut runs: Vec<_> = runtime.list().await.unwrap().found.iter().map(|found| found.run).collect();
    runs.sort();
    assert_eq!(runs, [first.run, second.run, other_deployment.run]);
    for spec in [&second, &first, &other_deployment] {
        gone(&runtime, spec).await;
    }
}

/// "at most one of a deployment is alive"
pub async fn of_many_creates_at_once_one_wins(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let program = fixture.program(&Game::Sleeper);
    let specs: Vec<_> = (1..=8).map(|attempt| spec(1, attempt, 1, program.clone())).collect();
    runtime.pull(&program.image, Box::new(|_| {})).await.unwrap();
    runtime.prepare(&specs[0], None).await.unwrap();
    let all = futures::future::join_all(specs.iter().map(|spec| runtime.create(spec))).await;
    let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{lost:?}");
    assert!(lost.into_iter().all(|lost| refused(lost) == ErrorKind::Conflict));
    let found = runtime.list().await.unwrap().found;
    assert_eq!(found.len(), 1);
    let winner = specs.iter().find(|spec| spec.run == found[0].run).unwrap();
    gone(&runtime, winner).await;
}

/// "the second … `start` … with the same arguments succeeds and changes nothing"
pub async fn start_may_be_repeated(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    let first = runtime.inspect(spec.run).await.unwrap();
    runtime.start(spec.run).await.unwrap();
    runtime.create(&spec).await.unwrap();
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), first);
    gone(&runtime, &spec).await;
}

/// "a `start` of one that has ended is a `Conflict` too: an attempt runs once"
pub async fn an_attempt_runs_once(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    runtime.stop(spec.run, Duration::from_secs(60)).await.unwrap();
    assert_eq!(refused(runtime.start(spec.run).await), ErrorKind::Conflict);
    runtime.retire(spec.run).await.unwrap();
    assert_eq!(refused(runtime.start(spec.run).await), ErrorKind::Conflict);
    assert!(!runtime.inspect(spec.run).await.unwrap().unwrap().state.is_alive());
    gone(&runtime, &spec).await;
}

/// "its process is gone and this is how" ([`AttemptState::Exited`])
pub async fn an_ended_attempt_keeps_its_exit_code(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    for (sgc, code) in [(1, 0), (2, 42)] {
        let game = Game::Counter { lines: 1, pause: Duration::ZERO, same: false, exit: code };
        let spec = spec(sgc, 1, sgc, fixture.program(&game));
        made(&runtime, &spec).await;
        runtime.start(spec.run).await.unwrap();
        let exit = ended(&runtime, &spec).await;
        assert_eq!((exit.code, exit.out_of_memory), (code, false));
        gone(&runtime, &spec).await;
    }
}

/// "`NotFound` if there is no container"
pub async fn what_is_not_there_is_not_found(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let nobody = AttemptId::new(SessionId(9), 9);
    assert_eq!(refused(runtime.start(nobody).await), ErrorKind::NotFound);
    assert_eq!(refused(runtime.stop(nobody, Duration::from_secs(1)).await), ErrorKind::NotFound);
    assert_eq!(refused(runtime.stats(nobody).await), ErrorKind::NotFound);
    assert_eq!(runtime.inspect(nobody).await.unwrap(), None);
}

/// "the second … `kill`, `retire` or `remove` … succeeds", also when the container is
/// gone by then.
pub async fn what_is_gone_may_be_killed_retired_and_removed(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    runtime.stop(spec.run, Duration::from_secs(60)).await.unwrap();
    gone(&runtime, &spec).await;
    runtime.kill(spec.run).await.unwrap();
    runtime.retire(spec.run).await.unwrap();
    runtime.remove(spec.run).await.unwrap();
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), None);
}

/// "`NotFound` if no such image exists" and "`NotFound` if the image is not here"
pub async fn a_missing_image_is_not_found(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let mut spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    spec.image = fixture.missing_image();
    if runtime.capabilities().images {
        let error = runtime.pull(&spec.image, Box::new(|_| {})).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Unavailable),
            "{error:?}: a registry that is away cannot tell, all the same it is not here"
        );
    }
    runtime.prepare(&spec, None).await.unwrap();
    assert_eq!(refused(runtime.create(&spec).await), ErrorKind::NotFound);
    assert_eq!(runtime.list().await.unwrap().found, []);
    runtime.remove_network(spec.run.session).await.unwrap();
}

/// "`Invalid` if the image has no such command"
pub async fn a_missing_command_is_invalid(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.missing_command());
    made(&runtime, &spec).await;
    let error = runtime.start(spec.run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    assert!(!runtime.inspect(spec.run).await.unwrap().unwrap().state.is_alive());
    runtime.remove(spec.run).await.unwrap();
    gone(&runtime, &spec).await;
}

/// "`Conflict` with the port in the message if one is held by somebody else"
pub async fn a_held_port_is_named(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let (port, guard) = fixture.hold_port().await;
    let mut spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    spec.ports = vec![tcp(port)];
    made(&runtime, &spec).await;
    let error = runtime.start(spec.run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.message().contains(&port.to_string()), "{error:?} names {port}");
    assert!(!runtime.inspect(spec.run).await.unwrap().unwrap().state.is_alive());
    runtime.remove(spec.run).await.unwrap();
    drop(guard);
    spec.run.attempt = 2;
    drop(ready(&runtime, &spec).await);
    gone(&runtime, &spec).await;
}

/// "the second … `stop` … succeeds and changes nothing": it reports the same exit.
pub async fn stop_may_be_repeated(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    let first = runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    assert_eq!(first.code, 0, "it ended by itself when asked");
    let second = runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(ended(&runtime, &spec).await, first);
    gone(&runtime, &spec).await;
}

/// "kills it after `grace`, and waits until it is gone"
pub async fn stop_kills_after_the_grace(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    for (sgc, grace) in [(1, Duration::from_millis(1500)), (2, Duration::ZERO)] {
        let spec = spec(sgc, 1, sgc, fixture.program(&Game::Stubborn));
        drop(ready(&runtime, &spec).await);
        let began = tokio::time::Instant::now();
        let exit = runtime.stop(spec.run, grace).await.unwrap();
        assert_eq!(exit.code, 137);
        assert!(began.elapsed() >= grace, "{:?}", began.elapsed());
        assert_eq!(ended(&runtime, &spec).await, exit);
        gone(&runtime, &spec).await;
    }
}

/// "One that never ran is not an error: its exit has code 128."
pub async fn stop_of_what_never_ran_is_128(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    made(&runtime, &spec).await;
    for _ in 0..2 {
        assert_eq!(runtime.stop(spec.run, Duration::from_secs(5)).await.unwrap().code, 128);
    }
    gone(&runtime, &spec).await;
}

/// "Kills the process at once. … one that is gone is no error."
pub async fn kill_may_be_repeated(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Stubborn));
    made(&runtime, &spec).await;
    runtime.kill(spec.run).await.unwrap();
    assert_eq!(runtime.inspect(spec.run).await.unwrap().unwrap().state, AttemptState::Created);
    drop(ready(&runtime, &spec).await);
    runtime.kill(spec.run).await.unwrap();
    runtime.kill(spec.run).await.unwrap();
    let exit = ended(&runtime, &spec).await;
    assert_eq!(exit.code, 137);
    runtime.kill(spec.run).await.unwrap();
    assert_eq!(ended(&runtime, &spec).await, exit);
    gone(&runtime, &spec).await;
}

/// "`Conflict` if it is alive", and "the second … `retire` … succeeds and changes nothing"
pub async fn retire_refuses_the_living(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    assert_eq!(refused(runtime.retire(spec.run).await), ErrorKind::Conflict);
    let exit = runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    runtime.retire(spec.run).await.unwrap();
    runtime.retire(spec.run).await.unwrap();
    let found = runtime.inspect(spec.run).await.unwrap().unwrap();
    assert_eq!((found.run, found.sgc, found.state), (spec.run, spec.sgc, AttemptState::Exited(exit)));
    gone(&runtime, &spec).await;
}

/// "`Conflict` if it is alive"
pub async fn remove_refuses_the_living(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    assert_eq!(refused(runtime.remove(spec.run).await), ErrorKind::Conflict);
    assert!(runtime.inspect(spec.run).await.unwrap().unwrap().state.is_alive());
    gone(&runtime, &spec).await;
    assert_eq!(runtime.list().await.unwrap().found, []);
}

/// "Removes an ended or never started attempt"
pub async fn what_was_never_started_can_be_removed(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let mut spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    made(&runtime, &spec).await;
    runtime.remove(spec.run).await.unwrap();
    runtime.remove(spec.run).await.unwrap();
    assert_eq!(runtime.inspect(spec.run).await.unwrap(), None);
    spec.run.attempt = 2;
    made(&runtime, &spec).await;
    gone(&runtime, &spec).await;
}

/// "`Conflict` … if the attempt has ended or was retired"
pub async fn what_was_retired_does_not_start(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let program = fixture.program(&Game::Sleeper);
    let (first, second) = (spec(1, 1, 1, program.clone()), spec(1, 2, 1, program));
    made(&runtime, &first).await;
    runtime.retire(first.run).await.unwrap();
    drop(ready(&runtime, &second).await);
    assert_eq!(refused(runtime.start(first.run).await), ErrorKind::Conflict);
    assert!(!runtime.inspect(first.run).await.unwrap().unwrap().state.is_alive());
    for spec in [&second, &first] {
        gone(&runtime, spec).await;
    }
}

/// "What has ended keeps its exit until it is removed."
pub async fn exit_survives_manager_restart(fixture: &dyn RuntimeFixture) {
    let before = fixture.runtime().await;
    let game = Game::Counter { lines: 20, pause: Duration::from_millis(10), same: false, exit: 7 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&before, &spec).await;
    before.start(spec.run).await.unwrap();
    drop(before);
    let after = fixture.runtime().await;
    let exit = ended(&after, &spec).await;
    assert_eq!(exit.code, 7);
    after.retire(spec.run).await.unwrap();
    drop(after);
    let later = fixture.runtime().await;
    assert_eq!(ended(&later, &spec).await, exit);
    assert_eq!(later.list().await.unwrap().found[0].state, AttemptState::Exited(exit));
    gone(&later, &spec).await;
}

/// "Every call but `pull`, `stop` and the streams answers within ten seconds": also
/// while a stop of the same attempt waits, and a kill overtakes that stop.
pub async fn calls_answer_while_a_stop_waits(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Stubborn));
    drop(ready(&runtime, &spec).await);
    let stop = {
        let (runtime, run) = (runtime.clone(), spec.run);
        tokio::spawn(async move { runtime.stop(run, Duration::from_secs(600)).await })
    };
    let calls = async {
        assert!(runtime.inspect(spec.run).await.unwrap().unwrap().state.is_alive());
        assert_eq!(runtime.list().await.unwrap().found.len(), 1);
        runtime.stats(spec.run).await.unwrap();
        runtime.start(spec.run).await.unwrap();
        runtime.engine().await.unwrap();
        runtime.kill(spec.run).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(50), calls).await.expect("each call answers in time");
    let exit = tokio::time::timeout(PATIENCE, stop).await.expect("the stop ends with the game");
    assert_eq!(exit.unwrap().unwrap().code, 137);
    gone(&runtime, &spec).await;
}

/// "What is there stays as it is."
pub async fn prepare_may_be_repeated(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    runtime.prepare(&spec, None).await.unwrap();
    runtime.prepare(&spec, None).await.unwrap();
    fixture.runtime().await.prepare(&spec, None).await.unwrap();
    drop(ready(&runtime, &spec).await);
    runtime.prepare(&spec, None).await.unwrap();
    gone(&runtime, &spec).await;
}

/// "`Conflict` if the directory belongs to another cluster"
pub async fn a_directory_of_another_cluster_conflicts(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 7, fixture.program(&Game::Sleeper));
    fixture.plant_directory(SgcId(7)).await;
    assert_eq!(refused(runtime.prepare(&spec, None).await), ErrorKind::Conflict);
}

/// "Removes the session's own network; one that is not there is no error. … `Conflict`
/// if something is still in it."
pub async fn a_network_lives_as_long_as_its_session(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let session = SessionId(1);
    runtime.remove_network(session).await.unwrap();
    if !runtime.capabilities().networks {
        assert_eq!(runtime.list().await.unwrap().networks, []);
        return;
    }
    let mut spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    drop(ready(&runtime, &spec).await);
    assert_eq!(fixture.runtime().await.list().await.unwrap().networks, [session]);
    assert_eq!(refused(runtime.remove_network(session).await), ErrorKind::Conflict);
    runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    runtime.retire(spec.run).await.unwrap();
    let first = spec.clone();
    spec.run.attempt = 2;
    made(&runtime, &spec).await;
    assert_eq!(runtime.list().await.unwrap().networks, [session], "attempts share it");
    runtime.remove(first.run).await.unwrap();
    runtime.remove(spec.run).await.unwrap();
    runtime.remove_network(session).await.unwrap();
    runtime.remove_network(session).await.unwrap();
    assert_eq!(runtime.list().await.unwrap().networks, []);
}
