//! How connections are made, and what is noticed of them.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_nats::{Client, ClientError, ConnectOptions, Event, ServerAddr, ServerError};
use manman_core::{
    error::{Error, ErrorKind, Result},
    retry::Backoff,
};
use tokio::sync::{broadcast, watch};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{
    config::{NatsAuth, NatsConfig},
    link::{DEADLINE, State, Violation},
    tls, translate,
};

/// Three of them without an answer, and the connection is given up: within ten seconds.
const PING: Duration = Duration::from_millis(2_500);

/// Begins to connect, for as long as there is anything of `wanted`; waits for no server.
pub(super) async fn connect(
    config: &NatsConfig,
    wanted: &Arc<()>,
    state: &watch::Sender<State>,
    violations: &broadcast::Sender<Violation>,
) -> Result<Client> {
    let options = authenticated(options(config)?, &config.auth)?;
    let options = watched(options, &config.inbox, Arc::downgrade(wanted), state, violations);
    let scheme = if config.tls { "tls" } else { "nats" };
    let servers = config.servers.iter().map(|(host, port)| format!("{scheme}://{host}:{port}").parse());
    let servers = servers.collect::<Result<Vec<ServerAddr>, _>>();
    let servers = servers.map_err(|error| failed("the address of a server is not valid").because(error))?;
    options.connect(servers).await.map_err(|error| failed("the connection cannot be set up").because(error))
}

fn options(config: &NatsConfig) -> Result<ConnectOptions> {
    let seed = Uuid::new_v4().as_u128() as u64;
    let backoff = Mutex::new(Backoff::new(Duration::from_millis(50), Duration::from_secs(3), seed));
    Ok(ConnectOptions::new()
        .name(format!("manman {}", config.prefix))
        .tls_client_config(tls::client(config)?)
        .require_tls(config.tls)
        .custom_inbox_prefix(&config.inbox)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING)
        .connection_timeout(Duration::from_secs(3))
        .request_timeout(Some(DEADLINE))
        .reconnect_delay_callback(move |attempt| {
            let mut backoff = backoff.lock().unwrap_or_else(PoisonError::into_inner);
            if attempt <= 1 {
                backoff.reset();
                return Duration::ZERO;
            }
            backoff.delay()
        }))
}

fn authenticated(options: ConnectOptions, auth: &NatsAuth) -> Result<ConnectOptions> {
    let unreadable = |file: &Path, error: std::io::Error| {
        failed(format!("{} cannot be read", file.display())).because(error)
    };
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| unreadable(file, error))
    };
    Ok(match auth {
        NatsAuth::None => options,
        NatsAuth::Password(user, password) => {
            options.user_and_password(user.clone(), password.reveal().to_owned())
        }
        NatsAuth::Token(token) => options.token(token.reveal().to_owned()),
        NatsAuth::TokenFile(file) => options.token(read(file)?),
        NatsAuth::Nkey(file) => {
            let seed = read(file)?;
            let is_seed = seed.len() == 58 && seed.starts_with("SU") && !seed.contains(char::is_whitespace);
            if !is_seed {
                return Err(failed(format!("{} holds no seed of a user's nkey (SU…)", file.display())));
            }
            options.nkey(seed)
        }
        NatsAuth::Credentials(file) => {
            // Its last line has to end; its error may quote what it read.
            let text = read(file)? + "\n";
            options.credentials(&text).map_err(|_| {
                failed(format!("{} is not a credentials file: a JWT and a seed", file.display()))
            })?
        }
    })
}

/// With us told of whatever happens to the connection, as long as it is `wanted`.
fn watched(
    options: ConnectOptions,
    inbox: &str,
    wanted: Weak<()>,
    state: &watch::Sender<State>,
    violations: &broadcast::Sender<Violation>,
) -> ConnectOptions {
    let (told, violations) = (state.clone(), violations.clone());
    let (trouble, inbox) = (state.clone(), format!("{inbox}."));
    options
        .event_callback(move |event| {
            notice(&event, &inbox, &told, &violations);
            std::future::ready(())
        })
        // Chooses nothing: it is where the library says why the last try failed.
        .reconnect_to_server_callback(move |servers, _| {
            let last = servers.iter().filter_map(|server| server.last_error.clone()).next_back();
            if let Some(last) = last {
                trouble.send_if_modified(|state| {
                    let before = state.trouble.as_deref();
                    let changed =
                        !state.up && !before.is_some_and(|before| translate::is_the_same(before, &last));
                    if changed {
                        let why = translate::away("connect", Some(&last));
                        warn!("{}; will retry", why.message());
                        state.trouble = Some(last);
                    }
                    changed
                });
            }
            let is_over = wanted.strong_count() == 0;
            async move {
                if is_over {
                    // The library would try for ever, for nobody.
                    std::future::pending().await
                }
                None
            }
        })
}

fn notice(
    event: &Event,
    inbox: &str,
    state: &watch::Sender<State>,
    violations: &broadcast::Sender<Violation>,
) {
    match event {
        Event::Connected => {
            info!("connected to NATS");
            state.send_modify(|state| (state.up, state.trouble) = (true, None));
        }
        Event::Disconnected | Event::Closed => {
            warn!("the connection to NATS is lost, will retry");
            state.send_modify(|state| (state.up, state.number) = (false, state.number + 1));
        }
        Event::ServerError(ServerError::Other(text)) => {
            warn!("NATS says: {text}");
            if let Some(subject) = translate::violated(text) {
                let is_answers = subject.starts_with(inbox);
                let _ = violations.send(Violation { subject, is_answers });
            }
        }
        Event::ServerError(error) => warn!("NATS says: {error}"),
        Event::ClientError(ClientError::Other(error)) => debug!("no connection to NATS: {error}"),
        Event::SlowConsumer(_) => warn!("messages come from NATS faster than they are taken, some are lost"),
        other => debug!("NATS: {other}"),
    }
}

fn failed(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "connect to NATS", what)
}
