//! Machines.

use std::time::Duration;

use super::ground::{Ground, STALE, hello, older, phase, refused, running, write};
use crate::{
    id::{Epoch, ServerId},
    model::{Capacity, Health, Phase, ServerStatus, State, reason::ReasonCode},
    store::{Applied, DeedError, Page, Welcomed},
    wire::{Beat, ExternalKind, HostReport},
};

async fn status(ground: &Ground, id: ServerId) -> ServerStatus {
    ground.store.server_get(id).await.unwrap().expect("the server is there").status
}

/// "makes the server or takes it over, and counts its epoch up, which fences whoever held
/// it." "An older epoch changes nothing and is told by `Applied::Fenced`."
pub async fn each_registration_fences_the_one_before(ground: &Ground) {
    let store = &ground.store;
    let first = ground.server("box").await;
    let second = ground.server("box").await;
    assert_eq!((first.server, first.cluster), (second.server, second.cluster));
    assert_eq!((first.epoch, second.epoch), (Epoch(1), Epoch(2)));
    let before = store.server_get(first.server).await.unwrap().unwrap();
    assert_eq!((before.status, before.epoch), (ServerStatus::Online, Epoch(2)));
    assert_eq!(store.server_by_name("box").await.unwrap(), Some(before.clone()));
    assert_eq!(store.server_by_name("Box").await.unwrap(), None);

    ground.pass(Duration::from_secs(1));
    let stranger = Welcomed { server: ServerId(99), ..second };
    let never_given = Welcomed { epoch: Epoch(3), ..second };
    for who in [first, older(first), stranger, never_given] {
        let beat = Beat { capacity: Capacity { cpus: 64, ..Capacity::default() }, ..Beat::default() };
        assert_eq!(store.server_beat(ground.source(who), &beat).await.unwrap(), Applied::Fenced);
        let away = HostReport::GoingAway { seconds: 60 };
        assert_eq!(store.server_report(ground.source(who), &away).await.unwrap(), Applied::Fenced);
    }
    assert_eq!(store.server_get(first.server).await.unwrap(), Some(before.clone()));
    ground.server("other").await;
    assert_eq!(store.server_list(Page::first(1)).await.unwrap(), [before]);
    let rest = Page { after: Some(first.server), limit: 10 };
    assert_eq!(store.server_list(rest).await.unwrap().len(), 1);
}

/// "[`DeedError::ServerTaken`] if another machine holds the name, was heard within
/// `stale_after` … and `take_over` is not asked for."
pub async fn another_machine_waits_or_takes_over(ground: &Ground) {
    let store = &ground.store;
    ground.server("box").await;
    ground.pass(Duration::from_secs(4));
    let error = refused(store.server_register(&hello("box", "elsewhere"), STALE).await);
    assert!(matches!(error, DeedError::ServerTaken { heard_secs: 4, .. }), "{error:?}");
    let mut over = hello("box", "elsewhere");
    over.take_over = true;
    assert_eq!(store.server_register(&over, STALE).await.unwrap().epoch, Epoch(2));
    ground.pass(STALE);
    assert_eq!(store.server_register(&hello("box", "third"), STALE).await.unwrap().epoch, Epoch(3));
}

/// "… or said that it is away until later than now …"
pub async fn another_machine_waits_for_one_that_comes_back(ground: &Ground) {
    let store = &ground.store;
    let host = ground.server("box").await;
    let away = HostReport::GoingAway { seconds: 60 };
    assert_eq!(store.server_report(ground.source(host), &away).await.unwrap(), Applied::Changed);
    ground.pass(STALE * 2);
    let error = refused(store.server_register(&hello("box", "elsewhere"), STALE).await);
    assert!(matches!(error, DeedError::ServerTaken { heard_secs: 20, back_in_secs: 40, .. }), "{error:?}");
    // The machine itself may come back at any time.
    assert_eq!(ground.server("box").await.epoch, Epoch(2));
    let away = HostReport::GoingAway { seconds: 60 };
    let again = Welcomed { epoch: Epoch(2), ..host };
    store.server_report(ground.source(again), &away).await.unwrap();
    ground.pass(Duration::from_secs(60));
    assert_eq!(store.server_register(&hello("box", "elsewhere"), STALE).await.unwrap().epoch, Epoch(3));
}

/// "Notes a heartbeat: last_seen, capacity, … and `online` if it was not, with the external
/// event."
pub async fn a_beat_brings_a_server_back(ground: &Ground) {
    let store = &ground.store;
    let host = ground.server("box").await;
    assert_eq!(ground.events().await, [ExternalKind::HostOnline]);
    ground.pass(Duration::from_secs(60));
    store.server_sweep(ground.now()).await.unwrap();
    assert_eq!(ground.events().await, [ExternalKind::HostStale]);

    let capacity = Capacity { cpus: 8, engine: "docker 20.10".into(), ..Capacity::default() };
    let beat = Beat { capacity: capacity.clone(), ..Beat::default() };
    assert_eq!(store.server_beat(ground.source(host), &beat).await.unwrap(), Applied::Changed);
    let server = store.server_get(host.server).await.unwrap().unwrap();
    assert_eq!(
        (server.status, server.last_seen, &server.capacity),
        (ServerStatus::Online, Some(ground.now()), &capacity)
    );
    ground.pass(Duration::from_secs(2));
    assert_eq!(store.server_beat(ground.source(host), &beat).await.unwrap(), Applied::Same);
    assert_eq!(store.server_get(host.server).await.unwrap().unwrap().last_seen, Some(ground.now()));
    assert_eq!(ground.events().await, [ExternalKind::HostOnline]);
}

/// "Notes a heartbeat: … what it says is wrong …"
pub async fn what_a_beat_says_is_wrong_is_kept_until_the_next(ground: &Ground) {
    let store = &ground.store;
    let host = ground.server("box").await;
    let health = async || store.server_get(host.server).await.unwrap().unwrap().health;
    assert_eq!(health().await, None);
    let capacity = store.server_get(host.server).await.unwrap().unwrap().capacity;
    let well = Beat { capacity, engine_ok: true, ..Beat::default() };
    let ill = Beat { engine_ok: false, warnings: vec!["the engine is away".to_owned()], ..well.clone() };
    for beat in [&ill, &ill, &well, &well] {
        // "a change of that alone is [`Applied::Same`]."
        assert_eq!(store.server_beat(ground.source(host), beat).await.unwrap(), Applied::Same);
        let said = Health { engine_ok: beat.engine_ok, warnings: beat.warnings.clone() };
        assert_eq!(health().await, Some(said));
    }
    // Who registers anew has not said how it is.
    let again = ground.server("box").await;
    assert_eq!(health().await, None);
    assert_eq!(store.server_beat(ground.source(host), &ill).await.unwrap(), Applied::Fenced);
    store.server_beat(ground.source(again), &ill).await.unwrap();
    assert_eq!(store.server_by_name("box").await.unwrap().unwrap().health, health().await);
    assert_eq!(store.server_list(Page::first(9)).await.unwrap()[0].health, health().await);
}

/// "Marks online servers that were not heard since `cutoff` stale and their live sessions
/// lost, with the external events. Returns who fell silent."
pub async fn a_sweep_finds_who_fell_silent(ground: &Ground) {
    let store = &ground.store;
    let (silent, session) = ground.running("silent").await;
    ground.pass(Duration::from_secs(5));
    let (heard, other) = ground.running("heard").await;
    let cutoff = ground.now();
    ground.pass(Duration::from_secs(5));

    let fell = store.server_sweep(cutoff).await.unwrap();
    assert_eq!(fell.iter().map(|server| server.id).collect::<Vec<_>>(), [silent.server]);
    assert_eq!(fell[0].status, ServerStatus::Stale);
    assert_eq!(status(ground, heard.server).await, ServerStatus::Online);
    let lost = ground.get(session.id).await;
    assert_eq!((lost.state, lost.reason.code), (State::Lost, ReasonCode::HostSilent));
    assert_eq!((lost.revision, lost.ended_at), (session.revision + 1, None));
    assert_eq!(ground.get(other.id).await, other);
    let mut events = ground.events().await;
    events.sort_by_key(|kind| kind.key());
    assert_eq!(events, [ExternalKind::HostStale, ExternalKind::SessionLost]);

    assert_eq!(store.server_sweep(cutoff).await.unwrap(), []);
    assert_eq!(ground.events().await, []);
}

/// "A server that said it goes away for a while is not silent before that while is over."
pub async fn who_goes_away_is_not_silent_before_that_is_over(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.running("box").await;
    let away = HostReport::GoingAway { seconds: 60 };
    assert_eq!(store.server_report(ground.source(host), &away).await.unwrap(), Applied::Changed);
    assert_eq!(status(ground, host.server).await, ServerStatus::Offline);
    // "A beat that crosses the word that its host goes away does not take that back."
    store.server_beat(ground.source(host), &Beat::default()).await.unwrap();
    assert_eq!(status(ground, host.server).await, ServerStatus::Offline);
    assert_eq!(ground.events().await, [ExternalKind::HostOffline]);

    ground.pass(Duration::from_secs(59));
    assert_eq!(store.server_sweep(ground.now().minus(STALE)).await.unwrap(), []);
    assert_eq!(ground.get(session.id).await.state, State::Running);
    ground.pass(Duration::from_secs(1));
    assert_eq!(store.server_sweep(ground.now().minus(STALE)).await.unwrap().len(), 1);
    assert_eq!(ground.get(session.id).await.state, State::Lost);

    // Who is back is missed again.
    let back = ground.server("box").await;
    assert_eq!(status(ground, back.server).await, ServerStatus::Online);
    ground.pass(STALE + Duration::from_secs(1));
    assert_eq!(store.server_sweep(ground.now().minus(STALE)).await.unwrap().len(), 1);
}

/// "Notes what a host says about itself, once per (epoch, sequence)."
pub async fn a_word_about_itself_counts_once(ground: &Ground) {
    let store = &ground.store;
    let host = ground.server("box").await;
    let away = ground.source(host);
    let going = HostReport::GoingAway { seconds: 60 };
    store.server_report(away, &going).await.unwrap();
    let online = ground.source(host);
    assert_eq!(store.server_report(online, &HostReport::Online).await.unwrap(), Applied::Changed);
    for (source, report) in [(away, &going), (online, &HostReport::Online)] {
        assert_eq!(store.server_report(source, report).await.unwrap(), Applied::Duplicate);
    }
    assert_eq!(status(ground, host.server).await, ServerStatus::Online);
}

/// "Ends all live sessions of a server that is not online as crashed, reason abandoned."
pub async fn only_who_is_not_online_is_abandoned(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.running("box").await;
    let error = refused(store.server_abandon(host.server, &write()).await);
    assert!(matches!(error, DeedError::ServerOnline { .. }));
    let error = refused(store.server_abandon(ServerId(99), &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "server", .. }));

    ground.pass(Duration::from_secs(60));
    store.server_sweep(ground.now()).await.unwrap();
    assert_eq!(store.server_abandon(host.server, &write()).await.unwrap(), [session.id]);
    let ended = ground.get(session.id).await;
    assert_eq!((ended.state, ended.reason.code), (State::Crashed, ReasonCode::Abandoned));
    assert_eq!(ended.ended_at, Some(ground.now()));
    assert!(ground.events().await.contains(&ExternalKind::SessionCrashed));
    assert_eq!(store.server_abandon(host.server, &write()).await.unwrap(), []);

    // The machine did not burn down after all: what it says comes too late.
    for report in [running(session.id, 1), phase(session.id, 2, Phase::Accepted)] {
        assert!(matches!(ground.report(host, report).await, Applied::Illegal(_)));
    }
    assert_eq!(ground.get(session.id).await, ended);
    ground.start(session.sgc).await;
}
