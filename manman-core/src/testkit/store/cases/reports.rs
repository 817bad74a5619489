//! What hosts report of their sessions.

use std::time::Duration;

use super::ground::{Ground, STALE, STOP, ended, events_of, older, phase, running, write};
use crate::{
    id::{AttemptId, SessionId},
    model::{Phase, Reason, Session, State, reason::ReasonCode, session::Attempt},
    store::{Applied, IllegalReport, Source},
    wire::{End, ExternalKind, SessionReport},
};

/// "Applies a host's report through the state table … with its timeline entries and
/// external events." "Which of these attempts' sessions have an end on record."
pub async fn a_life_is_told_from_start_to_end(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    ground.drain().await;
    let id = session.id;
    let again = Reason::new(ReasonCode::Exited, "exit code 3");
    let life = [
        phase(id, 1, Phase::Accepted),
        phase(id, 1, Phase::Pulling),
        running(id, 1),
        SessionReport::AttemptEnded { session: id, attempt: 1, exit_code: Some(3), reason: again },
        phase(id, 2, Phase::Creating),
        running(id, 2),
        ended(id, 2, End::Crashed, Some(42)),
    ];
    let mut told = Vec::new();
    for report in life {
        ground.pass(Duration::from_secs(1));
        let runs = [AttemptId::new(id, 2), AttemptId::new(SessionId(99), 1)];
        assert_eq!(store.session_receipts(host.server, &runs).await.unwrap(), []);
        assert_eq!(ground.report(host, report.clone()).await, Applied::Changed);
        assert!(matches!(ground.report(host, report).await, Applied::Same));
        told.extend(events_of(&ground.drain().await));
    }
    let runs = [AttemptId::new(id, 2), AttemptId::new(SessionId(99), 1)];
    assert_eq!(store.session_receipts(host.server, &runs).await.unwrap(), runs[..1]);
    assert_eq!(store.session_receipts(crate::id::ServerId(99), &runs).await.unwrap(), []);

    use ExternalKind::*;
    assert_eq!(told, [SessionStarted, SessionAttemptEnded, SessionStarted, SessionCrashed]);
    let end = ground.get(id).await;
    assert_eq!((end.state, end.attempt, end.exit_code), (State::Crashed, 2, Some(42)));
    // The host's clock is far off; the store's is what can be true.
    assert_eq!((end.started_at, end.ended_at), (Some(session.created_at), Some(ground.now())));
    assert_eq!((end.last_lines.len(), end.reason.text.as_str()), (2, "it ended by itself"));
    assert_eq!((end.phase, end.generation), (None, session.generation));
    let timeline = store.session_timeline(id).await.unwrap();
    let revisions: Vec<i64> = timeline.iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, (1..=end.revision).collect::<Vec<_>>());
    let steps: Vec<_> = timeline.iter().map(|entry| (entry.state, entry.phase, entry.attempt)).collect();
    use State::*;
    assert_eq!(
        steps,
        [
            (Pending, None, 0),
            (Starting, Some(Phase::Accepted), 1),
            (Starting, Some(Phase::Pulling), 1),
            (Running, None, 1),
            (Starting, Some(Phase::Backoff), 2),
            (Starting, Some(Phase::Creating), 2),
            (Running, None, 2),
            (Crashed, None, 2),
        ]
    );
    assert!(timeline.iter().all(|entry| !entry.not_seen));
}

/// "with … what it says of an attempt, of which the first word stands."
pub async fn each_attempt_stays_on_record(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    let id = session.id;
    let attempts = async || store.session_attempts(id).await.unwrap();
    assert_eq!(attempts().await, []);
    ground.report(host, phase(id, 1, Phase::Creating)).await;
    assert_eq!(attempts().await, [], "nothing of it runs yet");
    ground.pass(Duration::from_secs(1));
    let began = ground.now();
    ground.report(host, running(id, 1)).await;
    let runs = Attempt {
        image_digest: Some("sha256:0".to_owned()),
        spec_hash: Some("5bec".to_owned()),
        manager_version: Some("0.1.0".to_owned()),
        // The host's clock is far off.
        started_at: Some(session.created_at),
        ..Attempt::new(1)
    };
    assert_eq!(attempts().await, std::slice::from_ref(&runs));
    let again = Reason::new(ReasonCode::Exited, "exit code 3");
    let over = |attempt| SessionReport::AttemptEnded {
        session: id,
        attempt,
        exit_code: Some(3),
        reason: again.clone(),
    };
    ground.report(host, over(1)).await;
    let first = Attempt { ended_at: Some(began), exit_code: Some(3), reason: Some(again.clone()), ..runs };
    assert_eq!(attempts().await, std::slice::from_ref(&first));

    // That the second one ended comes after what is said of the third one.
    ground.report(host, running(id, 2)).await;
    ground.report(host, phase(id, 3, Phase::Creating)).await;
    ground.pass(Duration::from_secs(1));
    assert_eq!(ground.report(host, over(2)).await, Applied::Changed);
    assert_eq!(ground.report(host, over(2)).await, Applied::Same);
    let second = Attempt { number: 2, ended_at: Some(ground.now()), ..first.clone() };
    ground.pass(Duration::from_secs(1));
    ground.report(host, ended(id, 3, End::Crashed, Some(42))).await;
    let text = Some(Reason::new(ReasonCode::Exited, "it ended by itself"));
    let third =
        Attempt { ended_at: Some(ground.now()), exit_code: Some(42), reason: text, ..Attempt::new(3) };
    assert_eq!(attempts().await, [first, second, third]);
    assert_eq!(store.session_attempts(SessionId(99)).await.unwrap(), []);
}

/// Reports may jump: "the skipped states are written to the timeline as not seen".
pub async fn what_was_jumped_over_is_not_seen(ground: &Ground) {
    let (host, session) = ground.session("box").await;
    ground.report(host, ended(session.id, 1, End::Completed, Some(0))).await;
    let timeline = ground.store.session_timeline(session.id).await.unwrap();
    let steps: Vec<_> = timeline.iter().map(|entry| (entry.state, entry.not_seen)).collect();
    use State::*;
    assert_eq!(steps, [(Pending, false), (Starting, true), (Running, true), (Completed, false)]);
    assert_eq!(ground.get(session.id).await.revision, 4);
}

/// "once per message id and per (epoch, sequence)".
pub async fn a_report_counts_once(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    let source = ground.source(host);
    let report = running(session.id, 1);
    assert_eq!(store.session_report(source, &report).await.unwrap(), Applied::Changed);
    let same_message = Source { sequence: source.sequence + 1000, ..source };
    let same_sequence = Source { message: ground.source(host).message, ..source };
    for again in [source, same_message, same_sequence] {
        assert_eq!(store.session_report(again, &report).await.unwrap(), Applied::Duplicate);
        let other = ended(session.id, 1, End::Crashed, Some(1));
        assert_eq!(store.session_report(again, &other).await.unwrap(), Applied::Duplicate);
    }
    // A new registration counts from the beginning.
    let host = ground.server("box").await;
    let first = Source { epoch: host.epoch, message: ground.source(host).message, ..source };
    let end = ended(session.id, 1, End::Crashed, Some(1));
    assert_eq!(store.session_report(first, &end).await.unwrap(), Applied::Changed);
}

/// "It was applied before, or a later one of its session was."
pub async fn an_older_report_does_not_win(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    let early = ground.source(host);
    ground.report(host, phase(session.id, 1, Phase::Creating)).await;
    let pulling = phase(session.id, 1, Phase::Pulling);
    assert_eq!(store.session_report(early, &pulling).await.unwrap(), Applied::Duplicate);
    assert_eq!(ground.get(session.id).await.phase, Some(Phase::Creating));
    assert_eq!(store.session_refused(9).await.unwrap().total, 0);
}

/// "What the table refuses is counted, kept and told by [`Applied::Illegal`]; it is not an
/// error. A report of a session of another server is [`Applied::Illegal`] too."
pub async fn the_illegal_is_kept_and_counted(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.running("box").await;
    let stranger = ground.server("stranger").await;
    let source = ground.source(host);
    let late = running(session.id, 0);
    let refused = store.session_report(source, &late).await.unwrap();
    assert!(matches!(refused, Applied::Illegal(IllegalReport::Rejected(_))), "{refused:?}");
    assert_eq!(store.session_report(source, &late).await.unwrap(), Applied::Duplicate);
    let end = ended(session.id, 1, End::Crashed, Some(1));
    let refused = ground.report(stranger, end.clone()).await;
    assert!(matches!(refused, Applied::Illegal(IllegalReport::NoSession { .. })), "{refused:?}");
    let nobody = ended(SessionId(99), 1, End::Crashed, Some(1));
    assert!(matches!(ground.report(host, nobody).await, Applied::Illegal(_)));
    assert_eq!(ground.get(session.id).await, session);
    assert_eq!(ground.events().await, [ExternalKind::HostOnline]);

    let kept = store.session_refused(2).await.unwrap();
    assert_eq!((kept.total, kept.latest.len()), (3, 2));
    assert_eq!(kept.latest[0].session, SessionId(99));
    let kept = &store.session_refused(9).await.unwrap().latest;
    assert_eq!((kept[2].source, kept[2].at), (source, ground.now()));
    assert_eq!(serde_json::from_str::<SessionReport>(&kept[2].report).unwrap(), late);
    assert!(!kept[2].why.is_empty());
}

/// "An end is never changed."
pub async fn an_end_is_never_changed(ground: &Ground) {
    let (host, session) = ground.running("box").await;
    ground.report(host, ended(session.id, 1, End::Crashed, Some(42))).await;
    let end = ground.get(session.id).await;
    ground.drain().await;
    ground.pass(Duration::from_secs(100));
    for report in [
        ended(session.id, 1, End::Completed, Some(0)),
        ended(session.id, 1, End::Stopped, Some(0)),
        ended(session.id, 2, End::Crashed, Some(1)),
        phase(session.id, 2, Phase::Accepted),
        running(session.id, 2),
    ] {
        assert_ne!(ground.report(host, report.clone()).await, Applied::Changed, "{report:?}");
    }
    ground.store.server_sweep(ground.now()).await.unwrap();
    ground.store.session_expire(Duration::ZERO).await.unwrap();
    ground.store.server_abandon(host.server, &write()).await.unwrap();
    assert_eq!(ground.get(session.id).await, end);
    assert_eq!(ground.events().await, [ExternalKind::HostStale]);
}

/// "Its sender has been replaced, or was never registered."
pub async fn who_is_fenced_changes_nothing(ground: &Ground) {
    let (old, session) = ground.running("box").await;
    let new = ground.server("box").await;
    let end = ended(session.id, 1, End::Crashed, Some(1));
    for who in [old, older(old)] {
        assert_eq!(ground.report(who, end.clone()).await, Applied::Fenced);
    }
    assert_eq!(ground.get(session.id).await, session);
    assert_eq!(ground.report(new, end).await, Applied::Changed);
}

/// `lost` is not an end: what is seen again goes on from there.
pub async fn what_was_lost_is_found_again(ground: &Ground) {
    let store = &ground.store;
    let (host, runs) = ground.running("box").await;
    let (other, stops) = ground.running("other").await;
    store.session_want(stops.id, STOP, &write()).await.unwrap();
    ground.pass(STALE * 2);
    assert_eq!(store.server_sweep(ground.now().minus(STALE)).await.unwrap().len(), 2);
    ground.drain().await;
    assert_eq!(ground.report(host, running(runs.id, 1)).await, Applied::Changed);
    let found = ground.get(runs.id).await;
    assert_eq!((found.state, found.reason.code), (State::Running, ReasonCode::HostReturned));
    assert_eq!(found.started_at, runs.started_at);
    assert_eq!(ground.events().await, [ExternalKind::SessionStarted]);
    // What is to be stopped is being stopped again.
    ground.report(other, running(stops.id, 1)).await;
    assert_eq!(ground.get(stops.id).await.state, State::Stopping);
    ground.report(other, ended(stops.id, 1, End::Crashed, Some(137))).await;
    let stopped = ground.get(stops.id).await;
    assert_eq!((stopped.state, stopped.exit_code), (State::Stopped, Some(137)));
}

/// Whatever the order and however often reports come, the end is that of a clean run.
pub async fn any_order_of_reports_ends_the_same(ground: &Ground) {
    let (host, first) = ground.session("box").await;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut clean: Option<Session> = None;
    let mut id = first.id;
    for round in 0..20 {
        let reports = [
            phase(id, 1, Phase::Accepted),
            phase(id, 1, Phase::Pulling),
            running(id, 1),
            phase(id, 2, Phase::Booting),
            running(id, 2),
            ended(id, 2, End::Crashed, Some(7)),
        ];
        let mut sent: Vec<_> = reports.iter().map(|report| (ground.source(host), report)).collect();
        if round > 0 {
            sent.extend(sent.clone());
            random.shuffle(&mut sent);
        }
        for (source, report) in sent {
            ground.store.session_report(source, report).await.unwrap();
        }
        let end = ground.get(id).await;
        match &clean {
            None => clean = Some(end),
            Some(clean) => {
                let facts = |it: &Session| (it.state, it.attempt, it.exit_code, it.last_lines.clone());
                assert_eq!(facts(&end), facts(clean), "seed {seed} round {round}");
            }
        }
        id = ground.start(first.sgc).await.id;
    }
}
