//! Deployments and their ports.

use super::ground::{
    Ground, STOP, VALID, config_change, ended, new_deployment, new_game, port, refused, write,
};
use crate::{
    id::{GameId, SgcId},
    model::{DeploymentStatus, PortAsk::AnyOf, PortAsk::Number, State, deployment::DeploymentChange},
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

/// "Changes what a deployment runs and where it listens: all of it or nothing. Its id, its
/// name, its files and its sessions on record stay."
pub async fn a_changed_deployment_is_the_same_one(ground: &Ground) {
    let store = &ground.store;
    let server = ground.server("box").await.server;
    let config = ground.config("openttd", &[3979]).await;
    let new = new_deployment("town", server, config, &[(3979, Number(port(4000)))]);
    let town = store.deployment_create(&new, &write()).await.unwrap();
    let other = new_deployment("other", server, config, &[(3979, Number(port(4001)))]);
    let other = store.deployment_create(&other, &write()).await.unwrap();
    let game = store.config_get(config).await.unwrap().unwrap().game;
    let large = super::ground::new_config(game, "large", &[3979, 3977]);
    let large = store.config_create(&large, &write()).await.unwrap().id;
    let change = |config, ports: &[(u16, crate::model::PortAsk)]| {
        let new = new_deployment("x", server, large, ports);
        DeploymentChange {
            seen: None,
            config,
            ports: new.ports,
            labels: [("a".to_owned(), "b".to_owned())].into(),
        }
    };
    for (ports, is_right) in [
        (vec![(3979, Number(port(4001)))], "taken"),
        (vec![(3979, Number(port(5000))), (3977, Number(port(5001)))], "not needed"),
    ] {
        let error = refused(store.deployment_change(town.id, &change(None, &ports), &write()).await);
        assert!(error.to_string().contains(is_right), "{error:?}");
        assert_eq!(store.deployment_get(town.id).await.unwrap(), Some(town.clone()));
    }
    let moved = change(None, &[(3979, Number(port(5000)))]);
    let moved = DeploymentChange { seen: Some(town.clone()), ..moved };
    let seen = moved.clone();
    let moved = store.deployment_change(town.id, &moved, &write()).await.unwrap();
    let error = refused(store.deployment_change(town.id, &seen, &write()).await);
    assert!(matches!(error, DeedError::ChangedMeanwhile { noun: "deployment", .. }), "{error:?}");
    assert_eq!((moved.id, &moved.name, moved.config), (town.id, &town.name, config));
    assert_eq!((moved.ports[0].host_port, &moved.labels["a"][..]), (port(5000), "b"));
    let moved = change(Some(large), &[(3977, AnyOf(port(4000), port(4009)))]);
    let moved = store.deployment_change(town.id, &moved, &write()).await.unwrap();
    assert_eq!(store.deployment_get(town.id).await.unwrap(), Some(moved.clone()));
    assert_eq!((moved.id, moved.config, moved.created_at), (town.id, large, town.created_at));
    let held = store.server_ports(server).await.unwrap();
    let held: Vec<_> = held.iter().map(|it| (it.port.get(), it.sgc)).collect();
    assert_eq!(held, [(4000, town.id), (4001, other.id), (5000, town.id)]);
    // What it was deployed from is free to go once the other one is gone.
    store.deployment_delete(other.id, &write()).await.unwrap();
    store.config_delete(config, &write()).await.unwrap();
    let error = refused(store.deployment_change(town.id, &change(Some(config), &[]), &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "config", .. }), "{error:?}");
    let error = refused(store.deployment_change(other.id, &change(None, &[]), &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "deployment", .. }), "{error:?}");
}

/// "[`DeedError::SessionLive`] if its config or its ports would be others while a session of
/// it has not ended", for a change of a deployment and of its config.
pub async fn a_live_session_keeps_what_it_has(ground: &Ground) {
    let store = &ground.store;
    let server = ground.server("box").await.server;
    let config = ground.config("openttd", &[3979]).await;
    let new = new_deployment("town", server, config, &[(3979, Number(port(4000)))]);
    let town = store.deployment_create(&new, &write()).await.unwrap();
    let game = store.config_get(config).await.unwrap().unwrap().game;
    let same_ports = super::ground::new_config(game, "large", &[3979]);
    let large = store.config_create(&same_ports, &write()).await.unwrap().id;
    ground.start(town.id).await;
    let change = |config, host| DeploymentChange {
        seen: None,
        config,
        ports: new_deployment("x", server, large, &[(3979, Number(port(host)))]).ports,
        labels: Default::default(),
    };
    for change in [change(None, 5000), change(Some(large), 4000)] {
        let error = refused(store.deployment_change(town.id, &change, &write()).await);
        assert!(matches!(error, DeedError::SessionLive { .. }), "{error:?}");
    }
    let body = |ports: &[u16]| super::ground::new_config(game, "x", ports).body;
    let error = refused(store.config_change(config, &config_change(&body(&[3979, 3977])), &write()).await);
    assert!(matches!(error, DeedError::SessionLive { .. }), "{error:?}");
    assert_eq!(store.deployment_get(town.id).await.unwrap(), Some(town.clone()));
    // What touches neither goes.
    store.deployment_change(town.id, &change(None, 4000), &write()).await.unwrap();
    let mut body = body(&[3979]);
    body.tty = true;
    assert!(store.config_change(config, &config_change(&body), &write()).await.unwrap().body.tty);
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
