//! Repeated requests.

use std::time::Duration;

use super::ground::{Ground, STOP, VALID, keyed, new_config, new_deployment, new_game, port, refused, write};
use crate::{
    model::{Labels, PortAsk, State, Want, deployment::DeploymentChange, game::GameChange},
    store::{Actor, DeedError, Page, WantChange, Write},
};

/// "A write whose idempotency key was used by the same caller for the same RPC changes
/// nothing …; of a session or command it returns where that is now."
pub async fn a_lost_reply_and_its_repetition_are_one_deed(ground: &Ground) {
    let store = &ground.store;
    let (_, deployment) = ground.deployment("box").await;
    let write = keyed("StartSession", "k1", 1);
    let first = store.session_start(deployment.id, VALID, &write).await.unwrap();
    assert!(!first.repeated);
    let again = store.session_start(deployment.id, VALID, &write).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.session, first.session);
    let hints = ground.hints().await;
    assert_eq!(hints.len(), 1, "{hints:?}");
    // Also when that session has ended, rather than a second one.
    store.session_want(first.session.id, STOP, &self::write()).await.unwrap();
    ground.drain().await;
    let again = store.session_start(deployment.id, VALID, &write).await.unwrap();
    assert_eq!((again.repeated, again.session.id), (true, first.session.id));
}

/// The same, for every write.
pub async fn every_write_may_be_repeated(ground: &Ground) {
    let store = &ground.store;
    let host = ground.server("box").await;
    macro_rules! twice {
        ($rpc:literal, $deed:ident($($argument:expr),*)) => {{
            let before = store.audit_list(Page::first(1)).await.unwrap()[0].id;
            let write = keyed($rpc, "same", 1);
            let first = store.$deed($($argument,)* &write).await.unwrap();
            let second = store.$deed($($argument,)* &write).await.unwrap();
            assert_eq!(second, first, $rpc);
            let after = store.audit_list(Page::first(1)).await.unwrap()[0].id;
            assert_eq!(after, before + 1, $rpc);
            first
        }};
    }
    let game = twice!("CreateGame", game_create(&new_game("openttd")));
    let config = twice!("CreateGameConfig", config_create(&new_config(game.id, "small", &[])));
    let new = new_deployment("town", host.server, config.id, &[]);
    let town = twice!("DeployGameConfig", deployment_create(&new));
    twice!(
        "UpdateGame",
        game_change(game.id, &GameChange { seen: None, steam_app_id: None, metadata: Labels::new() })
    );
    twice!("UpdateGameConfig", config_change(config.id, &super::ground::config_change(&config.body)));
    let change = DeploymentChange { seen: None, config: None, ports: vec![], labels: Labels::new() };
    twice!("UpdateServerGameConfig", deployment_change(town.id, &change));
    let session = ground.start(town.id).await;
    ground.report(host, super::ground::running(session.id, 1)).await;
    let restarted = twice!("RestartSession", session_want(session.id, WantChange::Restart));
    assert_eq!(restarted.want, Want::Run { restarts: 1 });
    let line = "save".parse().expect("a line");
    twice!("SendInput", command_input(session.id, &line, VALID));
    ground.pass(Duration::from_secs(60));
    store.server_sweep(ground.now()).await.unwrap();
    let ended = twice!("AbandonServer", server_abandon(host.server));
    assert_eq!(ended, [session.id]);
    twice!("DeleteDeployment", deployment_delete(town.id));
    twice!("DeleteGameConfig", config_delete(config.id));
    twice!("DeleteGame", game_delete(game.id));
    assert_eq!(ground.get(session.id).await.state, State::Crashed);
}

/// "and returns what the first one returned, also when that is deleted since".
pub async fn a_repetition_after_a_deletion_gets_the_first_answer(ground: &Ground) {
    let store = &ground.store;
    let host = ground.server("box").await;
    let write = keyed("Create", "k", 1);
    let game = store.game_create(&new_game("openttd"), &write).await.unwrap();
    let (new, keyed_config) = (new_config(game.id, "small", &[3979]), keyed("CreateConfig", "k", 1));
    let config = store.config_create(&new, &keyed_config).await.unwrap();
    let ask = PortAsk::Number(port(3979));
    let town = new_deployment("town", host.server, config.id, &[(3979, ask)]);
    let keyed_town = keyed("Deploy", "k", 1);
    let deployment = store.deployment_create(&town, &keyed_town).await.unwrap();
    store.deployment_delete(deployment.id, &self::write()).await.unwrap();
    store.config_delete(config.id, &self::write()).await.unwrap();
    store.game_delete(game.id, &self::write()).await.unwrap();
    assert_eq!(store.game_create(&new_game("openttd"), &write).await.unwrap(), game);
    assert_eq!(store.config_create(&new, &keyed_config).await.unwrap(), config);
    assert_eq!(store.deployment_create(&town, &keyed_town).await.unwrap(), deployment);
    assert_eq!(store.server_ports(host.server).await.unwrap(), []);
    assert_eq!(store.game_list(Page::first(9)).await.unwrap(), []);
}

/// "It is [`DeedError::IdempotencyMismatch`] if the request is another"; a key belongs to one caller and RPC.
pub async fn a_key_is_for_one_request(ground: &Ground) {
    let store = &ground.store;
    store.game_create(&new_game("one"), &keyed("CreateGame", "k", 1)).await.unwrap();
    let error = refused(store.game_create(&new_game("two"), &keyed("CreateGame", "k", 2)).await);
    assert!(
        matches!(error, DeedError::IdempotencyMismatch { ref key, rpc: "CreateGame" } if key == "k"),
        "{error:?}"
    );
    let other_rpc = keyed("ImportGame", "k", 2);
    let other_caller = Write { actor: Actor("bob".into()), ..keyed("CreateGame", "k", 3) };
    store.game_create(&new_game("two"), &other_rpc).await.unwrap();
    store.game_create(&new_game("three"), &other_caller).await.unwrap();
    assert_eq!(store.game_list(Page::first(9)).await.unwrap().len(), 3);
    for bad in [String::new(), "x".repeat(256), "a\0b".to_owned()] {
        let error = refused(store.game_create(&new_game("four"), &keyed("CreateGame", &bad, 1)).await);
        assert!(matches!(error, DeedError::Invalid(_)), "{error:?}");
    }
}

/// "All of it happens, or none": a refused request may be tried again under its key.
pub async fn a_refused_request_uses_up_no_key(ground: &Ground) {
    let store = &ground.store;
    let (_, live) = ground.session("box").await;
    let write = keyed("StartSession", "k", 1);
    refused(store.session_start(live.sgc, VALID, &write).await);
    store.session_want(live.id, STOP, &self::write()).await.unwrap();
    let started = store.session_start(live.sgc, VALID, &write).await.unwrap();
    assert!(!started.repeated);
}

/// "Keys are kept 24 hours."
pub async fn a_key_is_forgotten_after_a_day(ground: &Ground) {
    let store = &ground.store;
    let write = keyed("CreateGame", "k", 1);
    store.game_create(&new_game("one"), &write).await.unwrap();
    ground.pass(Write::KEY_KEPT - Duration::from_micros(1));
    store.game_create(&new_game("one"), &write).await.unwrap();
    ground.pass(Duration::from_micros(1));
    let error = refused(store.game_create(&new_game("one"), &write).await);
    assert!(matches!(error, DeedError::NameTaken { .. }), "{error:?}");
    store.game_create(&new_game("two"), &keyed("CreateGame", "k", 2)).await.unwrap();
}
