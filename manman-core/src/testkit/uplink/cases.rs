//! The cases. Each quotes its bullet of the contract.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::UplinkFixture;
pub use super::blobs::{
    a_blob_elsewhere_is_denied, a_blob_is_put_beneath_its_host, a_blob_that_breaks_off_is_not_put,
    an_address_is_given_where_there_are_any,
};
use crate::{
    blob::{BlobKey, whole},
    broker::{Class, Exchange, Message, Queue, RoutingKey},
    clock::Timestamp,
    error::ErrorKind,
    id::{AttemptId, Epoch, Generation, SessionId},
    model::{Reason, State, StopMode, Want, reason::ReasonCode},
    uplink::{HostIdentity, Snapshot},
    wire::{Command, End, Envelope, Report, SessionReport, VERSION},
};

/// How long a case waits for what is to come. Long: it bounds a hang, it measures nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn registered(fixture: &impl UplinkFixture) -> HostIdentity {
    let welcomed = fixture.uplink().register(&fixture.hello()).await.unwrap();
    HostIdentity { server: welcomed.server, epoch: welcomed.epoch }
}

async fn snapshot(fixture: &impl UplinkFixture, me: HostIdentity, known: &[SessionId]) -> Snapshot {
    fixture.uplink().snapshot(me, known).await.unwrap()
}

/// A report of this host, as it would send it.
async fn report(fixture: &impl UplinkFixture, me: HostIdentity, sequence: i64, report: SessionReport) {
    let key = RoutingKey::session_status(me.server, report.session());
    let envelope = Envelope {
        version: VERSION,
        id: Uuid::now_v7(),
        issued_at: Timestamp::default(),
        not_after: None,
        server: me.server,
        epoch: me.epoch,
        generation: Generation::default(),
        sequence,
        trace: None,
        body: Report::Session(report),
    };
    let body = envelope.encode().unwrap();
    let message = Message { id: envelope.id, exchange: Exchange::Internal, key, class: Class::Report, body };
    fixture.broker().publish(message).await.unwrap();
}

pub(super) fn blob_of(me: HostIdentity, name: &str) -> BlobKey {
    BlobKey::of_host(me.server).join(name).unwrap()
}

fn running(session: SessionId) -> SessionReport {
    let started_at = Timestamp::default();
    SessionReport::Running {
        session,
        attempt: 1,
        started_at,
        image_digest: "sha256:1".to_owned(),
        spec_hash: "5bec".to_owned(),
        manager_version: "0.1.0".to_owned(),
    }
}

fn ended(session: SessionId) -> SessionReport {
    SessionReport::Ended {
        session,
        attempt: 1,
        end: End::Crashed,
        exit_code: Some(42),
        out_of_memory: false,
        at: Timestamp::default(),
        reason: Reason::new(ReasonCode::Exited, "exit code 42"),
        last_lines: Vec::new(),
    }
}

async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let before = Instant::now();
    while !so().await {
        assert!(before.elapsed() < PATIENCE, "it never comes that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `register` may be repeated; each one makes a new epoch.
pub async fn register_may_be_repeated(fixture: &impl UplinkFixture) {
    let first = fixture.uplink().register(&fixture.hello()).await.unwrap();
    let second = fixture.uplink().register(&fixture.hello()).await.unwrap();
    assert_eq!((first.cluster, first.server), (second.cluster, second.server));
    assert!(second.epoch > first.epoch);
}

/// Calls with an older epoch are `Fenced`.
pub async fn an_older_registration_is_fenced(fixture: &impl UplinkFixture) {
    let old = registered(fixture).await;
    let session = fixture.start(old).await;
    let new = registered(fixture).await;
    let uplink = fixture.uplink();
    let fenced = [
        uplink.snapshot(old, &[]).await.unwrap_err(),
        uplink.spec(old, session).await.unwrap_err(),
        uplink.receipts(old, &[]).await.unwrap_err(),
        uplink.blob_put(old, &blob_of(old, "k"), whole("x")).await.unwrap_err(),
        uplink.blob_address(old, &blob_of(old, "k")).await.unwrap_err(),
    ];
    for error in fenced {
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    }
    uplink.spec(new, session).await.unwrap();
}

/// One that was never given out is `NotFound`.
pub async fn a_registration_that_was_never_given_out_is_not_found(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let future = HostIdentity { epoch: Epoch(me.epoch.0 + 5), ..me };
    let error = fixture.uplink().snapshot(future, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    // And registering again helps.
    snapshot(fixture, registered(fixture).await, &[]).await;
}

/// Once `register` has answered, commands for the host are kept for it, and its reports
/// are taken.
pub async fn once_registered_commands_and_reports_have_a_way(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let session = fixture.start(me).await;
    let mut consumer = fixture.broker().consume(&Queue::of_host(me.server).name).await.unwrap();
    let delivery = timeout(PATIENCE, consumer.next()).await.expect("no hint came").unwrap();
    let hint = Envelope::<Command>::decode(&delivery.message.body).unwrap();
    assert_eq!((hint.server, hint.body), (me.server, Command::Start { session }));
    delivery.handle.ack().await.unwrap();
    report(fixture, me, 1, running(session)).await;
}

/// A snapshot holds every session of the host that has not ended, and nothing else.
pub async fn what_is_wanted_is_in_the_snapshot(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    assert_eq!(snapshot(fixture, me, &[]).await.wanted, []);
    let (one, other) = (fixture.start(me).await, fixture.start(me).await);
    let seen = snapshot(fixture, me, &[one]).await;
    assert_eq!((&seen.ended, &seen.unknown), (&vec![], &vec![]));
    assert_eq!(seen.wanted.iter().map(|it| it.session).collect::<Vec<_>>(), [one, other]);
    for wanted in &seen.wanted {
        assert_eq!(wanted.want, Want::Run { restarts: 0 });
        assert_eq!((wanted.attempt, wanted.state), (0, State::Pending));
        assert!(wanted.not_after > seen.taken_at);
        let spec = fixture.uplink().spec(me, wanted.session).await.unwrap();
        assert_eq!((spec.session, spec.sgc), (wanted.session, wanted.sgc));
    }
}

/// Each change of what is wanted has a later generation.
pub async fn a_stop_is_in_the_snapshot_with_a_later_generation(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let session = fixture.start(me).await;
    report(fixture, me, 1, running(session)).await;
    let mut generations = Vec::new();
    until("it runs", async || {
        let wanted = snapshot(fixture, me, &[]).await.wanted.remove(0);
        generations.push(wanted.generation);
        wanted.state == State::Running
    })
    .await;
    for mode in [StopMode::Graceful, StopMode::Kill] {
        fixture.stop(session, mode).await;
        let wanted = snapshot(fixture, me, &[]).await.wanted.remove(0);
        assert_eq!(wanted.want, Want::Stop(mode));
        assert!(generations.iter().all(|before| *before < wanted.generation));
        generations.push(wanted.generation);
    }
}

/// A snapshot holds what was committed before it was asked for.
pub async fn a_snapshot_holds_what_was_committed_before(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    for _ in 0..20 {
        let session = fixture.start(me).await;
        let seen = snapshot(fixture, me, &[session]).await;
        assert!(seen.wanted.iter().any(|wanted| wanted.session == session));
    }
}

/// Those of the sessions asked about that have ended on record are told.
pub async fn what_has_ended_is_told_when_asked(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let session = fixture.start(me).await;
    report(fixture, me, 1, running(session)).await;
    report(fixture, me, 2, ended(session)).await;
    until("it has ended", async || snapshot(fixture, me, &[session]).await.ended == [session]).await;
    let seen = snapshot(fixture, me, &[]).await;
    assert_eq!((seen.wanted, seen.ended), (vec![], vec![]));
}

/// What the control plane cannot have given out is unknown: it is to be left alone.
pub async fn what_was_never_given_out_is_unknown(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let session = fixture.start(me).await;
    let future = SessionId(session.0 + 1_000);
    let seen = snapshot(fixture, me, &[future, session]).await;
    assert_eq!((seen.ended, seen.unknown), (vec![], vec![future]));
}

/// What is on record of a session is what its host said of it, each thing once.
pub async fn what_a_host_says_is_what_it_reads(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let session = fixture.start(me).await;
    report(fixture, me, 1, running(session)).await;
    until("it runs", async || {
        let wanted = snapshot(fixture, me, &[]).await.wanted.remove(0);
        (wanted.state, wanted.attempt) == (State::Running, 1)
    })
    .await;
}

/// A spec does not change while its session lives and its config stays.
pub async fn a_spec_is_the_same_each_time(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let session = fixture.start(me).await;
    let first = fixture.uplink().spec(me, session).await.unwrap();
    let again = registered(fixture).await;
    assert_eq!(fixture.uplink().spec(again, session).await.unwrap(), first);
    assert!(!first.hash.is_empty());
}

/// Every query is limited to the calling host.
pub async fn sessions_of_others_are_nobodys(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let foreign = fixture.foreign(me).await;
    let error = fixture.uplink().spec(me, foreign).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    let seen = snapshot(fixture, me, &[foreign]).await;
    assert_eq!((seen.wanted, seen.ended, seen.unknown), (vec![], vec![], vec![foreign]));
    let ends = [AttemptId::new(foreign, 1)];
    assert_eq!(fixture.uplink().receipts(me, &ends).await.unwrap(), []);
}

/// An end is receipted when it is on record, and not before.
pub async fn an_end_is_receipted_when_it_is_on_record(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let (one, other) = (fixture.start(me).await, fixture.start(me).await);
    let ends = [AttemptId::new(one, 1), AttemptId::new(other, 1)];
    assert_eq!(fixture.uplink().receipts(me, &ends).await.unwrap(), []);
    report(fixture, me, 1, running(one)).await;
    report(fixture, me, 2, ended(one)).await;
    until("its end is receipted", async || fixture.uplink().receipts(me, &ends).await.unwrap() == ends[..1])
        .await;
}
