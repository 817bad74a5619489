//! The installation and the process that answers.

use manman_core::store::Page;

use super::{Api, sessions};
use crate::api::{
    auth::Caller,
    convert::timestamp_out,
    errors::{ApiError, ErrorCode},
    v1,
};

pub(super) async fn get(
    api: &Api,
    _: &Caller,
    _: v1::GetInstallationRequest,
) -> Result<v1::Installation, ApiError> {
    Ok(v1::Installation {
        cluster_id: api.0.cluster.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: i64::from(std::process::id()),
        started_at: Some(timestamp_out(api.0.started_at)),
        data_dir: api.0.data_dir.display().to_string(),
    })
}

pub(super) async fn shutdown(
    api: &Api,
    caller: &Caller,
    request: v1::ShutdownRequest,
) -> Result<v1::ShutdownResponse, ApiError> {
    if !request.leave_running {
        let live = api.control().session_list(sessions::live(), Page::first(1)).await?;
        if let Some(session) = live.first() {
            let message = format!("session {} is {}", session.id, session.state);
            return Err(ApiError::new(ErrorCode::SessionsLive, message).with("session", session.id));
        }
    }
    tracing::info!("{} ends this process", caller.name());
    api.0.shutdown.cancel();
    Ok(v1::ShutdownResponse {})
}
