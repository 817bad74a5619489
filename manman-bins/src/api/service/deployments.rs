//! Deployments.

use manman_core::{
    id::{ConfigId, ServerId, SgcId},
    model::deployment::DeploymentChange,
};

use super::{Api, write::write};
use crate::api::{
    auth::Caller,
    convert::{id, labels_in, ports_in, seen_in},
    errors::ApiError,
    v1,
};

pub(super) async fn create(
    api: &Api,
    caller: &Caller,
    mut request: v1::DeployGameConfigRequest,
) -> Result<v1::DeployGameConfigResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let deployment = api.control().deployment_create(&request.try_into()?, &write).await?;
    Ok(v1::DeployGameConfigResponse { config: Some(deployment.into()) })
}

pub(super) async fn get(
    api: &Api,
    _: &Caller,
    request: v1::GetServerGameConfigRequest,
) -> Result<v1::GetServerGameConfigResponse, ApiError> {
    let sgc = id("server_game_config_id", request.server_game_config_id, SgcId)?;
    let deployment = api.control().deployment_get(sgc).await?;
    Ok(v1::GetServerGameConfigResponse { config: Some(deployment.into()) })
}

pub(super) async fn list(
    api: &Api,
    _: &Caller,
    request: v1::ListServerGameConfigsRequest,
) -> Result<v1::ListServerGameConfigsResponse, ApiError> {
    let server = request.server_id.map(|server| id("server_id", server, ServerId)).transpose()?;
    let stretch = api.0.pages.open("ListServerGameConfigs", &request)?;
    let deployments = api.control().deployment_list(server, stretch.page(SgcId)).await?;
    let last = deployments.last().map(|deployment| deployment.id.0);
    Ok(v1::ListServerGameConfigsResponse {
        next_page_token: api.0.pages.next(&stretch, deployments.len(), last),
        configs: deployments.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn update(
    api: &Api,
    caller: &Caller,
    mut request: v1::UpdateServerGameConfigRequest,
) -> Result<v1::UpdateServerGameConfigResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let sgc = id("server_game_config_id", request.server_game_config_id, SgcId)?;
    let change = DeploymentChange {
        seen: seen_in(request.seen)?,
        config: request.game_config_id.map(|config| id("game_config_id", config, ConfigId)).transpose()?,
        ports: ports_in(request.ports)?,
        labels: labels_in("labels", request.labels)?,
    };
    let deployment = api.control().deployment_change(sgc, &change, &write).await?;
    Ok(v1::UpdateServerGameConfigResponse { config: Some(deployment.into()) })
}

pub(super) async fn delete(
    api: &Api,
    caller: &Caller,
    mut request: v1::DeleteServerGameConfigRequest,
) -> Result<v1::DeleteServerGameConfigResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let sgc = id("server_game_config_id", request.server_game_config_id, SgcId)?;
    api.control().deployment_delete(sgc, &write).await?;
    Ok(v1::DeleteServerGameConfigResponse {})
}
