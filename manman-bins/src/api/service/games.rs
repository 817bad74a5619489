//! Games and their configs.

use manman_core::id::{ConfigId, GameId};

use super::{Api, write::write};
use crate::api::{auth::Caller, convert::id, errors::ApiError, v1};

pub(super) async fn create(
    api: &Api,
    caller: &Caller,
    mut request: v1::CreateGameRequest,
) -> Result<v1::CreateGameResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let game = api.control().game_create(&request.try_into()?, &write).await?;
    Ok(v1::CreateGameResponse { game: Some(game.into()) })
}

pub(super) async fn get(
    api: &Api,
    _: &Caller,
    request: v1::GetGameRequest,
) -> Result<v1::GetGameResponse, ApiError> {
    let game = api.control().game_get(id("game_id", request.game_id, GameId)?).await?;
    Ok(v1::GetGameResponse { game: Some(game.into()) })
}

pub(super) async fn list(
    api: &Api,
    _: &Caller,
    request: v1::ListGamesRequest,
) -> Result<v1::ListGamesResponse, ApiError> {
    let stretch = api.0.pages.open("ListGames", &request)?;
    let games = api.control().game_list(stretch.page(GameId)).await?;
    let last = games.last().map(|game| game.id.0);
    Ok(v1::ListGamesResponse {
        next_page_token: api.0.pages.next(&stretch, games.len(), last),
        games: games.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn update(
    api: &Api,
    caller: &Caller,
    mut request: v1::UpdateGameRequest,
) -> Result<v1::UpdateGameResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let game = id("game_id", request.game_id, GameId)?;
    let game = api.control().game_change(game, &request.try_into()?, &write).await?;
    Ok(v1::UpdateGameResponse { game: Some(game.into()) })
}

pub(super) async fn delete(
    api: &Api,
    caller: &Caller,
    mut request: v1::DeleteGameRequest,
) -> Result<v1::DeleteGameResponse, ApiError> {
    let write = write(caller, &mut request)?;
    api.control().game_delete(id("game_id", request.game_id, GameId)?, &write).await?;
    Ok(v1::DeleteGameResponse {})
}

pub(super) async fn create_config(
    api: &Api,
    caller: &Caller,
    mut request: v1::CreateGameConfigRequest,
) -> Result<v1::CreateGameConfigResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let config = api.control().config_create(&request.try_into()?, &write).await?;
    Ok(v1::CreateGameConfigResponse { config: Some(config.into()) })
}

pub(super) async fn get_config(
    api: &Api,
    _: &Caller,
    request: v1::GetGameConfigRequest,
) -> Result<v1::GetGameConfigResponse, ApiError> {
    let config = api.control().config_get(id("config_id", request.config_id, ConfigId)?).await?;
    Ok(v1::GetGameConfigResponse { config: Some(config.into()) })
}

pub(super) async fn list_configs(
    api: &Api,
    _: &Caller,
    request: v1::ListGameConfigsRequest,
) -> Result<v1::ListGameConfigsResponse, ApiError> {
    let game = request.game_id.map(|game| id("game_id", game, GameId)).transpose()?;
    let stretch = api.0.pages.open("ListGameConfigs", &request)?;
    let configs = api.control().config_list(game, stretch.page(ConfigId)).await?;
    let last = configs.last().map(|config| config.id.0);
    Ok(v1::ListGameConfigsResponse {
        next_page_token: api.0.pages.next(&stretch, configs.len(), last),
        configs: configs.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn update_config(
    api: &Api,
    caller: &Caller,
    mut request: v1::UpdateGameConfigRequest,
) -> Result<v1::UpdateGameConfigResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let config = id("config_id", request.config_id, ConfigId)?;
    let config = api.control().config_change(config, &request.try_into()?, &write).await?;
    Ok(v1::UpdateGameConfigResponse { config: Some(config.into()) })
}

pub(super) async fn delete_config(
    api: &Api,
    caller: &Caller,
    mut request: v1::DeleteGameConfigRequest,
) -> Result<v1::DeleteGameConfigResponse, ApiError> {
    let write = write(caller, &mut request)?;
    api.control().config_delete(id("config_id", request.config_id, ConfigId)?, &write).await?;
    Ok(v1::DeleteGameConfigResponse {})
}
