//! Servers.

use manman_core::id::ServerId;

use super::{Api, write::write};
use crate::api::{auth::Caller, convert::id, errors::ApiError, v1};

pub(super) async fn list(
    api: &Api,
    _: &Caller,
    request: v1::ListServersRequest,
) -> Result<v1::ListServersResponse, ApiError> {
    let stretch = api.0.pages.open("ListServers", &request)?;
    let servers = api.control().server_list(stretch.page(ServerId)).await?;
    let last = servers.last().map(|server| server.id.0);
    Ok(v1::ListServersResponse {
        next_page_token: api.0.pages.next(&stretch, servers.len(), last),
        servers: servers.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn get(
    api: &Api,
    _: &Caller,
    request: v1::GetServerRequest,
) -> Result<v1::GetServerResponse, ApiError> {
    let server = id("server_id", request.server_id, ServerId)?;
    let ports = api.control().server_ports(server).await?;
    Ok(v1::GetServerResponse {
        server: Some(api.control().server_get(server).await?.into()),
        ports: ports.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn abandon(
    api: &Api,
    caller: &Caller,
    mut request: v1::AbandonServerRequest,
) -> Result<v1::AbandonServerResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let server = id("server_id", request.server_id, ServerId)?;
    let ended = api.control().server_abandon(server, &write).await?;
    Ok(v1::AbandonServerResponse { session_ids: ended.into_iter().map(|session| session.0).collect() })
}
