//! Sessions from the side of those who ask for them.

use std::time::Duration;

use super::ground::{Ground, STALE, STOP, VALID, ended, hints_of, new_deployment, refused, write};
use crate::{
    id::{Epoch, Generation, ServerId, SessionId, SgcId},
    model::{State, Want, reason::ReasonCode},
    store::{Applied, DeedError, LIFT_MOST, Page, SessionFilter, Welcomed},
    wire::{Command, End, Envelope, ExternalKind},
};

/// "takes the deployment's one slot, writes the session and queues the hint to its host."
pub async fn a_start_takes_the_slot_and_queues_the_hint(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    assert_eq!((session.id, session.sgc, session.server), (SessionId(1), SgcId(1), host.server));
    assert_eq!((session.state, session.want), (State::Pending, Want::Run { restarts: 0 }));
    assert_eq!((session.generation, session.attempt), (Generation(1), 0));
    assert_eq!((session.created_at, session.not_after), (ground.now(), ground.now().plus(VALID)));
    assert_eq!(session.reason.text, "asked by alice");
    assert_eq!(ground.get(session.id).await, session);
    let timeline = store.session_timeline(session.id).await.unwrap();
    assert_eq!(timeline.len(), 1);
    assert_eq!((timeline[0].revision, timeline[0].state), (session.revision, State::Pending));

    let left = ground.drain().await;
    assert_eq!(hints_of(&left), [Command::Start { session: session.id }]);
    let start = left.iter().find(|message| message.key.as_str() == "command.1").unwrap();
    let envelope = Envelope::<Command>::decode(&start.body).unwrap();
    assert_eq!((envelope.id, envelope.server, envelope.epoch), (start.id, host.server, host.epoch));
    assert_eq!((envelope.not_after, envelope.generation), (Some(session.not_after), Generation(1)));

    let error = refused(store.session_start(SgcId(99), VALID, &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "deployment", .. }), "{error:?}");
}

/// "[`DeedError::SessionLive`] names the session that holds the slot": until it has ended,
/// lost ones included.
pub async fn a_second_start_names_the_live_session(ground: &Ground) {
    let store = &ground.store;
    let (host, first) = ground.running("box").await;
    let refused_in = async |expected: State| {
        let error = refused(store.session_start(first.sgc, VALID, &write()).await);
        assert!(
            matches!(error, DeedError::SessionLive { session, state, .. } if session == first.id && state == expected),
            "{error:?}"
        );
    };
    refused_in(State::Running).await;
    ground.pass(STALE * 2);
    store.server_sweep(ground.now().minus(STALE)).await.unwrap();
    refused_in(State::Lost).await;
    store.session_want(first.id, STOP, &write()).await.unwrap();
    refused_in(State::Stopping).await;
    ground.report(host, ended(first.id, 1, End::Stopped, Some(0))).await;
    let second = ground.start(first.sgc).await;
    assert_eq!(second.id, SessionId(2));
}

/// "Fails pending sessions whose `not_after` passed `grace` ago or longer."
pub async fn what_nobody_takes_up_expires(ground: &Ground) {
    let store = &ground.store;
    let grace = Duration::from_secs(15);
    let (host, session) = ground.session("box").await;
    let (_, other) = ground.running("other").await;
    ground.drain().await;
    ground.pass(VALID + grace - Duration::from_micros(1));
    assert_eq!(store.session_expire(grace).await.unwrap(), []);
    ground.pass(Duration::from_micros(1));
    assert_eq!(store.session_expire(grace).await.unwrap(), [session.id]);
    let failed = ground.get(session.id).await;
    assert_eq!((failed.state, failed.reason.code), (State::Failed, ReasonCode::Expired));
    assert_eq!(failed.ended_at, Some(ground.now()));
    assert_eq!(ground.events().await, [ExternalKind::SessionFailed]);
    assert_eq!(store.session_expire(grace).await.unwrap(), []);
    assert_eq!(ground.get(other.id).await.state, State::Running);
    assert_eq!(store.session_hand_out(host.server).await.unwrap(), []);
}

/// "Gives no id out any more up to `known`"; "Counts a server's registrations on".
pub async fn what_a_host_knows_is_not_given_out_again(ground: &Ground) {
    let store = &ground.store;
    let (host, town) = ground.deployment("town").await;
    assert!(store.session_lift(SessionId(41)).await.unwrap());
    assert_eq!(store.session_high_water().await.unwrap(), 41);
    for known in [41, 7, i64::MAX, 42 + LIFT_MOST] {
        assert!(!store.session_lift(SessionId(known)).await.unwrap(), "{known}");
    }
    assert_eq!(ground.start(town.id).await.id, SessionId(42));

    let held = Epoch(host.epoch.0 + 6);
    assert!(store.server_lift(host.server, held).await.unwrap());
    for (server, epoch) in [(host.server, held), (host.server, Epoch(i64::MAX)), (ServerId(99), held)] {
        assert!(!store.server_lift(server, epoch).await.unwrap(), "{server} {epoch}");
    }
    assert_eq!(ground.report(host, super::ground::running(SessionId(42), 1)).await, Applied::Fenced);
    let lifted = Welcomed { epoch: held, ..host };
    assert_eq!(ground.report(lifted, super::ground::running(SessionId(42), 1)).await, Applied::Changed);
    assert_eq!(ground.server("town").await.epoch, Epoch(held.0 + 1));
}

/// "Counts the generation of a live session of `server` on beyond `known`".
pub async fn a_generation_is_counted_on_from_what_a_host_holds(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.running("town").await;
    let (other, _) = ground.running("city").await;
    let (server, held) = (host.server, Generation(session.generation.0 + 7));
    assert!(store.session_surpass(server, session.id, held).await.unwrap());
    let now = ground.get(session.id).await;
    assert_eq!(now.generation, Generation(held.0 + 1));
    assert_eq!((now.revision, now.state, now.want), (session.revision + 1, session.state, session.want));
    let told = store.session_timeline(session.id).await.unwrap();
    assert!(told.last().unwrap().reason.text.contains("old copy"), "{told:?}");
    for (server, id, known) in [
        (server, session.id, held),
        (server, session.id, Generation(i64::MAX)),
        (server, session.id, Generation(held.0 + 2 + LIFT_MOST)),
        (other.server, session.id, Generation(held.0 + 9)),
        (server, SessionId(99), Generation(9)),
    ] {
        assert!(!store.session_surpass(server, id, known).await.unwrap(), "{server} {id} {known}");
    }
    store.session_want(session.id, STOP, &write()).await.unwrap();
    assert_eq!(ground.get(session.id).await.generation, Generation(held.0 + 2));
    ground.report(host, ended(session.id, 1, End::Stopped, Some(0))).await;
    assert!(!store.session_surpass(server, session.id, Generation(held.0 + 9)).await.unwrap());
}

/// "The starts among them count as left from here on."
pub async fn a_start_that_was_handed_out_is_not_withdrawn(ground: &Ground) {
    let store = &ground.store;
    let (host, session) = ground.session("box").await;
    let (elsewhere, other) = ground.session("other").await;
    let handed = store.session_hand_out(host.server).await.unwrap();
    assert_eq!(handed.iter().map(|it| it.id).collect::<Vec<_>>(), [session.id]);
    for (id, state) in [(session.id, State::Stopping), (other.id, State::Stopped)] {
        assert_eq!(store.session_want(id, STOP, &write()).await.unwrap().state, state, "{id}");
    }
    assert_eq!(store.session_hand_out(elsewhere.server).await.unwrap(), []);
}

/// "Sessions, newest first." "All sessions of a server that have not ended, handed to their
/// host." "The latest session of a deployment." "The highest session id ever given."
pub async fn lists_show_the_newest_first(ground: &Ground) {
    let store = &ground.store;
    assert_eq!(store.session_high_water().await.unwrap(), 0);
    let (host, town) = ground.deployment("town").await;
    let new = new_deployment("city", host.server, town.config, &[]);
    let city = store.deployment_create(&new, &write()).await.unwrap();
    for sgc in [town.id, city.id, town.id, town.id] {
        let session = ground.start(sgc).await;
        if session.id != SessionId(4) {
            store.session_want(session.id, STOP, &write()).await.unwrap();
        }
    }
    let list = async |filter: SessionFilter, page: Page<SessionId>| {
        let found = store.session_list(filter, page).await.unwrap();
        found.iter().map(|session| session.id.0).collect::<Vec<_>>()
    };
    let all = SessionFilter::default;
    assert_eq!(list(all(), Page::first(3)).await, [4, 3, 2]);
    assert_eq!(list(all(), Page { after: Some(SessionId(2)), limit: 9 }).await, [1]);
    assert_eq!(list(SessionFilter { sgc: Some(town.id), ..all() }, Page::first(9)).await, [4, 3, 1]);
    assert_eq!(list(SessionFilter { server: Some(host.server), ..all() }, Page::first(1)).await, [4]);
    let states = vec![State::Stopped, State::Lost];
    assert_eq!(list(SessionFilter { states, ..all() }, Page::first(9)).await, [3, 2, 1]);

    let live = store.session_hand_out(host.server).await.unwrap();
    assert_eq!(live.iter().map(|session| session.id.0).collect::<Vec<_>>(), [4]);
    assert_eq!(store.session_latest(city.id).await.unwrap().unwrap().id, SessionId(2));
    assert_eq!(store.session_latest(SgcId(99)).await.unwrap(), None);
    assert_eq!(store.session_high_water().await.unwrap(), 4);
    assert_eq!(store.session_get(SessionId(5)).await.unwrap(), None);
    assert_eq!(store.session_timeline(SessionId(5)).await.unwrap(), []);
}
