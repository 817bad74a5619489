//! Games and how to run them.

use super::ground::{Ground, config_change, new_config, new_deployment, new_game, port, refused, write};
use crate::{
    id::{ConfigId, GameId, SgcId},
    model::{Game, GameConfig, PortAsk, config::ConfigChange, game::GameChange},
    store::{DeedError, Page},
};

/// "Creates a game." "Creates a config."
pub async fn what_is_created_reads_back(ground: &Ground) {
    let store = &ground.store;
    let new = new_game("openttd");
    let game = store.game_create(&new, &write()).await.unwrap();
    assert_eq!(
        (&game.name, &game.steam_app_id, &game.metadata),
        (&new.name, &new.steam_app_id, &new.metadata)
    );
    assert_eq!((game.id, game.created_at), (GameId(1), ground.now()));
    assert_eq!(store.game_get(game.id).await.unwrap(), Some(game));
    assert_eq!(store.game_get(GameId(2)).await.unwrap(), None);

    let new = new_config(GameId(1), "small", &[3979]);
    let config = store.config_create(&new, &write()).await.unwrap();
    assert_eq!((config.game, &config.name, &config.body), (new.game, &new.name, &new.body));
    assert_eq!(store.config_get(config.id).await.unwrap(), Some(config));
    let error = refused(store.config_create(&new_config(GameId(9), "x", &[]), &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "game", .. }));
}

/// "Its name is free." "Its name is free within the game."
pub async fn names_are_taken_once(ground: &Ground) {
    let store = &ground.store;
    let (one, other) = (ground.game("one").await, ground.game("other").await);
    let error = refused(store.game_create(&new_game("one"), &write()).await);
    assert!(matches!(error, DeedError::NameTaken { noun: "game", ref name } if name == "one"), "{error:?}");

    store.config_create(&new_config(one, "small", &[]), &write()).await.unwrap();
    store.config_create(&new_config(other, "small", &[]), &write()).await.unwrap();
    assert_eq!(store.game_by_name("one").await.unwrap().map(|game| game.id), Some(one));
    assert_eq!(store.game_by_name("One").await.unwrap(), None);
    let games = async |game, name| {
        let named = store.config_by_name(game, name).await.unwrap();
        named.into_iter().map(|config| config.game).collect::<Vec<_>>()
    };
    assert_eq!(games(None, "small").await, [one, other]);
    assert_eq!(games(Some(other), "small").await, [other]);
    assert_eq!(games(None, "Small").await, []);
    let error = refused(store.config_create(&new_config(one, "small", &[]), &write()).await);
    assert!(matches!(error, DeedError::NameTaken { noun: "config", .. }), "{error:?}");

    // What is deleted gives its name back.
    let empty = ground.game("empty").await;
    store.game_delete(empty, &write()).await.unwrap();
    assert_eq!(store.game_by_name("empty").await.unwrap(), None);
    assert_ne!(ground.game("empty").await, empty);
}

/// "[`DeedError::InUse`] while it has configs." "[`DeedError::InUse`] while deployments use it."
pub async fn what_is_in_use_is_not_deleted(ground: &Ground) {
    let store = &ground.store;
    let (_, deployment) = ground.deployment("box").await;
    let config = deployment.config;
    let game = store.config_get(config).await.unwrap().unwrap().game;
    let error = refused(store.game_delete(game, &write()).await);
    assert_eq!(error.to_string(), format!("game {game} is in use by config {config}"));
    let error = refused(store.config_delete(config, &write()).await);
    assert_eq!(error.to_string(), format!("config {config} is in use by deployment {}", deployment.id));

    store.deployment_delete(deployment.id, &write()).await.unwrap();
    store.config_delete(config, &write()).await.unwrap();
    store.game_delete(game, &write()).await.unwrap();
    assert_eq!(store.game_get(game).await.unwrap(), None);
    assert_eq!(store.config_get(config).await.unwrap(), None);
    let error = refused(store.config_delete(config, &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "config", .. }), "{error:?}");
    let error = refused(store.game_delete(game, &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "game", .. }), "{error:?}");
    let new = new_deployment("again", deployment.server, config, &[]);
    let error = refused(store.deployment_create(&new, &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "config", .. }), "{error:?}");
}

/// "Changes what a game says; its name stays." "Changes how a config runs its game".
pub async fn what_is_changed_reads_back(ground: &Ground) {
    let store = &ground.store;
    let game = store.game_create(&new_game("openttd"), &write()).await.unwrap();
    let change = GameChange {
        seen: Some(game.clone()),
        steam_app_id: None,
        metadata: [("a".to_owned(), "b".to_owned())].into(),
    };
    let changed = store.game_change(game.id, &change, &write()).await.unwrap();
    let expected = Game { steam_app_id: None, metadata: change.metadata.clone(), ..game.clone() };
    assert_eq!(changed, expected);
    assert_eq!(store.game_get(game.id).await.unwrap(), Some(expected.clone()));
    // It is another one by now.
    let error = refused(store.game_change(game.id, &change, &write()).await);
    assert!(matches!(error, DeedError::ChangedMeanwhile { noun: "game", .. }), "{error:?}");
    let change = GameChange { seen: None, ..change };
    let bad = GameChange { steam_app_id: Some("x".to_owned()), ..change.clone() };
    let error = refused(store.game_change(game.id, &bad, &write()).await);
    assert!(matches!(error, DeedError::Invalid(_)), "{error:?}");
    assert_eq!(store.game_get(game.id).await.unwrap(), Some(expected));
    let error = refused(store.game_change(GameId(9), &change, &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "game", .. }), "{error:?}");

    let config = store.config_create(&new_config(game.id, "small", &[]), &write()).await.unwrap();
    let mut body = config.body.clone();
    body.image = "openttd:14.0".parse().unwrap();
    body.env_template.insert("A".to_owned(), "b".to_owned());
    let seen = ConfigChange { seen: Some(config.clone()), ..config_change(&body) };
    let changed = store.config_change(config.id, &seen, &write()).await.unwrap();
    let error = refused(store.config_change(config.id, &seen, &write()).await);
    assert!(matches!(error, DeedError::ChangedMeanwhile { noun: "config", .. }), "{error:?}");
    assert_eq!(changed, GameConfig { body: body.clone(), ..config.clone() });
    assert_eq!(store.config_get(config.id).await.unwrap(), Some(changed.clone()));
    body.env_template.insert("MANMAN_X".to_owned(), "1".to_owned());
    let error = refused(store.config_change(config.id, &config_change(&body), &write()).await);
    assert!(matches!(error, DeedError::Invalid(_)), "{error:?}");
    assert_eq!(store.config_get(config.id).await.unwrap(), Some(changed));
    let error = refused(store.config_change(ConfigId(9), &config_change(&config.body), &write()).await);
    assert!(matches!(error, DeedError::NotFound { noun: "config", .. }), "{error:?}");
}

/// "What is needed before and after stays where it is, what is new is taken by the number it
/// has inside"; all of it or nothing.
pub async fn a_changed_config_moves_only_the_ports_it_has_to(ground: &Ground) {
    let store = &ground.store;
    let server = ground.server("box").await.server;
    let config = ground.config("openttd", &[100, 200]).await;
    let create = async |name: &str, a, b| {
        let ports = [(100, PortAsk::Number(port(a))), (200, PortAsk::Number(port(b)))];
        store.deployment_create(&new_deployment(name, server, config, &ports), &write()).await.unwrap()
    };
    let (one, two) = (create("one", 1000, 2000).await, create("two", 1001, 2001).await);
    let body = |ports: &[u16]| config_change(&new_config(GameId(1), "x", ports).body);
    let hosts = async |id| {
        let ports = store.deployment_get(id).await.unwrap().unwrap().ports;
        ports.iter().map(|it| (it.container_port.get(), it.host_port.get())).collect::<Vec<_>>()
    };
    let held = async || {
        let held = store.server_ports(server).await.unwrap();
        held.iter().map(|it| (it.port.get(), it.sgc)).collect::<Vec<_>>()
    };
    // Both would need the one port 300 of the machine.
    let before = store.config_get(config).await.unwrap();
    let error = refused(store.config_change(config, &body(&[100, 300]), &write()).await);
    assert!(matches!(error, DeedError::PortTaken { .. }), "{error:?}");
    assert_eq!(store.config_get(config).await.unwrap(), before);
    assert_eq!(hosts(one.id).await, [(100, 1000), (200, 2000)]);
    assert_eq!(held().await, [(1000, one.id), (1001, two.id), (2000, one.id), (2001, two.id)]);

    // Unless it is said which ones they are to have.
    let mut apart = body(&[100, 200, 300]);
    for (id, first) in [(one.id, 3000), (two.id, 3000)] {
        let ask = (300, PortAsk::AnyOf(port(first), port(first + 9)));
        apart.ports.insert(id, new_deployment("x", server, config, &[ask]).ports);
    }
    store.config_change(config, &apart, &write()).await.unwrap();
    assert_eq!(hosts(two.id).await, [(300, 3001), (100, 1001), (200, 2001)]);
    apart.ports.insert(SgcId(99), Vec::new());
    let error = refused(store.config_change(config, &apart, &write()).await);
    assert!(matches!(error, DeedError::NotFound { .. }), "{error:?}");

    store.config_change(config, &body(&[200]), &write()).await.unwrap();
    assert_eq!((hosts(one.id).await, hosts(two.id).await), (vec![(200, 2000)], vec![(200, 2001)]));
    assert_eq!(held().await, [(2000, one.id), (2001, two.id)]);
    store.deployment_delete(two.id, &write()).await.unwrap();
    store.config_change(config, &body(&[200, 300]), &write()).await.unwrap();
    assert_eq!(hosts(one.id).await, [(200, 2000), (300, 300)]);
    assert_eq!(held().await, [(300, one.id), (2000, one.id)]);
}

/// "Games by id." "Configs by id, of one game or all."
pub async fn lists_come_in_pages(ground: &Ground) {
    let store = &ground.store;
    for name in ["a", "b", "c"] {
        let game = ground.game(name).await;
        for config in ["x", "y"] {
            store.config_create(&new_config(game, config, &[]), &write()).await.unwrap();
        }
    }
    let ids = |games: Vec<crate::model::Game>| games.iter().map(|game| game.id.0).collect::<Vec<_>>();
    assert_eq!(ids(store.game_list(Page::first(2)).await.unwrap()), [1, 2]);
    let rest = Page { after: Some(GameId(2)), limit: 2 };
    assert_eq!(ids(store.game_list(rest).await.unwrap()), [3]);
    let ids = |configs: Vec<crate::model::GameConfig>| configs.iter().map(|it| it.id.0).collect::<Vec<_>>();
    assert_eq!(ids(store.config_list(None, Page::first(9)).await.unwrap()), [1, 2, 3, 4, 5, 6]);
    let rest = Page { after: Some(ConfigId(3)), limit: 9 };
    assert_eq!(ids(store.config_list(Some(GameId(2)), rest).await.unwrap()), [4]);
}

/// "All of it happens, or none": what is refused leaves nothing.
pub async fn what_cannot_be_leaves_nothing(ground: &Ground) {
    let store = &ground.store;
    for bad in ["\0", "\u{1b}[2J"] {
        let mut new = new_game("bad");
        new.metadata.insert("note".to_owned(), bad.to_owned());
        let error = refused(store.game_create(&new, &write()).await);
        assert!(matches!(error, DeedError::Invalid(_)), "{error:?}");
    }
    let game = ground.game("good").await;
    let mut new = new_config(game, "bad", &[]);
    new.body.env_template.insert("MANMAN_X".to_owned(), "1".to_owned());
    let error = refused(store.config_create(&new, &write()).await);
    assert!(matches!(error, DeedError::Invalid(_)), "{error:?}");
    assert_eq!(store.game_list(Page::first(9)).await.unwrap().len(), 1);
    assert_eq!(store.config_list(None, Page::first(9)).await.unwrap(), []);
    // Names with a NUL or of more than 63 bytes are no names at all.
    assert!("a\0".parse::<crate::model::Name>().is_err());
    assert!("a".repeat(64).parse::<crate::model::Name>().is_err());
}
