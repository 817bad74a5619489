//! One-shot commands.

use std::time::Duration;

use uuid::Uuid;

use super::ground::{Ground, STALE, STOP, refused, running, write};
use crate::{
    id::{AttemptId, SessionId},
    model::{ConsoleLine, State},
    store::{Applied, CommandRecord, CommandState, DeedError},
    wire::{Command, OneShot, Outcome, SessionReport},
};

const VALID: Duration = Duration::from_secs(10);

fn save() -> ConsoleLine {
    "save".parse().expect("a line")
}

async fn input(ground: &Ground, session: SessionId) -> CommandRecord {
    ground.store.command_input(session, &save(), VALID, &write()).await.expect("the game runs")
}

async fn state(ground: &Ground, id: Uuid) -> CommandState {
    ground.store.command_get(id).await.unwrap().expect("the command is there").state
}

/// "Writes an input for a running session's current attempt and queues it to its host."
pub async fn an_input_is_for_the_attempt_that_runs(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    ground.drain().await;
    let error = refused(store.command_input(session.id, &save(), VALID, &write()).await);
    assert!(matches!(error, DeedError::NotRunning { state: State::Pending, .. }), "{error:?}");
    ground.report(host, running(session.id, 3)).await;

    let record = input(ground, session.id).await;
    assert_eq!((record.run, record.server), (AttemptId::new(session.id, 3), host.server));
    assert_eq!((record.not_after, &record.state), (ground.now().plus(VALID), &CommandState::Sent));
    assert_eq!(store.command_get(record.id).await.unwrap(), Some(record.clone()));
    let sent = OneShot { id: record.id, run: record.run, not_after: record.not_after, what: save() };
    assert_eq!(ground.hints().await, [Command::Input(sent)]);

    store.session_want(session.id, STOP, &write()).await.unwrap();
    let error = refused(store.command_input(session.id, &save(), VALID, &write()).await);
    assert!(matches!(error, DeedError::NotRunning { state: State::Stopping, .. }), "{error:?}");
    let error = refused(store.command_input(SessionId(99), &save(), VALID, &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "session", .. }), "{error:?}");
    assert_eq!(store.command_get(Uuid::nil()).await.unwrap(), None);
}

/// "Notes what became of a command, once; the first word stands." "The outcome of a
/// one-shot command settles that command."
pub async fn the_first_word_on_a_command_stands(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.running("box").await;
    let record = input(ground, session.id).await;
    let refusal = Outcome::Refused("stdin is closed".into());
    store.command_settle(record.id, &refusal).await.unwrap();
    store.command_settle(record.id, &Outcome::Done).await.unwrap();
    assert_eq!(state(ground, record.id).await, CommandState::Settled(refusal));
    store.command_settle(Uuid::nil(), &Outcome::Done).await.unwrap();

    let record = input(ground, session.id).await;
    let outcome = |command, outcome| SessionReport::Outcome { session: session.id, command, outcome };
    // Another host has no say in it.
    let stranger = ground.server("stranger").await;
    let unknown = Outcome::Unknown("?".into());
    assert!(matches!(
        ground.report(stranger, outcome(record.id, unknown.clone())).await,
        Applied::Illegal(_)
    ));
    assert_eq!(ground.report(host, outcome(record.id, Outcome::Done)).await, Applied::Changed);
    assert_eq!(ground.report(host, outcome(record.id, unknown)).await, Applied::Same);
    assert_eq!(state(ground, record.id).await, CommandState::Settled(Outcome::Done));
    assert_eq!(ground.get(session.id).await, session);
}

/// "The outcome of a one-shot command settles that command, whoever is registered since it was
/// said."
pub async fn an_outcome_outlives_its_registration(ground: &Ground) {
    let (host, session) = ground.running("box").await;
    let (done, refused) = (input(ground, session.id).await, input(ground, session.id).await);
    let outcome = |command, outcome| SessionReport::Outcome { session: session.id, command, outcome };
    let never = crate::store::Welcomed { epoch: crate::id::Epoch(host.epoch.0 + 2), ..host };
    let again = ground.server("box").await;
    let said = (ground.source(host), outcome(done.id, Outcome::Done));
    for applied in [Applied::Changed, Applied::Duplicate] {
        assert_eq!(ground.store.session_report(said.0, &said.1).await.unwrap(), applied);
    }
    assert_eq!(state(ground, done.id).await, CommandState::Settled(Outcome::Done));
    let refusal = Outcome::Refused("stdin is closed".into());
    assert_eq!(ground.report(never, outcome(refused.id, Outcome::Done)).await, Applied::Fenced);
    assert_eq!(ground.report(again, outcome(refused.id, refusal.clone())).await, Applied::Changed);
    // Who was replaced has no say against whoever has answered.
    assert_eq!(ground.report(host, outcome(refused.id, Outcome::Done)).await, Applied::Same);
    assert_eq!(state(ground, refused.id).await, CommandState::Settled(refusal));
    assert_eq!(ground.get(session.id).await, session);
}

/// "Turns commands that nobody answered for, `grace` after their time, to unknown."
pub async fn what_nobody_answers_for_is_unknown(ground: &Ground) {
    let store = &ground.store;
    let (_, session) = ground.running("box").await;
    let (silent, answered) = (input(ground, session.id).await, input(ground, session.id).await);
    store.command_settle(answered.id, &Outcome::Done).await.unwrap();
    ground.pass(VALID + STALE - Duration::from_micros(1));
    assert!(store.command_expire(STALE).await.unwrap().is_empty());
    ground.pass(Duration::from_micros(1));
    assert_eq!(store.command_expire(STALE).await.unwrap(), [silent.id]);
    let settled = state(ground, silent.id).await;
    assert!(matches!(settled, CommandState::Settled(Outcome::Unknown(_))), "{settled:?}");
    assert_eq!(state(ground, answered.id).await, CommandState::Settled(Outcome::Done));
    assert!(store.command_expire(STALE).await.unwrap().is_empty());
}
