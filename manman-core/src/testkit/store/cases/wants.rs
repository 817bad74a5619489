//! What is wanted of a session, and how that changes.

use super::ground::{Ground, KILL, STOP, ended, refused, write};
use crate::{
    id::{Generation, SessionId},
    model::{State, StopMode, Want},
    store::{DeedError, WantChange},
    wire::{Command, End, ExternalKind},
};

/// "A pending one whose start never left is stopped here and now, and its hint withdrawn."
pub async fn a_start_that_never_left_is_stopped_here_and_now(ground: &Ground) {
    let store = &ground.store;
    let (_, session) = ground.session("box").await;
    store.session_want(session.id, WantChange::Restart, &write()).await.unwrap();
    let stopped = store.session_want(session.id, STOP, &write()).await.unwrap();
    assert_eq!((stopped.state, stopped.ended_at), (State::Stopped, Some(ground.now())));
    assert_eq!(stopped.reason.text, "stop asked by alice");
    assert_eq!(ground.get(session.id).await, stopped);
    let left = ground.drain().await;
    assert!(left.iter().all(|message| message.key.as_str() != "command.1"), "{left:?}");
    assert!(left.iter().any(|message| message.key.as_str() == ExternalKind::SessionStopped.key()));
    ground.start(session.sgc).await;
}

/// "Changes what is wanted of a live session, with its generation, and queues the hint":
/// what a relay was handed may have left, whatever it says of it.
pub async fn a_start_that_left_is_stopped_by_its_host(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    let due = store.outbox_due(9).await.unwrap();
    for it in &due {
        store.outbox_failed(it.message.id, "no broker", std::time::Duration::ZERO).await.unwrap();
    }
    let stopping = store.session_want(session.id, STOP, &write()).await.unwrap();
    assert_eq!((stopping.state, stopping.want), (State::Stopping, Want::Stop(StopMode::Graceful)));
    assert_eq!(stopping.generation, Generation(2));
    let told = [Command::Start { session: session.id }, Command::Stop { session: session.id }];
    assert_eq!(ground.hints().await, told);

    // Wanting what is wanted already changes nothing.
    assert_eq!(store.session_want(session.id, STOP, &write()).await.unwrap(), stopping);
    assert_eq!(ground.hints().await, []);
    ground.report(host, ended(session.id, 0, End::Stopped, None)).await;
    let stopped = ground.get(session.id).await;
    assert_eq!(stopped.state, State::Stopped);
    // "A stop of one that has ended succeeds and changes nothing."
    assert_eq!(store.session_want(session.id, KILL, &write()).await.unwrap(), stopped);
    assert_eq!(ground.hints().await, []);
    let error = refused(store.session_want(SessionId(99), STOP, &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "session", .. }), "{error:?}");
}

/// "a kill overtakes a graceful stop, never the other way round."
pub async fn a_kill_overtakes_a_stop(ground: &Ground) {
    let store = &ground.store;
    let (_, session) = ground.running("box").await;
    store.session_want(session.id, STOP, &write()).await.unwrap();
    let killed = store.session_want(session.id, KILL, &write()).await.unwrap();
    assert_eq!((killed.want, killed.state), (Want::Stop(StopMode::Kill), State::Stopping));
    assert_eq!(killed.generation, Generation(3));
    assert_eq!(store.session_want(session.id, STOP, &write()).await.unwrap(), killed);
    let told = [Command::Stop { session: session.id }, Command::Kill { session: session.id }];
    assert_eq!(ground.hints().await, told);
    let timeline = store.session_timeline(session.id).await.unwrap();
    let reasons: Vec<&str> = timeline.iter().rev().take(2).map(|entry| entry.reason.text.as_str()).collect();
    assert_eq!(reasons, ["kill asked by alice", "stop asked by alice"]);
}

/// "[`DeedError::SessionEnded`] for a restart of one that has ended." "A restart of one that
/// is to be stopped is refused."
pub async fn a_restart_is_for_what_runs(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.running("box").await;
    let restarted = store.session_want(session.id, WantChange::Restart, &write()).await.unwrap();
    assert_eq!((restarted.want, restarted.state), (Want::Run { restarts: 1 }, State::Running));
    assert_eq!(restarted.generation, Generation(2));
    assert_eq!(ground.hints().await, [Command::Restart { session: session.id }]);
    let known = WantChange::To(Want::Run { restarts: 1 });
    assert_eq!(store.session_want(session.id, known, &write()).await.unwrap(), restarted);

    store.session_want(session.id, STOP, &write()).await.unwrap();
    let error = refused(store.session_want(session.id, WantChange::Restart, &write()).await);
    assert!(matches!(error, DeedError::SessionStopping { .. }), "{error:?}");
    ground.report(host, ended(session.id, 1, End::Stopped, Some(0))).await;
    let error = refused(store.session_want(session.id, WantChange::Restart, &write()).await);
    assert!(matches!(error, DeedError::SessionEnded { state: State::Stopped, .. }), "{error:?}");
}
