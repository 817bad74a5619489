//! Tokens.

use std::time::Duration;

use manman_core::{
    id::TokenId,
    model::{Invalid, Name, Role, Token, token::NewToken},
};

use super::{id, needed, parsed, timestamp_in, timestamp_out};
use crate::api::v1;

impl From<&Role> for v1::TokenRole {
    fn from(role: &Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Operator => Self::Operator,
            Role::Viewer => Self::Viewer,
            Role::Host { .. } => Self::Host,
            Role::Join { .. } => Self::Join,
        }
    }
}

fn role_in(role: i32, server: Option<String>) -> Result<Role, Invalid> {
    let server: Option<Name> = server.map(|name| parsed("server_name", &name)).transpose()?;
    let role = match v1::TokenRole::try_from(role) {
        Ok(v1::TokenRole::Admin) => Role::Admin,
        Ok(v1::TokenRole::Operator) => Role::Operator,
        Ok(v1::TokenRole::Viewer) => Role::Viewer,
        Ok(v1::TokenRole::Host) => return Ok(Role::Host { server: needed("server_name", server)? }),
        Ok(v1::TokenRole::Join) => return Ok(Role::Join { server }),
        Ok(v1::TokenRole::Unspecified) => return Err(Invalid::new("role", "is not said")),
        Err(_) => return Err(Invalid::new("role", "is not a role that this version knows")),
    };
    match server {
        None => Ok(role),
        Some(_) => Err(Invalid::new("server_name", format!("is not for the role {}", role.as_str()))),
    }
}

impl From<Token> for v1::Token {
    fn from(token: Token) -> Self {
        Self {
            token_id: token.id.0,
            name: token.name.to_string(),
            role: v1::TokenRole::from(&token.role).into(),
            server_name: token.role.server().map(ToString::to_string),
            created_at: Some(timestamp_out(token.created_at)),
            expires_at: token.expires_at.map(timestamp_out),
            revoked_at: token.revoked_at.map(timestamp_out),
            spent_at: token.spent_at.map(timestamp_out),
        }
    }
}

impl TryFrom<v1::Token> for Token {
    type Error = Invalid;

    fn try_from(token: v1::Token) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("token_id", token.token_id, TokenId)?,
            name: parsed("name", &token.name)?,
            role: role_in(token.role, token.server_name)?,
            created_at: timestamp_in(needed("created_at", token.created_at)?),
            expires_at: token.expires_at.map(timestamp_in),
            revoked_at: token.revoked_at.map(timestamp_in),
            spent_at: token.spent_at.map(timestamp_in),
        })
    }
}

impl TryFrom<v1::CreateTokenRequest> for NewToken {
    type Error = Invalid;

    fn try_from(request: v1::CreateTokenRequest) -> Result<Self, Invalid> {
        let digest = request.token_digest.try_into().map_err(|bytes: Vec<u8>| {
            Invalid::new("token_digest", format!("has {} bytes, 32 are expected", bytes.len()))
        })?;
        Ok(Self {
            name: parsed("name", &request.name)?,
            role: role_in(request.role, request.server_name)?,
            digest,
            valid_for: request.valid_for_seconds.map(|secs| Duration::from_secs(secs.into())),
        })
    }
}
