//! Sessions.

use std::time::Duration;

use tokio::time::Instant;

use manman_core::{
    id::{ServerId, SessionId, SgcId},
    model::{Invalid, Session, State},
    store::SessionFilter,
};

use super::{Api, write::write};
use crate::api::{
    auth::Caller,
    convert::{id, mode_in, state_in},
    errors::{ApiError, ErrorCode},
    v1,
};

/// The longest wait of a status call.
const LONGEST_WAIT_MILLIS: u32 = 20_000;

/// Between two looks while a status call waits.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sessions that have not ended.
pub(super) fn live() -> SessionFilter {
    let states = State::ALL.iter().copied().filter(|state| !state.is_end()).collect();
    SessionFilter { states, ..SessionFilter::default() }
}

pub(super) async fn start(
    api: &Api,
    caller: &Caller,
    mut request: v1::StartSessionRequest,
) -> Result<v1::StartSessionResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let sgc = id("server_game_config_id", request.server_game_config_id, SgcId)?;
    let started = api.control().session_start(sgc, &write).await?;
    Ok(v1::StartSessionResponse { session: Some(started.session.into()), repeated: started.repeated })
}

pub(super) async fn stop(
    api: &Api,
    caller: &Caller,
    mut request: v1::StopSessionRequest,
) -> Result<v1::StopSessionResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let session = id("session_id", request.session_id, SessionId)?;
    let mode = mode_in("mode", request.mode)?;
    let session = api.control().session_stop(session, mode, &write).await?;
    Ok(v1::StopSessionResponse { session: Some(session.into()) })
}

pub(super) async fn restart(
    api: &Api,
    caller: &Caller,
    mut request: v1::RestartSessionRequest,
) -> Result<v1::RestartSessionResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let session = id("session_id", request.session_id, SessionId)?;
    let session = api.control().session_restart(session, &write).await?;
    Ok(v1::RestartSessionResponse { session: Some(session.into()) })
}

pub(super) async fn get(
    api: &Api,
    _: &Caller,
    request: v1::GetSessionRequest,
) -> Result<v1::GetSessionResponse, ApiError> {
    let session = id("session_id", request.session_id, SessionId)?;
    let timeline = api.control().session_timeline(session).await?;
    let attempts = api.control().session_attempts(session).await?;
    Ok(v1::GetSessionResponse {
        session: Some(api.control().session_get(session).await?.into()),
        timeline: timeline.into_iter().map(Into::into).collect(),
        attempts: attempts.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn status(
    api: &Api,
    _: &Caller,
    request: v1::GetSessionStatusRequest,
) -> Result<v1::GetSessionStatusResponse, ApiError> {
    let session = id("session_id", request.session_id, SessionId)?;
    let wait = request.wait_millis.unwrap_or(0);
    if wait > LONGEST_WAIT_MILLIS {
        let problem = format!("{wait} is more than {LONGEST_WAIT_MILLIS}");
        return Err(ApiError::invalid("wait_millis", problem));
    }
    let until = Instant::now() + Duration::from_millis(u64::from(wait));
    loop {
        let session = api.control().session_get(session).await?;
        let differs = request.seen.as_ref().is_none_or(|seen| *seen != seen_of(&session));
        if differs || Instant::now() >= until {
            return Ok(v1::GetSessionStatusResponse { session: Some(session.into()) });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = api.0.shutdown.cancelled() => {
                return Err(ApiError::new(ErrorCode::ShuttingDown, "this process is about to end"));
            }
        }
    }
}

/// What a client has seen of a session.
fn seen_of(session: &Session) -> v1::SessionStatus {
    let wire = v1::Session::from(session.clone());
    v1::SessionStatus { revision: wire.revision, phase: wire.phase, progress: wire.progress }
}

pub(super) async fn list(
    api: &Api,
    _: &Caller,
    request: v1::ListSessionsRequest,
) -> Result<v1::ListSessionsResponse, ApiError> {
    let stretch = api.0.pages.open("ListSessions", &request)?;
    let states = request.states.iter().enumerate();
    let states = states.map(|(index, &state)| state_in(&format!("states[{index}]"), state));
    let mut filter =
        SessionFilter { states: states.collect::<Result<_, Invalid>>()?, ..SessionFilter::default() };
    if request.live_only {
        if !filter.states.is_empty() {
            return Err(ApiError::invalid("live_only", "and states cannot both be said"));
        }
        filter = live();
    }
    filter.sgc =
        request.server_game_config_id.map(|sgc| id("server_game_config_id", sgc, SgcId)).transpose()?;
    filter.server = request.server_id.map(|server| id("server_id", server, ServerId)).transpose()?;
    let sessions = api.control().session_list(filter, stretch.page(SessionId)).await?;
    let last = sessions.last().map(|session| session.id.0);
    Ok(v1::ListSessionsResponse {
        next_page_token: api.0.pages.next(&stretch, sessions.len(), last),
        sessions: sessions.into_iter().map(Into::into).collect(),
    })
}
