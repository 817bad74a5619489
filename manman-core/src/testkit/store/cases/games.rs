//! Games and how to run them.

use super::ground::{Ground, new_config, new_deployment, new_game, refused, write};
use crate::{
    id::{ConfigId, GameId},
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
