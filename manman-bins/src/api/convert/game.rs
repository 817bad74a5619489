//! Games.

use manman_core::{
    id::GameId,
    model::{
        Game, Invalid,
        game::{GameChange, NewGame},
    },
};

use super::{id, needed, parsed, seen_in, timestamp_in, timestamp_out};
use crate::api::v1;

impl From<Game> for v1::Game {
    fn from(game: Game) -> Self {
        Self {
            game_id: game.id.0,
            name: game.name.into(),
            steam_app_id: game.steam_app_id,
            metadata: game.metadata,
            created_at: Some(timestamp_out(game.created_at)),
        }
    }
}

impl TryFrom<v1::Game> for Game {
    type Error = Invalid;

    fn try_from(game: v1::Game) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("game_id", game.game_id, GameId)?,
            name: parsed("name", &game.name)?,
            steam_app_id: game.steam_app_id,
            metadata: game.metadata,
            created_at: timestamp_in(needed("created_at", game.created_at)?),
        })
    }
}

impl TryFrom<v1::CreateGameRequest> for NewGame {
    type Error = Invalid;

    fn try_from(request: v1::CreateGameRequest) -> Result<Self, Invalid> {
        let new = Self {
            name: parsed("name", &request.name)?,
            steam_app_id: request.steam_app_id,
            metadata: request.metadata,
        };
        new.validate()?;
        Ok(new)
    }
}

impl TryFrom<v1::UpdateGameRequest> for GameChange {
    type Error = Invalid;

    fn try_from(request: v1::UpdateGameRequest) -> Result<Self, Invalid> {
        let change = Self {
            seen: seen_in(request.seen)?,
            steam_app_id: request.steam_app_id,
            metadata: request.metadata,
        };
        change.validate()?;
        Ok(change)
    }
}

impl From<NewGame> for v1::CreateGameRequest {
    fn from(new: NewGame) -> Self {
        Self {
            name: new.name.into(),
            steam_app_id: new.steam_app_id,
            metadata: new.metadata,
            idempotency_key: String::new(),
        }
    }
}
