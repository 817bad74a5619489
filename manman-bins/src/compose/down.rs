//! Ends an installation: all of its games, then the process that serves it. Where no
//! process does, one is brought up for it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;

use manman_core::model::{Server, ServerStatus, Session};

use super::{DataLock, Drives, LockError, Say, UpError, up};
use crate::{
    api::{
        connect,
        errors::Reported,
        v1::{self, man_man_api_client::ManManApiClient},
    },
    cli::harmless,
    config::{DatabaseUrl, Places, UpConfig},
};

/// How long the process may take to end once it was told to.
const PROCESS_PATIENCE: Duration = Duration::from_secs(30);

/// How long one question where a session is stays open; after that it is said what is
/// waited for.
const WAIT_MILLIS: u32 = 5_000;

/// How games are ended.
#[derive(Clone, Copy, Debug)]
pub struct Down {
    /// At once, rather than as their stop plans say.
    pub kill: bool,
    /// How long they may take; those that still run then go on.
    pub patience: Duration,
}

/// A game that was ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Its deployment's name.
    pub name: String,
    /// Its session, at its end.
    pub session: Session,
}

/// Why an installation could not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownError {
    /// No process served it, and none could be brought up for it.
    #[error(transparent)]
    Up(#[from] UpError),
    /// Games were run, and what they were is not where it is said to be.
    #[error("whether a game runs is not known: the database {} of {} is not there", path.display(), dir.display())]
    NoDatabase {
        /// The database.
        path: PathBuf,
        /// The data directory.
        dir: PathBuf,
    },
    /// The process that serves it refused, or went away.
    #[error(transparent)]
    Api(#[from] Reported),
    /// These games have not ended in time; they go on, and so does the process.
    #[error("{} still running after {} s: {}", games(names.len()), after.as_secs(), names.join(", "))]
    Left {
        /// The deployments.
        names: Vec<String>,
        /// How long they had.
        after: Duration,
    },
    /// The process did not end in time.
    #[error("all games have ended, but the process has not")]
    Process,
}

fn games(count: usize) -> String {
    if count == 1 { "1 game is".to_owned() } else { format!("{count} games are") }
}

impl From<tonic::Status> for DownError {
    fn from(status: tonic::Status) -> Self {
        Self::Api(Reported::from(&status))
    }
}

/// Ends all games of the installation of `config` and the process that serves it; says
/// what becomes of each.
///
/// # Errors
/// Why not all of it has ended; what has ended stays so.
pub async fn down(
    config: UpConfig,
    how: Down,
    drives: impl Into<Drives>,
    say: Say,
) -> Result<Vec<Ended>, DownError> {
    let data_dir = config.machine.data_dir.clone();
    let places = Places(&data_dir);
    if let Ok(mut api) = connect(&places.socket()).await {
        let ended = stop_all(&mut api, how, &say).await?;
        api.shutdown(v1::ShutdownRequest { leave_running: false }).await?;
        until_free(&places.lock()).await?;
        return Ok(ended);
    }
    match past(&config) {
        Past::Recorded => {}
        Past::Missing(path) => return Err(DownError::NoDatabase { path, dir: data_dir.clone() }),
        Past::None => {
            say(&format!("nothing was ever run for {}", data_dir.display()));
            return Ok(Vec::new());
        }
    }
    let config = UpConfig { listen: ([127, 0, 0, 1], 0).into(), ..config };
    let running = up(config, drives, std::sync::Arc::new(|_| {})).await?;
    let ended = match connect(&places.socket()).await {
        Ok(mut api) => stop_all(&mut api, how, &say).await,
        Err(error) => Err(tonic::Status::unavailable(error.to_string()).into()),
    };
    if ended.is_ok() {
        running.tidy().await;
    }
    running.end().await;
    ended
}

/// What is known of what was run, before anybody is asked.
enum Past {
    /// Nothing was.
    None,
    /// The database says what.
    Recorded,
    /// Something was, and the database that would say what is not there.
    Missing(PathBuf),
}

fn past(config: &UpConfig) -> Past {
    let places = Places(&config.machine.data_dir);
    match &config.database {
        DatabaseUrl::Sqlite(path) if path.exists() => Past::Recorded,
        // Whoever has driven games here has left that behind.
        DatabaseUrl::Sqlite(path) if places.journal().exists() => Past::Missing(path.clone()),
        DatabaseUrl::Sqlite(_) => Past::None,
        // One on a server is there for others too.
        DatabaseUrl::Postgres(_) if places.lock().exists() => Past::Recorded,
        DatabaseUrl::Postgres(_) => Past::None,
    }
}

type Api = ManManApiClient<Channel>;

/// Ends all sessions that live, and those that begin meanwhile.
async fn stop_all(api: &mut Api, how: Down, say: &Say) -> Result<Vec<Ended>, DownError> {
    let until = Instant::now() + how.patience;
    let mut ended = Vec::new();
    loop {
        let live = live(api).await?;
        if live.is_empty() {
            return Ok(ended);
        }
        let stops = live.iter().map(|(name, session)| stop(api.clone(), name, session, how, until, say));
        let mut left = Vec::new();
        for (done, (name, _)) in join_all(stops).await.into_iter().zip(&live) {
            match done? {
                Some(session) => ended.push(Ended { name: name.clone(), session }),
                None => left.push(name.clone()),
            }
        }
        if !left.is_empty() {
            return Err(DownError::Left { names: left, after: how.patience });
        }
    }
}

/// Sessions that have not ended, with their deployments' names.
async fn live(api: &mut Api) -> Result<Vec<(String, v1::Session)>, DownError> {
    let mut live = Vec::new();
    let mut request = v1::ListSessionsRequest { live_only: true, page_size: Some(200), ..Default::default() };
    loop {
        let page = api.list_sessions(request.clone()).await?.into_inner();
        for session in page.sessions {
            let ask = v1::GetServerGameConfigRequest { server_game_config_id: session.server_game_config_id };
            let deployment = api.get_server_game_config(ask).await?.into_inner().config;
            live.push((deployment.unwrap_or_default().name, session));
        }
        if page.next_page_token.is_empty() {
            return Ok(live);
        }
        request.page_token = page.next_page_token;
    }
}

/// Ends one session: at its end, or `None` if it took too long.
async fn stop(
    mut api: Api,
    name: &str,
    session: &v1::Session,
    how: Down,
    until: Instant,
    say: &Say,
) -> Result<Option<Session>, DownError> {
    let mode = if how.kill { v1::StopMode::Kill } else { v1::StopMode::Graceful };
    let session_id = session.session_id;
    let request = v1::StopSessionRequest { session_id, mode: mode.into(), idempotency_key: String::new() };
    say(&format!("{name}: {} session {session_id}", if how.kill { "killing" } else { "stopping" }));
    let mut seen = None;
    let mut said = String::new();
    let work = async {
        api.stop_session(request).await?;
        loop {
            let ask = v1::GetSessionStatusRequest { session_id, wait_millis: Some(WAIT_MILLIS), seen };
            let begun = Instant::now();
            let Some(session) = api.get_session_status(ask).await?.into_inner().session else {
                return Err(DownError::from(tonic::Status::internal("a reply has no session")));
            };
            if begun.elapsed() >= Duration::from_millis(WAIT_MILLIS.into()) {
                let ask = v1::GetServerRequest { server_id: session.server_id };
                let server = api.get_server(ask).await?.into_inner().server;
                let waits = waiting_for(&session, server);
                if waits != said {
                    say(&format!("{name}: {waits}"));
                    said = waits;
                }
            }
            seen = Some(v1::SessionStatus {
                revision: session.revision,
                phase: session.phase,
                progress: session.progress.clone(),
            });
            let session =
                Session::try_from(session).map_err(|invalid| tonic::Status::internal(invalid.to_string()))?;
            if session.state.is_end() {
                return Ok(session);
            }
        }
    };
    match timeout_at(until, work).await {
        Err(_) => Ok(None),
        Ok(Err(error)) => Err(error),
        Ok(Ok(session)) => {
            let code = session.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
            say(&format!("{name}: {}{code}", session.state));
            Ok(Some(session))
        }
    }
}

/// What the end of `session` waits for, as far as its server says.
fn waiting_for(session: &v1::Session, server: Option<v1::Server>) -> String {
    let reason = session.reason.as_ref().map(|reason| harmless(&reason.text)).unwrap_or_default();
    let mut text = format!("session {} has not ended yet", session.session_id);
    if !reason.is_empty() {
        text.push_str(&format!(" ({reason})"));
    }
    match server.and_then(|server| Server::try_from(server).ok()) {
        Some(server) if server.status != ServerStatus::Online => {
            text.push_str(&format!("; server {} is {}", server.name, server.status));
        }
        Some(server) => {
            for trouble in server.health.map(|health| health.degraded_by()).unwrap_or_default() {
                text.push_str(&format!("; server {}: {}", server.name, harmless(&trouble)));
            }
        }
        None => {}
    }
    text
}

/// Waits until nobody serves the data directory any more.
async fn until_free(lock: &Path) -> Result<(), DownError> {
    let until = Instant::now() + PROCESS_PATIENCE;
    loop {
        match DataLock::take(lock) {
            Ok(_) => return Ok(()),
            Err(LockError::Held { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(LockError::Held { .. }) => return Err(DownError::Process),
            Err(error) => return Err(UpError::from(error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_said() {
        let session = v1::Session {
            session_id: 7,
            reason: Some(v1::Reason { code: "asked".into(), text: "stop requested by me".into() }),
            ..Default::default()
        };
        let server = |status: v1::ServerStatus, warnings: &[&str]| v1::Server {
            server_id: 1,
            name: "box".into(),
            status: status.into(),
            environment: "prod".into(),
            created_at: Some(prost_types::Timestamp::default()),
            health: Some(v1::Health {
                engine_ok: warnings.is_empty(),
                warnings: warnings.iter().map(|&it| it.into()).collect(),
            }),
            ..Default::default()
        };
        for (server, tail) in [
            (
                server(v1::ServerStatus::Online, &["the engine\u{1b} is away"]),
                "; server box: the engine^[ is away",
            ),
            (server(v1::ServerStatus::Stale, &["old"]), "; server box is stale"),
            (server(v1::ServerStatus::Online, &[]), ""),
        ] {
            let text = format!("session 7 has not ended yet (stop requested by me){tail}");
            assert_eq!(waiting_for(&session, Some(server)), text);
        }
    }
}
