//! `control-api`: the API over a store and a broker that others share.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use manman_core::{
    control::{ControlConfig, RemoteConsoles},
    error::{Chain, Error, ErrorKind, Result},
    model::{Role, token::NewToken},
    store::{Actor, DeedError, Store, Write},
};

use super::{Died, Running, parts};
use crate::{
    api::{Recorded, auth::digest},
    compose::{Carrier, Database, LateBlobs, Plane, Tasks},
    config::ControlApiConfig,
    secret::Secret,
};

pub(super) async fn start(config: ControlApiConfig, stop: CancellationToken) -> Result<Running, Died> {
    let database = Database::open(&config.database, false).await;
    let database = database.map_err(|error| Died::Part("the store", error))?;
    let store = database.store();
    for (token, name, role) in [
        (&config.admin_token, "admin-of-configuration", Role::Admin),
        (&config.join_token, "join-of-configuration", Role::Join { server: None }),
    ] {
        if let Some(token) = token {
            on_record(&*store, token, name, role).await.map_err(|error| Died::Part("the store", error))?;
        }
    }
    let carrier = Carrier::open(&config.broker).await.map_err(|error| Died::Part("the broker", error))?;
    let (broker, control) = (carrier.broker(), ControlConfig::default());
    let mut plane = Plane::new(store.clone(), broker.clone(), control.clone());
    let blobs = match config.blobs {
        Some(blobs) => {
            let opened = LateBlobs::open(blobs).await.map_err(|error| Died::Part("the blobs", error))?;
            Some(Arc::new(opened))
        }
        None => {
            tracing::info!("BLOB_URL is not set: no blobs are kept, and what hosts put is refused");
            None
        }
    };
    if let Some(blobs) = &blobs {
        plane = plane.with_blobs(blobs.clone());
    }
    let consoles = RemoteConsoles::new(store.clone(), broker.clone(), control);
    let authenticator = Arc::new(Recorded::new(store.clone()));
    let api = plane.api(Arc::new(consoles), Default::default(), authenticator, stop.clone()).await;
    let mut api = api.map_err(|error| Died::Part("the store", error))?;
    if let Some(tls) = &config.tls {
        let encrypted = api.encrypted(&tls.certificate, tls.key.reveal().as_bytes());
        api = encrypted.map_err(|error| {
            let message = "the certificate and the key cannot be used";
            Died::Part(
                "TLS_CERT and TLS_KEY",
                Error::new(ErrorKind::Config, "encrypt the API", message).because(error),
            )
        })?;
    }
    let listener =
        TcpListener::bind(config.listen).await.map_err(|error| Died::Listen(config.listen, error))?;
    tracing::info!(
        "the API is served on {}, {}",
        listener.local_addr().unwrap_or(config.listen),
        if config.tls.is_some() { "encrypted" } else { "without encryption" }
    );
    let mut tasks = Tasks::default();
    tasks.spawn("the API", async move {
        let served = api.serve_tcp(listener).await;
        database.close().await;
        served.map_err(|error| Chain(&error).to_string())
    });
    Ok(Running { tasks, stop, parts: Arc::new(parts::Control { store, broker, blobs }) })
}

/// Puts a token of the configuration on record, once: one that was revoked stays so.
async fn on_record(store: &dyn Store, token: &Secret, name: &str, role: Role) -> Result<()> {
    let digest = digest(token.reveal().as_bytes());
    if store.token_by_digest(&digest).await?.is_some() {
        return Ok(());
    }
    let name = name.parse().expect("a constant name parses");
    let new = NewToken { name, role, digest, valid_for: None };
    match store.token_create(&new, &Write::by(Actor::system())).await {
        // Another replica was quicker.
        Ok(_) | Err(DeedError::TokenKnown { .. }) => Ok(()),
        Err(DeedError::Store(error)) => Err(error),
        Err(refused) => Err(Error::new(ErrorKind::Unexpected, "put a token on record", refused.to_string())),
    }
}
