//! Tokens.

use manman_core::{id::TokenId, model::token::NewToken};

use super::{Api, write::write};
use crate::api::{auth::Caller, convert::id, errors::ApiError, v1};

pub(super) async fn create(
    api: &Api,
    caller: &Caller,
    mut request: v1::CreateTokenRequest,
) -> Result<v1::CreateTokenResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let new = NewToken::try_from(request)?;
    let token = api.control().token_create(&new, &write).await?;
    tracing::info!(token.id = %token.id, "{} made the token {} ({})", caller.name(), token.name, token.role.as_str());
    Ok(v1::CreateTokenResponse { token: Some(token.into()) })
}

pub(super) async fn list(
    api: &Api,
    _: &Caller,
    request: v1::ListTokensRequest,
) -> Result<v1::ListTokensResponse, ApiError> {
    let stretch = api.0.pages.open("ListTokens", &request)?;
    let tokens = api.control().token_list(stretch.page(TokenId)).await?;
    let last = tokens.last().map(|token| token.id.0);
    Ok(v1::ListTokensResponse {
        next_page_token: api.0.pages.next(&stretch, tokens.len(), last),
        tokens: tokens.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn revoke(
    api: &Api,
    caller: &Caller,
    mut request: v1::RevokeTokenRequest,
) -> Result<v1::RevokeTokenResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let token = id("token_id", request.token_id, TokenId)?;
    let token = api.control().token_revoke(token, &write).await?;
    tracing::info!(token.id = %token.id, "{} revoked the token {}", caller.name(), token.name);
    Ok(v1::RevokeTokenResponse { token: Some(token.into()) })
}
