//! Games and how to run them.

use async_trait::async_trait;
use serde_json::json;

use super::{MemoryStore, books::missing, deployments::rebind};
use crate::{
    error::Result,
    id::{ConfigId, GameId},
    model::{
        Game, GameConfig,
        config::{ConfigChange, NewConfig},
        game::{GameChange, NewGame},
    },
    store::{DeedError, GameStore, Page, Write, decide},
};

#[async_trait]
impl GameStore for MemoryStore {
    async fn game_create(&self, new: &NewGame, write: &Write) -> Result<Game, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            new.validate()?;
            if books.games.values().any(|game| game.name == new.name) {
                return Err(DeedError::NameTaken { noun: "game", name: new.name.to_string() });
            }
            books.last.game += 1;
            let game = Game {
                id: GameId(books.last.game),
                name: new.name.clone(),
                steam_app_id: new.steam_app_id.clone(),
                metadata: new.metadata.clone(),
                created_at: now,
            };
            books.games.insert(game.id, game.clone());
            books.sign(write, "game_create", format!("game {}", game.id), json!(game), now);
            Ok(game)
        })
    }

    async fn game_get(&self, id: GameId) -> Result<Option<Game>> {
        Ok(self.read(|books| books.games.get(&id).cloned()))
    }

    async fn game_by_name(&self, name: &str) -> Result<Option<Game>> {
        Ok(self.read(|books| books.games.values().find(|game| game.name.as_str() == name).cloned()))
    }

    async fn game_list(&self, page: Page<GameId>) -> Result<Vec<Game>> {
        Ok(self.read(|books| super::page_of(&books.games, page, |_| true)))
    }

    async fn game_change(&self, id: GameId, change: &GameChange, write: &Write) -> Result<Game, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            change.validate()?;
            let game = books.games.get_mut(&id).ok_or_else(|| missing("game", id))?;
            decide::same_as_seen("game", id, change.seen.as_ref(), game)?;
            game.steam_app_id.clone_from(&change.steam_app_id);
            game.metadata.clone_from(&change.metadata);
            let game = game.clone();
            books.sign(write, "game_change", format!("game {id}"), json!(game), now);
            Ok(game)
        })
    }

    async fn game_delete(&self, id: GameId, write: &Write) -> Result<(), DeedError> {
        self.deed(|books, now| {
            if books.recall::<()>(write, now)?.is_some() {
                return Ok(());
            }
            if !books.games.contains_key(&id) {
                return Err(missing("game", id));
            }
            if let Some(config) = books.configs.values().find(|config| config.game == id) {
                let by = format!("config {}", config.id);
                return Err(DeedError::InUse { noun: "game", id: id.to_string(), by });
            }
            books.games.remove(&id);
            books.sign(write, "game_delete", format!("game {id}"), json!(null), now);
            Ok(())
        })
    }

    async fn config_create(&self, new: &NewConfig, write: &Write) -> Result<GameConfig, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            new.body.validate()?;
            if !books.games.contains_key(&new.game) {
                return Err(missing("game", new.game));
            }
            if books.configs.values().any(|config| config.game == new.game && config.name == new.name) {
                return Err(DeedError::NameTaken { noun: "config", name: new.name.to_string() });
            }
            books.last.config += 1;
            let config = GameConfig {
                id: ConfigId(books.last.config),
                game: new.game,
                name: new.name.clone(),
                body: new.body.clone(),
                created_at: now,
            };
            books.configs.insert(config.id, config.clone());
            books.sign(write, "config_create", format!("config {}", config.id), json!(config), now);
            Ok(config)
        })
    }

    async fn config_get(&self, id: ConfigId) -> Result<Option<GameConfig>> {
        Ok(self.read(|books| books.configs.get(&id).cloned()))
    }

    async fn config_by_name(&self, game: Option<GameId>, name: &str) -> Result<Vec<GameConfig>> {
        Ok(self.read(|books| {
            let named = books.configs.values().filter(|config| config.name.as_str() == name);
            named.filter(|config| game.is_none_or(|game| config.game == game)).cloned().collect()
        }))
    }

    async fn config_list(&self, game: Option<GameId>, page: Page<ConfigId>) -> Result<Vec<GameConfig>> {
        let wanted = |config: &GameConfig| game.is_none_or(|game| config.game == game);
        Ok(self.read(|books| super::page_of(&books.configs, page, wanted)))
    }

    async fn config_change(
        &self,
        id: ConfigId,
        change: &ConfigChange,
        write: &Write,
    ) -> Result<GameConfig, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            change.body.validate()?;
            let before = books.configs.get(&id).ok_or_else(|| missing("config", id))?;
            decide::same_as_seen("config", id, change.seen.as_ref(), before)?;
            let (mut ports, mut asked) = (books.ports.clone(), change.ports.clone());
            let mut moved = Vec::new();
            for deployment in books.deployments.values().filter(|deployment| deployment.config == id) {
                let asked = asked.remove(&deployment.id).unwrap_or_default();
                if let Some(bindings) = books.rebound(&ports, deployment, &change.body.ports, &asked)? {
                    rebind(&mut ports, deployment, &bindings, now);
                    moved.push((deployment.id, bindings));
                }
            }
            if let Some((other, _)) = asked.first_key_value() {
                return Err(missing("deployment of this config", other));
            }
            books.ports = ports;
            for (sgc, bindings) in moved {
                if let Some(deployment) = books.deployments.get_mut(&sgc) {
                    deployment.ports = bindings;
                }
            }
            let config = books.configs.get_mut(&id).ok_or_else(|| missing("config", id))?;
            config.body = change.body.clone();
            let config = config.clone();
            books.sign(write, "config_change", format!("config {id}"), json!(config), now);
            Ok(config)
        })
    }

    async fn config_delete(&self, id: ConfigId, write: &Write) -> Result<(), DeedError> {
        self.deed(|books, now| {
            if books.recall::<()>(write, now)?.is_some() {
                return Ok(());
            }
            if !books.configs.contains_key(&id) {
                return Err(missing("config", id));
            }
            if let Some(user) = books.deployments.values().find(|deployment| deployment.config == id) {
                let by = format!("deployment {}", user.id);
                return Err(DeedError::InUse { noun: "config", id: id.to_string(), by });
            }
            books.configs.remove(&id);
            books.sign(write, "config_delete", format!("config {id}"), json!(null), now);
            Ok(())
        })
    }
}
