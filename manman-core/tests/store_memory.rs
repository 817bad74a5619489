//! The store in memory keeps the contract of the seam.

use std::sync::Arc;

use manman_core::{
    clock::{Clock, SystemClock},
    error::ErrorKind,
    memory::MemoryStore,
    model::game::NewGame,
    store::{Actor, DeedError, GameStore, IdempotencyKey, Page, Store, Write},
    testkit::{Faults, Faulty},
};

async fn fresh(clock: Arc<dyn Clock>) -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::new(clock)), ())
}

manman_core::store_conformance!(fresh);

/// A start whose reply got lost and that is repeated with its key has one effect.
#[tokio::test]
async fn a_lost_reply_is_had_by_repeating() -> Result<(), Box<dyn std::error::Error>> {
    let inner = Arc::new(MemoryStore::seeded(Arc::new(SystemClock), 7));
    let store = Faulty::new(Arc::clone(&inner), 7, Faults { before: 0.0, after: 1.0 });
    let new = NewGame { name: "openttd".parse()?, steam_app_id: None, metadata: Default::default() };
    let key = IdempotencyKey { rpc: "CreateGame", key: "k".into(), request: [0; 32] };
    let write = Write { actor: Actor("alice".into()), idempotency: Some(key) };
    match store.game_create(&new, &write).await {
        Err(DeedError::Store(error)) => assert_eq!(error.kind(), ErrorKind::Timeout),
        other => panic!("{other:?}"),
    }
    store.set(Faults::default());
    let game = store.game_create(&new, &write).await?;
    assert_eq!(inner.game_list(Page::first(9)).await?, [game]);

    store.set(Faults { before: 1.0, after: 0.0 });
    match store.game_delete(inner.game_list(Page::first(1)).await?[0].id, &write).await {
        Err(DeedError::Store(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        other => panic!("{other:?}"),
    }
    assert_eq!(inner.game_list(Page::first(9)).await?.len(), 1);
    Ok(())
}
