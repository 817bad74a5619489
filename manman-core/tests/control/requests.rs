//! What is asked for, and refused.

use manman_core::{
    control::DeployRequest,
    model::{ConfigBody, Labels, PortNeed, Protocol, config::NewConfig, game::NewGame},
    store::{DeedError, Page},
};

use super::world::{World, alice};

async fn config(world: &World, game: &str, name: &str) -> manman_core::model::GameConfig {
    let of = match world.control.game_find(game).await {
        Ok(game) => game.id,
        Err(_) => {
            let new = NewGame { name: game.parse().unwrap(), steam_app_id: None, metadata: Labels::new() };
            world.control.game_create(&new, &alice()).await.unwrap().id
        }
    };
    let mut body = ConfigBody::new("game:1".parse().unwrap());
    body.ports = vec![PortNeed { container_port: 3979.try_into().unwrap(), protocol: Protocol::Tcp }];
    let new = NewConfig { game: of, name: name.parse().unwrap(), body };
    world.control.config_create(&new, &alice()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_has_a_default() {
    let world = World::still(1).await;
    let config = config(&world, "openttd", "classic").await;
    let nowhere = world.control.deployment_create(&DeployRequest::of(config.id), &alice()).await;
    assert!(matches!(nowhere, Err(DeedError::Invalid(ref it)) if it.field == "server"), "{nowhere:?}");
    let host = world.host("box").await;
    let deployment = world.control.deployment_create(&DeployRequest::of(config.id), &alice()).await.unwrap();
    assert_eq!((deployment.name.as_str(), deployment.server), ("classic", host.me.server));
    assert_eq!(deployment.ports[0].to_string(), "3979:3979/tcp");

    world.host("other").await;
    let which = world.control.deployment_create(&DeployRequest::of(config.id), &alice()).await;
    assert!(matches!(which, Err(DeedError::Invalid(_))), "{which:?}");
}

/// Row 29 of the faults, over the store of each backend in `testkit::store`, and with the
/// built program in `manman-bins`.
#[tokio::test(start_paused = true)]
async fn of_many_that_ask_for_one_port_one_gets_it() {
    let world = World::still(1).await;
    let host = world.host("box").await;
    let config = config(&world, "openttd", "classic").await;
    let asks = (0..64).map(|index| {
        let mut request = DeployRequest::of(config.id);
        request.name = Some(format!("d{index}").parse().unwrap());
        let control = world.control.clone();
        async move { control.deployment_create(&request, &alice()).await }
    });
    let answers = futures::future::join_all(asks).await;
    let winners: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(
            matches!(refused, DeedError::PortTaken { holder, .. } if *holder == winners[0].id),
            "{refused}"
        );
    }
    assert_eq!(world.control.server_ports(host.me.server).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn things_are_found_by_name_or_id() {
    let world = World::still(1).await;
    let host = world.host("box").await;
    for index in 0..450 {
        config(&world, "openttd", &format!("c{index}")).await;
    }
    let twin = config(&world, "other", "c7").await;
    let control = &world.control;
    assert_eq!(control.server_find("box").await.unwrap().id, host.me.server);
    assert_eq!(control.config_find("c449").await.unwrap().name.as_str(), "c449");
    assert_eq!(control.config_find("other/c7").await.unwrap().id, twin.id);
    assert_eq!(control.config_find(&twin.id.to_string()).await.unwrap(), twin);
    assert!(matches!(control.config_find("c7").await, Err(DeedError::Invalid(_))));
    assert!(matches!(control.config_find("nothing").await, Err(DeedError::NotFound { .. })));
    assert!(matches!(control.deployment_find("c7").await, Err(DeedError::NotFound { .. })));
    let deployment = control.deployment_create(&DeployRequest::of(twin.id), &alice()).await.unwrap();
    assert_eq!(control.deployment_find("c7").await.unwrap(), deployment);
}

#[tokio::test(start_paused = true)]
async fn a_page_has_bounds() {
    let world = World::still(1).await;
    for limit in [0, 201, usize::MAX] {
        let refused = world.control.game_list(Page::first(limit)).await;
        assert!(matches!(refused, Err(DeedError::Invalid(ref it)) if it.field == "page_size"), "{refused:?}");
    }
    assert_eq!(world.control.game_list(Page::first(200)).await.unwrap(), []);
}
