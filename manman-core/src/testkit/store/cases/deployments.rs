//! Deployments and their ports.

use super::ground::{Ground, STOP, VALID, ended, new_deployment, new_game, port, refused, write};
use crate::{
    id::{GameId, SgcId},
    model::{DeploymentStatus, PortAsk::AnyOf, PortAsk::Number, State},
    store::{DeedError, Page},
    wire::End,
};

/// "Creates a deployment and takes its ports: all or none."
pub async fn ports_are_taken_all_or_none(ground: &Ground) {
    let store = &ground.store;
    let server = ground.server("box").await.server;
    let elsewhere = ground.server("elsewhere").await.server;
    let config = ground.config("openttd", &[3979, 3977]).await;
    let create = async |name: &str, server, a, b| {
        store
            .deployment_create(&new_deployment(name, server, config, &[(3979, a), (3977, b)]), &write())
            .await
    };
    let range = AnyOf(port(4000), port(4002));
    let first = create("first", server, Number(port(4001)), range).await.unwrap();
    let held: Vec<u16> = first.ports.iter().map(|binding| binding.host_port.get()).collect();
    assert_eq!(held, [4001, 4000]);
    assert_eq!(store.deployment_get(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.deployment_by_name("first").await.unwrap(), Some(first.clone()));
    assert_eq!(store.deployment_by_name("second").await.unwrap(), None);
    assert_eq!((first.status, first.created_at), (DeploymentStatus::Active, ground.now()));

    let error = refused(create("second", server, Number(port(5000)), Number(port(4001))).await);
    assert!(
        matches!(error, DeedError::PortTaken { port: p, holder, .. } if p.get() == 4001 && holder == first.id),
        "{error:?}"
    );
    let error = refused(create("second", server, range, range).await);
    assert!(matches!(error, DeedError::NoPortFree { .. }), "{error:?}");
    // Nothing of the refused is held, and the name is free.
    let numbers: Vec<u16> =
        store.server_ports(server).await.unwrap().iter().map(|held| held.port.get()).collect();
    assert_eq!(numbers, [4000, 4001]);
    create("second", server, Number(port(5000)), range).await.unwrap();
    // Another machine has ports of its own.
    let other = create("third", elsewhere, Number(port(4001)), Number(port(4000))).await.unwrap();
    assert_eq!(store.deployment_list(Some(elsewhere), Page::first(9)).await.unwrap(), [other]);
    assert_eq!(store.deployment_list(None, Page { after: Some(first.id), limit: 9 }).await.unwrap().len(), 2);
    let error = refused(create("first", elsewhere, Number(port(1)), Number(port(2))).await);
    assert!(matches!(error, DeedError::NameTaken { noun: "deployment", .. }), "{error:?}");
}

/// "[`DeedError::PortsDiffer`] if what is asked for does not cover just what the config needs."
pub async fn ports_are_those_that_the_config_needs(ground: &Ground) {
    let store = &ground.store;
    let server = ground.server("box").await.server;
    let config = ground.config("openttd", &[3979]).await;
    let asked = [
        vec![],
        vec![(1, Number(port(1)))],
        vec![(3979, Number(port(1))), (3979, Number(port(2)))],
        vec![(3979, Number(port(1))), (1, Number(port(2)))],
    ];
    for ports in asked {
        let error =
            refused(store.deployment_create(&new_deployment("x", server, config, &ports), &write()).await);
        assert!(matches!(error, DeedError::PortsDiffer(_)), "{error:?}");
    }
    let reversed = [(3979, AnyOf(port(9), port(8)))];
    let error =
        refused(store.deployment_create(&new_deployment("x", server, config, &reversed), &write()).await);
    assert!(matches!(error, DeedError::Invalid(_)), "{error:?}");
    assert_eq!(store.server_ports(server).await.unwrap(), []);
}

/// "Deletes a deployment and frees its ports. Its sessions stay on record." Refused "while
/// a session of it has not ended".
pub async fn a_deployment_lives_until_it_is_deleted(ground: &Ground) {
    let store = &ground.store;
    let host = ground.server("box").await;
    let config = ground.config("openttd", &[3979]).await;
    let new = new_deployment("town", host.server, config, &[(3979, Number(port(3979)))]);
    let town = store.deployment_create(&new, &write()).await.unwrap();
    let session = ground.start(town.id).await;
    ground.drain().await;
    let error = refused(store.deployment_delete(town.id, &write()).await);
    assert!(
        matches!(error, DeedError::SessionLive { session: s, state: State::Pending, .. } if s == session.id),
        "{error:?}"
    );
    store.session_want(session.id, STOP, &write()).await.unwrap();
    refused(store.deployment_delete(town.id, &write()).await);
    ground.report(host, ended(session.id, 0, End::Stopped, None)).await;

    store.deployment_delete(town.id, &write()).await.unwrap();
    assert_eq!(store.deployment_get(town.id).await.unwrap(), None);
    assert_eq!(store.deployment_list(None, Page::first(9)).await.unwrap(), []);
    assert_eq!(store.server_ports(host.server).await.unwrap(), []);
    assert_eq!(ground.get(session.id).await.state, State::Stopped);
    for error in [
        refused(store.deployment_delete(town.id, &write()).await),
        refused(store.session_start(town.id, VALID, &write()).await.map(|started| started.session).map(drop)),
    ] {
        assert!(matches!(error, DeedError::NotFound { noun: "deployment", .. }), "{error:?}");
    }
    // Name and port are free for the next one.
    assert_eq!(store.deployment_create(&new, &write()).await.unwrap().id, SgcId(2));
}

/// "One execution of a deployment … Never reused": nor is any other id.
pub async fn ids_are_never_given_twice(ground: &Ground) {
    let store = &ground.store;
    for expected in 1..=3 {
        let game = store.game_create(&new_game("again"), &write()).await.unwrap().id;
        assert_eq!(game, GameId(expected));
        store.game_delete(game, &write()).await.unwrap();
    }
    let server = ground.server("box").await.server;
    let config = ground.config("openttd", &[]).await;
    for expected in 1..=3 {
        let new = new_deployment("again", server, config, &[]);
        let id = store.deployment_create(&new, &write()).await.unwrap().id;
        assert_eq!(id, SgcId(expected));
        store.deployment_delete(id, &write()).await.unwrap();
    }
}
