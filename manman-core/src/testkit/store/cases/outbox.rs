//! What leaves for the broker.

use std::{sync::Arc, time::Duration};

use super::ground::{Ground, KILL, STOP, hints_of, write};
use crate::{
    broker::Message,
    store::{OUTBOX_PER_KEY, OutboxMessage, WantChange},
    testkit::runtime::PATIENCE,
    wire::Command,
};

/// "in the order of their commits": what has not left comes again, before what is newer.
pub async fn a_key_keeps_its_order(ground: &Ground) {
    let store = &ground.store;
    let (_, session) = ground.running("box").await;
    for change in [WantChange::Restart, STOP, KILL] {
        store.session_want(session.id, change, &write()).await.unwrap();
    }
    let id = session.id;
    let mut expected =
        vec![Command::Restart { session: id }, Command::Stop { session: id }, Command::Kill { session: id }];
    while !expected.is_empty() {
        assert_eq!(hints_of(&messages(&store.outbox_due(1).await.unwrap())), expected[..1]);
        let due = store.outbox_due(9).await.unwrap();
        assert_eq!(hints_of(&messages(&due)), expected);
        for _ in 0..2 {
            store.outbox_sent(&[due[0].message.id]).await.unwrap();
        }
        expected.remove(0);
    }
    assert!(store.outbox_due(9).await.unwrap().is_empty());
}

/// "of each key at most [`OUTBOX_PER_KEY`]": a long line does not keep another key out.
pub async fn a_long_line_leaves_room(ground: &Ground) {
    let store = &ground.store;
    let (_, first) = ground.running("first").await;
    let (_, second) = ground.running("second").await;
    for _ in 0..2 * OUTBOX_PER_KEY {
        store.session_want(first.id, WantChange::Restart, &write()).await.unwrap();
    }
    store.session_want(second.id, STOP, &write()).await.unwrap();
    let due = store.outbox_due(2 * OUTBOX_PER_KEY).await.unwrap();
    let mut expected = vec![Command::Restart { session: first.id }; OUTBOX_PER_KEY];
    expected.push(Command::Stop { session: second.id });
    assert_eq!(hints_of(&messages(&due)), expected);
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
    assert_eq!(keys, ["command.1", "command.1", "command.2", "command.2"]);
    let failed = &due[0].message;
    store.outbox_failed(failed.id, "the broker is away", Duration::from_secs(5)).await.unwrap();
    store.outbox_sent(&[due[2].message.id]).await.unwrap();

    // What stands behind the failed one waits with it.
    let due = store.outbox_due(9).await.unwrap();
    assert_eq!(hints_of(&messages(&due)), [Command::Stop { session: second.id }]);
    store.outbox_sent(&[due[0].message.id]).await.unwrap();
    assert!(store.outbox_due(9).await.unwrap().is_empty());
    ground.pass(Duration::from_secs(5));
    let due = store.outbox_due(9).await.unwrap();
    assert_eq!((&due[0].message, due[0].tries), (failed, 1));
    // What never was tried need not count as left for one that may fail again.
    assert_eq!(due.len(), 1);
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
    assert_eq!(hints_of(&messages(&due)), [Command::Stop { session: session.id }]);
    // What is due already is not waited for.
    tokio::time::timeout(PATIENCE, ground.store.outbox_wait()).await.expect("it is due");
}

fn messages(due: &[OutboxMessage]) -> Vec<Message> {
    due.iter().map(|it| it.message.clone()).collect()
}
