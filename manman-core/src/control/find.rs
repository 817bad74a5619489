//! Things by what people call them: a name or an id. No name is all digits, so the two
//! cannot be mistaken.

use std::str::FromStr;

use super::{Control, found};
use crate::{
    model::{Deployment, Game, GameConfig, Invalid, Server},
    store::DeedError,
};

/// The id that `text` is, if it is one.
fn id<Id: FromStr>(text: &str) -> Option<Id> {
    text.parse().ok()
}

impl Control {
    /// A server by name or id.
    pub async fn server_find(&self, text: &str) -> Result<Server, DeedError> {
        match id(text) {
            Some(id) => self.server_get(id).await,
            None => found("server", text, self.store.server_by_name(text).await?),
        }
    }

    /// A game by name or id.
    pub async fn game_find(&self, text: &str) -> Result<Game, DeedError> {
        if let Some(id) = id(text) {
            return self.game_get(id).await;
        }
        found("game", text, self.store.game_by_name(text).await?)
    }

    /// A config by id, by `game/config`, or by its name where only one game has it.
    ///
    /// # Errors
    /// [`DeedError::Invalid`] if several games have a config of that name.
    pub async fn config_find(&self, text: &str) -> Result<GameConfig, DeedError> {
        if let Some(id) = id(text) {
            return self.config_get(id).await;
        }
        let (game, name) = match text.split_once('/') {
            Some((game, name)) => (Some(self.game_find(game).await?.id), name),
            None => (None, text),
        };
        let hits = self.store.config_by_name(game, name).await?;
        if hits.len() > 1 {
            let problem =
                format!("{} games have a config named {name}: say game/{name} or its id", hits.len());
            return Err(Invalid::new("config", problem).into());
        }
        found("config", text, hits.into_iter().next())
    }

    /// A deployment by name or id.
    pub async fn deployment_find(&self, text: &str) -> Result<Deployment, DeedError> {
        if let Some(id) = id(text) {
            return self.deployment_get(id).await;
        }
        found("deployment", text, self.store.deployment_by_name(text).await?)
    }
}
