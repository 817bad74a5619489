//! Many at once: "hold under any concurrency; by the store's own constraints, not by
//! looking first".

use std::{collections::BTreeSet, future::Future, sync::Arc};

use tokio::{sync::Barrier, task::JoinSet};

use super::ground::{Ground, STOP, VALID, ended, keyed, new_deployment, port, running, write};
use crate::{
    model::{PortAsk, State},
    store::{Applied, DeedError, Page, SessionFilter, Store},
    wire::End,
};

/// How many try at once.
const CROWD: usize = 64;

/// Runs `act` for each of a crowd at the same moment.
async fn crowd<T, F>(ground: &Ground, act: impl Fn(usize, Arc<dyn Store>) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let gate = Arc::new(Barrier::new(CROWD));
    let mut running = JoinSet::new();
    for number in 0..CROWD {
        let gate = Arc::clone(&gate);
        let act = act(number, Arc::clone(&ground.store));
        running.spawn(async move {
            gate.wait().await;
            act.await
        });
    }
    running.join_all().await
}

/// "One live session per deployment": exactly one start wins, the others name the winner.
pub async fn of_many_starts_one_wins(ground: &Ground) {
    let (_, deployment) = ground.deployment("box").await;
    let sgc = deployment.id;
    let results =
        crowd(ground, |_, store| async move { store.session_start(sgc, VALID, &write()).await }).await;
    let mut won = Vec::new();
    let mut named = BTreeSet::new();
    for result in results {
        match result {
            Ok(started) => won.push(started.session.id),
            Err(DeedError::SessionLive { session, .. }) => drop(named.insert(session)),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(named, BTreeSet::from([won[0]]));
    assert_eq!(ground.hints().await.len(), 1);
}

/// A start whose reply got lost and that is repeated with its key, many times at once.
pub async fn of_many_starts_with_one_key_one_is_made(ground: &Ground) {
    let (_, deployment) = ground.deployment("box").await;
    let sgc = deployment.id;
    let results = crowd(ground, |_, store| async move {
        store.session_start(sgc, VALID, &keyed("StartSession", "k", 1)).await.expect("the same deed")
    })
    .await;
    assert_eq!(results.iter().filter(|started| !started.repeated).count(), 1);
    assert_eq!(results.iter().map(|started| started.session.id).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(ground.hints().await.len(), 1);
}

/// "each (server, port, protocol) held once".
pub async fn a_port_has_one_holder(ground: &Ground) {
    let server = ground.server("box").await.server;
    let config = ground.config("openttd", &[3979]).await;
    let ask = [(3979, PortAsk::Number(port(3979)))];
    let results = crowd(ground, |number, store| async move {
        let new = new_deployment(&format!("town-{number}"), server, config, &ask);
        store.deployment_create(&new, &write()).await
    })
    .await;
    let (won, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), refused.len()), (1, CROWD - 1));
    let winner = won[0].as_ref().unwrap().id;
    for result in refused {
        assert!(matches!(result, Err(DeedError::PortTaken { holder, .. }) if holder == winner), "{result:?}");
    }
    assert_eq!(ground.store.deployment_list(None, Page::first(100)).await.unwrap().len(), 1);
    let held = ground.store.server_ports(server).await.unwrap();
    assert_eq!(held.iter().map(|it| (it.port.get(), it.sgc)).collect::<Vec<_>>(), [(3979, winner)]);
}

/// The same for a range that is too small for all: it goes round once, nobody shares.
pub async fn a_range_goes_round_once(ground: &Ground) {
    let server = ground.server("box").await.server;
    let config = ground.config("openttd", &[3979, 3977]).await;
    // Two ports each, so there is room for half of the crowd.
    let any = PortAsk::AnyOf(port(40_000), port(40_000 + CROWD as u16 - 1));
    let results = crowd(ground, |number, store| async move {
        let new = new_deployment(&format!("town-{number}"), server, config, &[(3979, any), (3977, any)]);
        store.deployment_create(&new, &write()).await
    })
    .await;
    let mut seen = BTreeSet::new();
    let mut won = 0;
    for result in results {
        match result {
            Ok(deployment) => {
                won += 1;
                for binding in deployment.ports {
                    assert!(seen.insert(binding.host_port), "{} is held twice", binding.host_port);
                }
            }
            Err(error) => assert!(matches!(error, DeedError::NoPortFree { .. }), "{error:?}"),
        }
    }
    assert_eq!((won, seen.len()), (CROWD / 2, CROWD));
    assert_eq!(ground.store.server_ports(server).await.unwrap().len(), CROWD);
}

/// Starts, stops and ends of one deployment, crossing each other.
pub async fn starts_and_stops_leave_one_live_session(ground: &Ground) {
    let (host, deployment) = ground.deployment("box").await;
    let sgc = deployment.id;
    let sources: Vec<_> = (0..CROWD).map(|_| ground.source(host)).collect();
    crowd(ground, |number, store| {
        let source = sources[number];
        async move {
            match number % 3 {
                0 => drop(store.session_start(sgc, VALID, &write()).await),
                1 => {
                    if let Some(session) = store.session_latest(sgc).await.unwrap() {
                        store.session_want(session.id, STOP, &write()).await.unwrap();
                    }
                }
                _ => {
                    if let Some(session) = store.session_latest(sgc).await.unwrap() {
                        let end = ended(session.id, 1, End::Crashed, Some(1));
                        store.session_report(source, &end).await.unwrap();
                    }
                }
            }
        }
    })
    .await;
    let live = ground.store.session_hand_out(host.server).await.unwrap();
    assert!(live.len() <= 1, "{live:?}");
    let all = ground.store.session_list(SessionFilter::default(), Page::first(200)).await.unwrap();
    // Only the latest can live: the one before had to end first.
    assert!(all.iter().skip(1).all(|session| session.state.is_end()), "{all:?}");
}

/// "once per message id", also when processors compete.
pub async fn a_report_that_comes_many_times_counts_once(ground: &Ground) {
    let (host, session) = ground.session("box").await;
    ground.drain().await;
    let source = ground.source(host);
    let id = session.id;
    let results =
        crowd(ground, |_, store| async move { store.session_report(source, &running(id, 1)).await.unwrap() })
            .await;
    assert_eq!(results.iter().filter(|applied| **applied == Applied::Changed).count(), 1);
    assert_eq!(results.iter().filter(|applied| **applied == Applied::Duplicate).count(), CROWD - 1);
    assert_eq!(ground.events().await.len(), 1);
    assert_eq!(ground.get(id).await.state, State::Running);
}
