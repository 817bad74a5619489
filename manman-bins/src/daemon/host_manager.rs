//! `host-manager`: the games of one machine, for a control plane elsewhere.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use manman_core::{
    error::{Chain, Error, ErrorKind, Result},
    hex::Hex,
    host::HostEvent,
};

use super::{Died, Running, parts};
use crate::{
    api::{Token, auth::digest},
    compose::{Carrier, DataLock, Drives, Host, Tasks, choose},
    config::{HostManagerConfig, Places},
    files::remove_if_there,
    secret::Secret,
    uplink::{GrpcUplink, Line},
};

/// Between two tries to join.
const JOIN_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn start(
    config: HostManagerConfig,
    stop: CancellationToken,
    line: &Line,
) -> Result<Running, Died> {
    let places = Places(&config.machine.data_dir);
    places.make().map_err(|error| Died::Said(format!("{}: {error}", config.machine.data_dir.display())))?;
    let lock = DataLock::take(&places.lock()).map_err(|error| Died::Said(error.to_string()))?;
    let token = joined(&config, &places, line).await.map_err(|error| Died::Part("joining", error))?;
    let carrier = Carrier::open(&config.broker).await.map_err(|error| Died::Part("the broker", error))?;
    let uplink = GrpcUplink::new(config.api.clone(), config.api_ca.as_deref(), token.reveal());
    let uplink = uplink.map_err(|error| Died::Part("the control plane", error))?;
    let uplink = uplink.on(line).or_unknown(unknown_host(&config, &places));

    let chosen = choose(&config.machine).await;
    tracing::info!("games are run by {} ({})", chosen.kind, chosen.why);
    let Drives { make, .. } = chosen.into();
    let (broker, until) = (carrier.broker(), stop.clone());
    let host = Host::open(&config.machine, make, broker.clone(), Arc::new(uplink), &stop).await;
    let Host { manager, runtime, identity } = host.map_err(|error| Died::Part("the host manager", error))?;
    tracing::info!(server.id = %identity.server, "server {} of installation {}", config.machine.server_name, identity.cluster);

    let registered = Arc::new(AtomicBool::new(false));
    let (mut events, is_registered) = (manager.events(), registered.clone());
    let mut tasks = Tasks::default();
    tasks.spawn("the host manager", async move {
        let watch = async {
            while let Some(event) = events.next().await {
                if matches!(event, HostEvent::Registered(_)) {
                    is_registered.store(true, Ordering::Relaxed);
                }
            }
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = manager.run(until) => ended,
            () = watch => Ok(()),
        };
        // Free only when nothing of this process touches the directory any more.
        drop(lock);
        ended.map_err(|error| Chain(&error).to_string())
    });
    Ok(Running {
        tasks,
        stop,
        parts: Arc::new(parts::Machine { runtime, broker, line: line.clone(), registered }),
    })
}

/// The token of this host. One that joined once needs no join token any more, whatever the
/// configuration says, so that it serves its games also while its control plane is away; a
/// join token that it has not seen is tried beside that, for one whose token was revoked.
///
/// The token is made and written down before it is put on record: who dies on the way does
/// the same again.
async fn joined(config: &HostManagerConfig, places: &Places<'_>, line: &Line) -> Result<Token> {
    let unusable = |error: std::io::Error| {
        let message = format!("the token {} cannot be used", places.host_token().display());
        Error::new(ErrorKind::Config, "join", message).because(error)
    };
    let path = places.host_token();
    let joined = noted(&path);
    if !path.try_exists().map_err(unusable)? {
        // What was noted is about a token that is gone. It goes before there is another one, so
        // that whoever dies on the way does not take it for that one's.
        remove_if_there(&joined).map_err(unusable)?;
    }
    let own = Token::read_or_create(&path).map_err(unusable)?;
    let Some(join) = &config.join_token else { return Ok(own) };
    let mark = Hex(&digest(join.reveal().as_bytes())).to_string();
    let before = std::fs::read_to_string(&joined).ok();
    if before.as_deref() == Some(mark.as_str()) {
        return Ok(own);
    }
    // A new join token is for a new token: the one before may have been revoked.
    let next = path.with_extension("next");
    let mut own = if before.is_some() { Token::read_or_create(&next).map_err(unusable)? } else { own };
    let mut done = by_token(config, join, &own, before.is_none(), line).await;
    if before.is_some() && done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
        // It is on record from a join that was not noted here, and may have been revoked since.
        std::fs::remove_file(&next).map_err(unusable)?;
        own = Token::read_or_create(&next).map_err(unusable)?;
        done = by_token(config, join, &own, false, line).await;
    }
    match done {
        Ok(()) => {}
        // Whoever died before it noted that it had joined; whether it is a good one still is
        // said when it registers.
        Err(error) if before.is_none() && error.kind() == ErrorKind::Conflict => {}
        // It is a host already, and may still be a good one.
        Err(error) if before.is_some() => {
            tracing::warn!(error = %Chain(&error), "JOIN_TOKEN could not be used: the token from before stays");
            return Token::read(&path).map_err(unusable);
        }
        Err(error) => return Err(error),
    }
    if before.is_some() {
        std::fs::rename(&next, &path).map_err(unusable)?;
    }
    std::fs::write(&joined, mark).map_err(unusable)?;
    Ok(own)
}

/// Puts `own` on record. A control plane that does not answer is waited for if `waits`: so a
/// machine may be set up before its control plane is.
async fn by_token(
    config: &HostManagerConfig,
    join: &Secret,
    own: &Token,
    waits: bool,
    line: &Line,
) -> Result<()> {
    let uplink = GrpcUplink::new(config.api.clone(), config.api_ca.as_deref(), join.reveal())?;
    let unknown = format!(
        "the control plane at {} does not know JOIN_TOKEN, or its time is over (make another one: {})",
        config.api,
        how_to_join(config)
    );
    let uplink = uplink.on(line).or_unknown(unknown);
    let digest = digest(own.reveal().as_bytes());
    loop {
        match uplink.join(&config.machine.server_name, &digest).await {
            Err(error) if error.is_temporary() && waits => {
                tracing::warn!(error = %Chain(&error), "cannot join for now, will retry in {JOIN_EVERY:?}");
            }
            done => return done,
        }
        tokio::time::sleep(JOIN_EVERY).await;
    }
}

/// What to say when the control plane does not know the token of this host.
fn unknown_host(config: &HostManagerConfig, places: &Places<'_>) -> String {
    let (api, path, join) = (&config.api, places.host_token(), how_to_join(config));
    if !noted(&path).exists() {
        return format!(
            "this machine is no host of the control plane at {api} yet (set JOIN_TOKEN to what {join} prints)"
        );
    }
    format!(
        "the control plane at {api} does not know the token in {}: it was revoked, or the data directory is that of \
         a host of another installation (to join again set JOIN_TOKEN to what {join} prints; for another \
         installation set DATA_DIR to an empty directory)",
        path.display()
    )
}

fn how_to_join(config: &HostManagerConfig) -> String {
    let name = &config.machine.server_name;
    format!("`manman token create {name} --join --server {name}`")
}

/// Where it is noted with which join token the one at `path` was put on record.
fn noted(path: &Path) -> PathBuf {
    path.with_extension("joined")
}
