use uuid::Uuid;

use super::{super::sample, *};
use crate::{
    id::{ServerId, SessionId},
    model::{StopMode, session::TimelineEntry},
    wire::{ExternalEvent, ExternalKind},
};

const NOW: Timestamp = Timestamp::from_micros(30_000_000);

fn phase(attempt: u32, phase: Phase) -> SessionReport {
    SessionReport::Phase { session: SessionId(1), attempt, phase, progress: None, reason: None }
}

fn running(attempt: u32) -> SessionReport {
    running_since(attempt, Timestamp::from_micros(20_000_000))
}

fn running_since(attempt: u32, started_at: Timestamp) -> SessionReport {
    SessionReport::Running {
        session: SessionId(1),
        attempt,
        started_at,
        image_digest: "sha256:0".into(),
        spec_hash: "5bec".to_owned(),
        manager_version: "0.1.0".to_owned(),
    }
}

fn attempt_ended(attempt: u32) -> SessionReport {
    let reason = Reason::new(ReasonCode::Exited, "exit code 3");
    SessionReport::AttemptEnded { session: SessionId(1), attempt, exit_code: Some(3), reason }
}

fn ended(end: End, exit_code: Option<i32>) -> SessionReport {
    SessionReport::Ended {
        session: SessionId(1),
        attempt: 1,
        end,
        exit_code,
        out_of_memory: false,
        at: Timestamp::from_micros(25_000_000),
        reason: Reason::new(ReasonCode::Exited, "it ended"),
        last_lines: vec!["bye".into()],
    }
}

fn at(state: State, attempt: u32) -> Session {
    Session { state, attempt, ..sample() }
}

fn kinds(change: &Change) -> Vec<ExternalKind> {
    let kind = |event: &ExternalEvent| match event {
        ExternalEvent::Host { event, .. } | ExternalEvent::Session { event, .. } => *event,
    };
    change.events.iter().map(kind).collect()
}

fn states(entries: &[TimelineEntry]) -> Vec<(State, bool)> {
    entries.iter().map(|entry| (entry.state, entry.not_seen)).collect()
}

#[test]
fn running_is_told_and_stamped_once() {
    let starting = at(State::Starting, 1);
    let change = apply(&starting, &running(1), NOW).unwrap();
    assert_eq!(change.session.started_at, Some(Timestamp::from_micros(20_000_000)));
    assert_eq!(kinds(&change), [ExternalKind::SessionStarted]);
    assert_eq!(change.session.revision, starting.revision + 1);

    let again = apply(&change.session, &running_since(1, NOW), NOW).unwrap();
    assert_eq!((again.session, again.entries.len()), (change.session, 0));
}

#[test]
fn what_came_up_while_it_was_stopped_is_on_record() {
    let stopping = Session { want: Want::Stop(StopMode::Graceful), ..at(State::Stopping, 0) };
    let change = apply(&stopping, &running(1), NOW).unwrap();
    assert_eq!((change.session.state, change.session.attempt), (State::Stopping, 1));
    assert_eq!(change.session.started_at, Some(Timestamp::from_micros(20_000_000)));
    assert!(
        change.attempt.as_ref().is_some_and(|attempt| attempt.number == 1 && attempt.started_at.is_some())
    );
    assert_eq!((kinds(&change), states(&change.entries)), (vec![], vec![]));
    assert!(apply(&Session { attempt: 2, ..stopping }, &running(1), NOW).is_err());
}

#[test]
fn a_host_with_a_wrong_clock_cannot_bend_time() {
    for (said, kept) in [(0, 1_000_000), (i64::MAX, 30_000_000)] {
        let report = running_since(1, Timestamp::from_micros(said));
        let change = apply(&at(State::Starting, 1), &report, NOW).unwrap();
        assert_eq!(change.session.started_at, Some(Timestamp::from_micros(kept)));
    }
}

#[test]
fn a_jump_leaves_what_was_passed_as_not_seen() {
    let change = apply(&sample(), &ended(End::Crashed, Some(42)), NOW).unwrap();
    assert_eq!(
        states(&change.entries),
        [(State::Starting, true), (State::Running, true), (State::Crashed, false)]
    );
    assert_eq!(change.session.revision, 4);
    assert_eq!((change.session.attempt, change.session.exit_code), (1, Some(42)));
    assert_eq!(change.session.last_lines, ["bye"]);
    assert_eq!(kinds(&change), [ExternalKind::SessionCrashed]);
}

#[test]
fn whatever_ends_a_session_that_is_to_be_stopped_is_its_stop() {
    for end in [End::Stopped, End::Completed, End::Crashed, End::Failed] {
        let stopping = Session { want: Want::Stop(StopMode::Graceful), ..at(State::Stopping, 1) };
        let change = apply(&stopping, &ended(end, Some(1)), NOW).unwrap();
        assert_eq!((change.session.state, change.session.exit_code), (State::Stopped, Some(1)));
        assert_eq!(kinds(&change), [ExternalKind::SessionStopped]);
    }
}

#[test]
fn an_end_stands_with_all_that_was_said_of_it() {
    let first = apply(&at(State::Running, 1), &ended(End::Crashed, Some(42)), NOW).unwrap().session;
    let later = NOW.plus(std::time::Duration::from_secs(9));
    let again = apply(&first, &ended(End::Crashed, Some(1)), later).unwrap();
    assert_eq!((again.session, again.events.len()), (first.clone(), 0));
    for report in [ended(End::Completed, Some(0)), running(2), phase(2, Phase::Accepted), attempt_ended(1)] {
        assert!(apply(&first, &report, later).is_err(), "{report:?}");
    }
}

#[test]
fn an_attempt_that_ended_waits_for_the_next() {
    let change = apply(&at(State::Running, 1), &attempt_ended(1), NOW).unwrap();
    let session = &change.session;
    assert_eq!((session.state, session.phase, session.attempt), (State::Starting, Some(Phase::Backoff), 2));
    assert_eq!((session.exit_code, session.reason.text.as_str()), (Some(3), "exit code 3"));
    let ExternalEvent::Session { event, attempt, exit_code, .. } = &change.events[0] else { panic!() };
    assert_eq!((*event, *attempt, *exit_code), (ExternalKind::SessionAttemptEnded, 1, Some(3)));
    // Said again, it is known.
    assert_eq!(apply(session, &attempt_ended(1), NOW).unwrap().session, *session);
}

#[test]
fn a_later_attempt_tells_that_the_one_before_has_ended() {
    let change = apply(&at(State::Running, 1), &phase(2, Phase::Accepted), NOW).unwrap();
    assert_eq!(kinds(&change), [ExternalKind::SessionAttemptEnded]);
    let change = apply(&at(State::Running, 1), &running(2), NOW).unwrap();
    assert_eq!(kinds(&change), [ExternalKind::SessionAttemptEnded, ExternalKind::SessionStarted]);
}

#[test]
fn a_lost_session_that_is_to_be_stopped_is_being_stopped_when_heard() {
    let lost = Session { want: Want::Stop(StopMode::Graceful), ..at(State::Lost, 1) };
    let change = apply(&lost, &running(2), NOW).unwrap();
    assert_eq!((change.session.state, change.session.attempt), (State::Stopping, 2));
    assert_eq!(states(&change.entries), [(State::Running, false), (State::Stopping, false)]);
}

#[test]
fn what_a_session_wants_and_where_it_is_agree_after_any_report() {
    let reports = [
        phase(1, Phase::Pulling),
        phase(2, Phase::Booting),
        running(1),
        running(3),
        attempt_ended(1),
        ended(End::Stopped, None),
        ended(End::Crashed, Some(1)),
    ];
    for state in [State::Stopping, State::Lost] {
        let before = Session { want: Want::Stop(StopMode::Kill), ..at(state, 1) };
        for change in reports.iter().filter_map(|report| apply(&before, report, NOW).ok()) {
            let after = change.session.state;
            assert!(after.is_end() || matches!(after, State::Stopping | State::Lost), "{state} {after}");
        }
    }
}

#[test]
fn progress_alone_makes_no_history() {
    let starting = Session { phase: Some(Phase::Pulling), ..at(State::Starting, 1) };
    let report = SessionReport::Phase {
        session: SessionId(1),
        attempt: 1,
        phase: Phase::Pulling,
        progress: Some("12 of 80 MB".into()),
        reason: None,
    };
    let change = apply(&starting, &report, NOW).unwrap();
    assert_eq!(change.session.progress.as_deref(), Some("12 of 80 MB"));
    assert_eq!((change.entries.len(), change.session.revision), (0, starting.revision));
    let booted = apply(&change.session, &running(1), NOW).unwrap();
    assert_eq!(booted.session.progress, None);
}

#[test]
fn what_games_say_is_bounded_again() {
    let mut report = ended(End::Crashed, Some(1));
    if let SessionReport::Ended { last_lines, reason, .. } = &mut report {
        *last_lines = (0..50).map(|n| format!("{n} {}\0", "ü".repeat(400))).collect();
        reason.text = "x".repeat(10_000);
    }
    let session = apply(&at(State::Running, 1), &report, NOW).unwrap().session;
    assert_eq!(session.last_lines.len(), 20);
    assert!(session.last_lines[0].starts_with("30 "));
    assert!(session.last_lines.iter().all(|line| line.len() <= 500 && !line.contains('\0')));
    assert_eq!(session.reason.text.len(), 500);
}

#[test]
fn an_older_report_does_not_win() {
    let source =
        |epoch, sequence| Source { message: Uuid::nil(), server: ServerId(1), epoch: Epoch(epoch), sequence };
    let last = Some((Epoch(2), 5));
    assert!(is_outdated(&running(1), source(2, 4), last));
    assert!(!is_outdated(&running(1), source(2, 6), last));
    assert!(!is_outdated(&running(1), source(3, 1), last));
    assert!(!is_outdated(&ended(End::Crashed, None), source(2, 4), last));
    assert!(!is_outdated(&running(1), source(1, 1), None));
}

#[test]
fn a_restart_by_hand_waits_for_nothing() {
    let reason = Reason::new(ReasonCode::Restarted, "restart requested by alice");
    let report =
        SessionReport::AttemptEnded { session: SessionId(1), attempt: 1, exit_code: Some(0), reason };
    let session = apply(&at(State::Running, 1), &report, NOW).unwrap().session;
    assert_eq!((session.state, session.phase, session.attempt), (State::Starting, Some(Phase::Accepted), 2));
}
