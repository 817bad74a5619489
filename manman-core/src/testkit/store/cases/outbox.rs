//! What leaves for the broker.

use std::{sync::Arc, time::Duration};

use super::ground::{Ground, KILL, STOP, hints_of, write};
use crate::{store::WantChange, testkit::runtime::PATIENCE, wire::Command};

/// "at most one per key (so that a key's order holds …)".
pub async fn a_key_keeps_its_order(ground: &Ground) {
    let store = &ground.store;
    let (_, session) = ground.running("box").await;
    for change in [WantChange::Restart, STOP, KILL] {
        store.session_want(session.id, change, &write()).await.unwrap();
    }
    let id = session.id;
    let expected =
        [Command::Restart { session: id }, Command::Stop { session: id }, Command::Kill { session: id }];
    for command in expected {
        // Until it has left, nothing passes it.
        for _ in 0..2 {
            let due = store.outbox_due(9).await.unwrap();
            assert_eq!(due.len(), 1);
            assert_eq!(hints_of(&[due[0].message.clone()]), std::slice::from_ref(&command));
        }
        let due = store.outbox_due(9).await.unwrap();
        store.outbox_sent(&[due[0].message.id]).await.unwrap();
        store.outbox_sent(&[due[0].message.id]).await.unwrap();
    }
    assert!(store.outbox_due(9).await.unwrap().is_empty());
}

/// "a failed one never blocks another key"; "it is due again after `delay`".
pub async fn a_failed_message_blocks_only_its_key(ground: &Ground) {
    let store = &ground.store;
    let (_, first) = ground.running("first").await;
    let (_, second) = ground.running("second").await;
    for id in [first.id, second.id] {
        store.session_want(id, WantChange::Restart, &write()).await.unwrap();
        store.session_want(id, STOP, &write()).await.unwrap();
    }
    assert_eq!(store.outbox_due(1).await.unwrap().len(), 1);
    let due = store.outbox_due(9).await.unwrap();
    let keys: Vec<&str> = due.iter().map(|it| it.message.key.as_str()).collect();
    assert_eq!(keys, ["command.1", "command.2"]);
    let failed = &due[0].message;
    store.outbox_failed(failed.id, "the broker is away", Duration::from_secs(5)).await.unwrap();
    store.outbox_sent(&[due[1].message.id]).await.unwrap();

    let due = store.outbox_due(9).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(hints_of(&[due[0].message.clone()]), [Command::Stop { session: second.id }]);
    store.outbox_sent(&[due[0].message.id]).await.unwrap();
    assert!(store.outbox_due(9).await.unwrap().is_empty());
    ground.pass(Duration::from_secs(5));
    let due = store.outbox_due(9).await.unwrap();
    assert_eq!((&due[0].message, due[0].tries), (failed, 1));
    let told = [Command::Restart { session: first.id }, Command::Stop { session: first.id }];
    assert_eq!(ground.hints().await, told);
}

/// "Completes when something may be due."
pub async fn waiting_ends_when_something_is_due(ground: &Ground) {
    let (_, session) = ground.running("box").await;
    let store = Arc::clone(&ground.store);
    let relay = tokio::spawn(async move {
        loop {
            // "May complete without cause."
            store.outbox_wait().await;
            let due = store.outbox_due(1).await.unwrap();
            if !due.is_empty() {
                return due;
            }
        }
    });
    ground.store.session_want(session.id, STOP, &write()).await.unwrap();
    let due = tokio::time::timeout(PATIENCE, relay).await.expect("the relay wakes").unwrap();
    assert_eq!(hints_of(&[due[0].message.clone()]), [Command::Stop { session: session.id }]);
    // What is due already is not waited for.
    tokio::time::timeout(PATIENCE, ground.store.outbox_wait()).await.expect("it is due");
}
