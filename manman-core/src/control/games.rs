//! Games and how to run them.

use super::{Control, check_page, found};
use crate::{
    id::{ConfigId, GameId},
    model::{
        Game, GameConfig,
        config::{ConfigChange, NewConfig},
        game::{GameChange, NewGame},
    },
    store::{DeedError, Page, Write},
};

impl Control {
    /// Creates a game.
    ///
    /// # Errors
    /// [`DeedError::NameTaken`].
    pub async fn game_create(&self, new: &NewGame, write: &Write) -> Result<Game, DeedError> {
        self.store.game_create(new, write).await
    }

    /// One game.
    pub async fn game_get(&self, id: GameId) -> Result<Game, DeedError> {
        found("game", id, self.store.game_get(id).await?)
    }

    /// Games by id.
    pub async fn game_list(&self, page: Page<GameId>) -> Result<Vec<Game>, DeedError> {
        check_page(&page)?;
        Ok(self.store.game_list(page).await?)
    }

    /// Changes what a game says; its name stays.
    pub async fn game_change(
        &self,
        id: GameId,
        change: &GameChange,
        write: &Write,
    ) -> Result<Game, DeedError> {
        self.store.game_change(id, change, write).await
    }

    /// Deletes a game without configs.
    ///
    /// # Errors
    /// [`DeedError::InUse`] while it has configs.
    pub async fn game_delete(&self, id: GameId, write: &Write) -> Result<(), DeedError> {
        self.store.game_delete(id, write).await
    }

    /// Creates a config of a game.
    ///
    /// # Errors
    /// [`DeedError::Invalid`] names the field of a body that could not run;
    /// [`DeedError::NameTaken`].
    pub async fn config_create(&self, new: &NewConfig, write: &Write) -> Result<GameConfig, DeedError> {
        new.body.validate()?;
        self.store.config_create(new, write).await
    }

    /// One config.
    pub async fn config_get(&self, id: ConfigId) -> Result<GameConfig, DeedError> {
        found("config", id, self.store.config_get(id).await?)
    }

    /// Configs by id, of one game or all.
    pub async fn config_list(
        &self,
        game: Option<GameId>,
        page: Page<ConfigId>,
    ) -> Result<Vec<GameConfig>, DeedError> {
        check_page(&page)?;
        Ok(self.store.config_list(game, page).await?)
    }

    /// Changes how a config runs its game, from the next start on: a session that lives
    /// keeps what it began with. Its deployments give up and take ports as it needs them.
    ///
    /// # Errors
    /// [`DeedError::Invalid`] names the field of a body that could not run;
    /// [`DeedError::SessionLive`] if a deployment would get other ports while a session of
    /// it has not ended; [`DeedError::PortTaken`].
    pub async fn config_change(
        &self,
        id: ConfigId,
        change: &ConfigChange,
        write: &Write,
    ) -> Result<GameConfig, DeedError> {
        change.body.validate()?;
        self.store.config_change(id, change, write).await
    }

    /// Deletes a config that nothing is deployed from.
    ///
    /// # Errors
    /// [`DeedError::InUse`] while deployments use it.
    pub async fn config_delete(&self, id: ConfigId, write: &Write) -> Result<(), DeedError> {
        self.store.config_delete(id, write).await
    }
}
