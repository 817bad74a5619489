//! The installation itself.

use super::ground::{Ground, VALID, new_game, refused, write};
use crate::store::{DeedError, Page};

/// "Who this installation is. Made with the store, never changed." "The installation's
/// secret: 32 random bytes, made with the store."
pub async fn an_installation_is_one_and_the_same(ground: &Ground) {
    let store = &ground.store;
    let (cluster, secret) = (store.cluster().await.unwrap(), store.cluster_secret().await.unwrap());
    assert_eq!(store.cluster().await.unwrap(), cluster);
    assert_eq!(store.cluster_secret().await.unwrap(), secret);
    assert_eq!(secret.len(), 32);
    assert!(secret.iter().any(|&byte| byte != secret[0]));
    assert_eq!(store.now().await.unwrap(), ground.now());
}

/// "Each write leaves an audit entry in the same deed."
pub async fn each_write_leaves_an_audit_entry(ground: &Ground) {
    let store = &ground.store;
    let (_, deployment) = ground.deployment("box").await;
    ground.start(deployment.id).await;
    let before = store.audit_list(Page::first(100)).await.unwrap();
    let deeds: Vec<(&str, &str)> =
        before.iter().map(|entry| (entry.deed.as_str(), entry.object.as_str())).collect();
    assert_eq!(
        deeds,
        [
            ("session_start", "session 1"),
            ("deployment_create", "deployment 1"),
            ("config_create", "config 1"),
            ("game_create", "game 1"),
            ("server_register", "server 1 epoch 1"),
        ]
    );
    assert_eq!((before[0].actor.0.as_str(), before[0].at), ("alice", ground.now()));

    // What is refused was not written.
    let error = refused(store.session_start(deployment.id, VALID, &write()).await);
    assert!(matches!(error, DeedError::SessionLive { .. }));
    refused(store.game_create(&new_game("box"), &write()).await);
    assert_eq!(store.audit_list(Page::first(100)).await.unwrap(), before);

    let older = store.audit_list(Page { after: Some(before[1].id), limit: 2 }).await.unwrap();
    assert_eq!(older, before[2..4]);
}
