//! Waiting for a session to get somewhere.

use std::time::Duration;

use tokio::time::{self, Instant};
use tonic::Status;

use super::{Context, progress::Progress};
use crate::{
    api::v1,
    cli::{
        client::{Client, is_lost},
        failure::Failure,
        output::{lower, span},
    },
};

/// How long the server may keep one question open. It takes up to 20 s.
const LONGEST_QUESTION: Duration = Duration::from_secs(10);

/// How long an answer may take beyond that.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long manman may be away while somebody waits: a restart takes a few seconds, and
/// games go on meanwhile.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);

/// How long a session may be lost while somebody waits.
const LONGEST_LOST: Duration = Duration::from_secs(60);

/// Whether nothing can follow this state.
pub fn is_end(session: &v1::Session) -> bool {
    use v1::SessionState as State;
    matches!(session.state(), State::Stopped | State::Completed | State::Crashed | State::Failed)
}

/// Where a session is.
pub async fn status_of(client: &Client, session_id: i64) -> Result<v1::Session, Failure> {
    let request = v1::GetSessionStatusRequest { session_id, ..Default::default() };
    let answer = client.call(request, async |mut api, request| api.get_session_status(request).await).await?;
    Ok(answer.session.unwrap_or_default())
}

/// Waits until the session is where `arrived` says, and returns it as it is then. A
/// manman that goes away meanwhile is waited for.
///
/// # Errors
/// When `timeout` has passed, manman stays away, the session stays lost, or somebody no
/// longer wants to wait.
pub async fn until(
    context: &mut Context,
    progress: &mut Progress,
    mut session: v1::Session,
    timeout: Option<Duration>,
    arrived: impl Fn(&v1::Session) -> bool,
) -> Result<v1::Session, Failure> {
    let Context { screen, client, .. } = context;
    let begun = Instant::now();
    let mut lost_since = None;
    let mut away_since = None;
    // What its server says is wrong, once the session has not moved for a while.
    let mut trouble = String::new();
    loop {
        if arrived(&session) {
            return Ok(session);
        }
        let left = match timeout {
            None => LONGEST_QUESTION,
            Some(timeout) => timeout.saturating_sub(begun.elapsed()),
        };
        if left.is_zero() {
            return Err(still(&session, begun.elapsed(), &trouble));
        }
        if session.state() == v1::SessionState::Lost {
            if lost_since.get_or_insert_with(Instant::now).elapsed() >= LONGEST_LOST {
                return Err(lost(&session));
            }
        } else {
            lost_since = None;
        }
        if away_since.is_none() {
            progress.at(&session, &trouble);
        }
        match progress.during(screen, ask(client, &session, left.min(LONGEST_QUESTION))).await? {
            Ok(now) => {
                away_since = None;
                let has_moved = now.revision != session.revision || now.progress != session.progress;
                session = now;
                let before = std::mem::take(&mut trouble);
                if !has_moved {
                    trouble = progress.during(screen, trouble_of(client, session.server_id)).await?;
                    if !trouble.is_empty() && trouble != before && !screen.is_json() {
                        screen.mark(&trouble)?;
                    }
                }
            }
            Err(status) if is_lost(&status) => {
                if away_since.get_or_insert_with(Instant::now).elapsed() >= LONGEST_OUTAGE {
                    return Err(client.lost(&status));
                }
                progress.say("manman does not answer, trying again");
                progress.during(screen, time::sleep(Duration::from_millis(500))).await?;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

/// Asks where the session is, and has the answer when something changed or `wait` passed.
async fn ask(client: &Client, seen: &v1::Session, wait: Duration) -> Result<v1::Session, Status> {
    let request = v1::GetSessionStatusRequest {
        session_id: seen.session_id,
        wait_millis: u32::try_from(wait.as_millis()).ok(),
        seen: Some(v1::SessionStatus {
            revision: seen.revision,
            phase: seen.phase,
            progress: seen.progress.clone(),
        }),
    };
    let call = async |mut api: crate::cli::client::Api, request| api.get_session_status(request).await;
    let answer = client.call_once(request, wait + ANSWER_WITHIN, call).await?;
    Ok(answer.session.unwrap_or_default())
}

/// What keeps a server from doing what is asked of it; empty if nothing is known to.
async fn trouble_of(client: &Client, server_id: i64) -> String {
    let request = v1::GetServerRequest { server_id };
    let call = async |mut api: crate::cli::client::Api, request| api.get_server(request).await;
    // Only to say more: whoever waits does so without it.
    match client.call_once(request, ANSWER_WITHIN, call).await {
        Ok(answer) => answer.server.map(|server| super::server::trouble(&server)).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

fn still(session: &v1::Session, waited: Duration, trouble: &str) -> Failure {
    let state = lower(session.state().as_str_name(), "SESSION_STATE_");
    let failure =
        Failure::failed(format!("session {} is still {state} after {}", session.session_id, span(waited)));
    let failure = if trouble.is_empty() { failure } else { failure.cause(trouble) };
    failure
        .remedy(format!(
            "What was asked for goes on; look again: manman session show {}.",
            session.session_id
        ))
        .detail("session", session.session_id)
        .detail("state", state)
}

fn lost(session: &v1::Session) -> Failure {
    let id = session.session_id;
    Failure::failed(format!("session {id} is lost: its server is silent, and nobody knows what it does"))
        .cause("The host manager of the server is down or cannot be reached.")
        .remedy(format!(
            "Bring it back, and the session is taken up again; if the machine is gone for good: \
             manman server abandon {}.",
            session.server_id
        ))
        .detail("session", id)
        .detail("state", "lost")
}
