//! What the tests of both dialects stand on.
#![allow(dead_code, reason = "no program needs all of it")]

use std::time::Duration;

use manman_core::{
    id::{ConfigId, SgcId},
    model::{ConfigBody, StopMode, Want, config::NewConfig, deployment::NewDeployment, game::NewGame},
    store::{Actor, IdempotencyKey, Registration, Store, WantChange, Welcomed, Write},
};

pub const VALID: Duration = Duration::from_secs(60);
pub const STOP: WantChange = WantChange::To(Want::Stop(StopMode::Graceful));

pub fn write() -> Write {
    Write::by(Actor("alice".into()))
}

pub fn keyed(rpc: &'static str, key: &str) -> Write {
    Write { idempotency: Some(IdempotencyKey { rpc, key: key.into(), request: [1; 32] }), ..write() }
}

pub fn hello(name: &str) -> Registration {
    Registration {
        name: name.parse().unwrap(),
        environment: Default::default(),
        machine_id: name.into(),
        engine_id: "e".into(),
        capacity: Default::default(),
        public_address: None,
        take_over: false,
    }
}

pub async fn server(store: &dyn Store, name: &str) -> Welcomed {
    store.server_register(&hello(name), Duration::ZERO).await.unwrap()
}

pub async fn config(store: &dyn Store, name: &str) -> ConfigId {
    let new = NewGame { name: name.parse().unwrap(), steam_app_id: None, metadata: Default::default() };
    let game = store.game_create(&new, &write()).await.unwrap().id;
    let body = ConfigBody::new("game:1".parse().unwrap());
    let new = NewConfig { game, name: name.parse().unwrap(), body };
    store.config_create(&new, &write()).await.unwrap().id
}

/// A deployment without ports, on a server of its own.
pub async fn deployment(store: &dyn Store, name: &str) -> (Welcomed, SgcId) {
    let welcomed = server(store, name).await;
    let config = config(store, name).await;
    let (name, ports, labels) = (name.parse().unwrap(), Vec::new(), Default::default());
    let new = NewDeployment { name, server: welcomed.server, config, ports, labels };
    (welcomed, store.deployment_create(&new, &write()).await.unwrap().id)
}
