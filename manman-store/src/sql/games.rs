//! Games and how to run them.

use async_trait::async_trait;
use manman_core::{
    error::Result,
    id::{ConfigId, GameId},
    model::{
        Game, GameConfig,
        config::{ConfigChange, NewConfig},
        game::{GameChange, NewGame},
    },
    store::{DeedError, GameStore, Page, Write, decide},
};
use serde_json::json;

use super::{
    SqlStore,
    deed::{Deed, Scope, missing},
    map::{self, Columns, limit},
};

impl Deed<'_> {
    async fn game(&mut self, id: GameId) -> Result<Game, DeedError> {
        let query = sqlx::query("SELECT * FROM games WHERE id = $1 AND deleted_at IS NULL").bind(id.0);
        let row = self.row(query).await?.ok_or_else(|| missing("game", id))?;
        Ok(map::game(&row)?)
    }

    pub(super) async fn config(&mut self, id: ConfigId) -> Result<GameConfig, DeedError> {
        let query = sqlx::query("SELECT * FROM game_configs WHERE id = $1 AND deleted_at IS NULL").bind(id.0);
        let row = self.row(query).await?.ok_or_else(|| missing("config", id))?;
        Ok(map::config(&row)?)
    }
}

#[async_trait]
impl GameStore for SqlStore {
    async fn game_create(&self, new: &NewGame, write: &Write) -> Result<Game, DeedError> {
        again!(async {
            let mut deed = self.deed("game_create", Scope::All).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            new.validate()?;
            let sql = "INSERT INTO games (name, steam_app_id, metadata, created_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING RETURNING id";
            let query = sqlx::query(sql)
                .bind(new.name.to_string())
                .bind(new.steam_app_id.clone())
                .bind(map::json(&new.metadata)?)
                .bind(deed.now.as_micros());
            let taken = || DeedError::NameTaken { noun: "game", name: new.name.to_string() };
            let id = GameId(deed.insert(query).await?.ok_or_else(taken)?);
            let game = deed.game(id).await?;
            deed.sign(write, format!("game {id}"), json!(game)).await?;
            deed.commit().await?;
            Ok(game)
        })
    }

    async fn game_get(&self, id: GameId) -> Result<Option<Game>> {
        let query = sqlx::query("SELECT * FROM games WHERE id = $1 AND deleted_at IS NULL").bind(id.0);
        self.row("game_get", query).await?.as_ref().map(map::game).transpose()
    }

    async fn game_by_name(&self, name: &str) -> Result<Option<Game>> {
        let query = sqlx::query("SELECT * FROM games WHERE name = $1 AND deleted_at IS NULL");
        let row = self.row("game_by_name", query.bind(name.to_owned())).await?;
        row.as_ref().map(map::game).transpose()
    }

    async fn game_list(&self, page: Page<GameId>) -> Result<Vec<Game>> {
        let sql = "SELECT * FROM games WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2";
        let query = sqlx::query(sql).bind(page.after.map_or(0, |id| id.0)).bind(limit(page.limit));
        self.rows("game_list", query).await?.iter().map(map::game).collect()
    }

    async fn game_change(&self, id: GameId, change: &GameChange, write: &Write) -> Result<Game, DeedError> {
        again!(async {
            let mut deed = self.deed("game_change", Scope::All).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            change.validate()?;
            decide::same_as_seen("game", id, change.seen.as_ref(), &deed.game(id).await?)?;
            let query = sqlx::query("UPDATE games SET steam_app_id = $1, metadata = $2 WHERE id = $3")
                .bind(change.steam_app_id.clone())
                .bind(map::json(&change.metadata)?)
                .bind(id.0);
            deed.run(query).await?;
            let game = deed.game(id).await?;
            deed.sign(write, format!("game {id}"), json!(game)).await?;
            deed.commit().await?;
            Ok(game)
        })
    }

    async fn game_delete(&self, id: GameId, write: &Write) -> Result<(), DeedError> {
        again!(async {
            let mut deed = self.deed("game_delete", Scope::All).await?;
            if deed.recall::<()>(write).await?.is_some() {
                return Ok(());
            }
            deed.game(id).await?;
            let sql =
                "SELECT id FROM game_configs WHERE game_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1";
            if let Some(row) = deed.row(sqlx::query(sql).bind(id.0)).await? {
                let by = format!("config {}", row.int("id")?);
                return Err(DeedError::InUse { noun: "game", id: id.to_string(), by });
            }
            let query = sqlx::query("UPDATE games SET deleted_at = $1 WHERE id = $2");
            deed.run(query.bind(deed.now.as_micros()).bind(id.0)).await?;
            deed.sign(write, format!("game {id}"), json!(null)).await?;
            Ok(deed.commit().await?)
        })
    }

    async fn config_create(&self, new: &NewConfig, write: &Write) -> Result<GameConfig, DeedError> {
        again!(async {
            let mut deed = self.deed("config_create", Scope::All).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            new.body.validate()?;
            deed.game(new.game).await?;
            let sql = "INSERT INTO game_configs (game_id, name, body, created_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING RETURNING id";
            let query = sqlx::query(sql)
                .bind(new.game.0)
                .bind(new.name.to_string())
                .bind(map::json(&new.body)?)
                .bind(deed.now.as_micros());
            let taken = || DeedError::NameTaken { noun: "config", name: new.name.to_string() };
            let id = ConfigId(deed.insert(query).await?.ok_or_else(taken)?);
            let config = deed.config(id).await?;
            deed.sign(write, format!("config {id}"), json!(config)).await?;
            deed.commit().await?;
            Ok(config)
        })
    }

    async fn config_get(&self, id: ConfigId) -> Result<Option<GameConfig>> {
        let query = sqlx::query("SELECT * FROM game_configs WHERE id = $1 AND deleted_at IS NULL").bind(id.0);
        self.row("config_get", query).await?.as_ref().map(map::config).transpose()
    }

    async fn config_by_name(&self, game: Option<GameId>, name: &str) -> Result<Vec<GameConfig>> {
        let sql = "SELECT * FROM game_configs
            WHERE name = $1 AND ($2 IS NULL OR game_id = $2) AND deleted_at IS NULL ORDER BY id";
        let query = sqlx::query(sql).bind(name.to_owned()).bind(game.map(|id| id.0));
        self.rows("config_by_name", query).await?.iter().map(map::config).collect()
    }

    async fn config_list(&self, game: Option<GameId>, page: Page<ConfigId>) -> Result<Vec<GameConfig>> {
        let sql = "SELECT * FROM game_configs
            WHERE id > $1 AND ($2 IS NULL OR game_id = $2) AND deleted_at IS NULL ORDER BY id LIMIT $3";
        let query = sqlx::query(sql)
            .bind(page.after.map_or(0, |id| id.0))
            .bind(game.map(|id| id.0))
            .bind(limit(page.limit));
        self.rows("config_list", query).await?.iter().map(map::config).collect()
    }

    async fn config_change(
        &self,
        id: ConfigId,
        change: &ConfigChange,
        write: &Write,
    ) -> Result<GameConfig, DeedError> {
        again!(async {
            let mut deed = self.deed("config_change", Scope::All).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            change.body.validate()?;
            decide::same_as_seen("config", id, change.seen.as_ref(), &deed.config(id).await?)?;
            let query = sqlx::query("UPDATE game_configs SET body = $1 WHERE id = $2");
            deed.run(query.bind(map::json(&change.body)?).bind(id.0)).await?;
            let sql = "SELECT * FROM deployments WHERE config_id = $1 AND deleted_at IS NULL ORDER BY id";
            let mut asked = change.ports.clone();
            for row in deed.rows(sqlx::query(sql).bind(id.0)).await? {
                let deployment = map::deployment(&row)?;
                let asked = asked.remove(&deployment.id).unwrap_or_default();
                deed.rebind(&deployment, &change.body.ports, &asked).await?;
            }
            if let Some((other, _)) = asked.first_key_value() {
                return Err(missing("deployment of this config", other));
            }
            let config = deed.config(id).await?;
            deed.sign(write, format!("config {id}"), json!(config)).await?;
            deed.commit().await?;
            Ok(config)
        })
    }

    async fn config_delete(&self, id: ConfigId, write: &Write) -> Result<(), DeedError> {
        again!(async {
            let mut deed = self.deed("config_delete", Scope::All).await?;
            if deed.recall::<()>(write).await?.is_some() {
                return Ok(());
            }
            deed.config(id).await?;
            let sql =
                "SELECT id FROM deployments WHERE config_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1";
            if let Some(row) = deed.row(sqlx::query(sql).bind(id.0)).await? {
                let by = format!("deployment {}", row.int("id")?);
                return Err(DeedError::InUse { noun: "config", id: id.to_string(), by });
            }
            let query = sqlx::query("UPDATE game_configs SET deleted_at = $1 WHERE id = $2");
            deed.run(query.bind(deed.now.as_micros()).bind(id.0)).await?;
            deed.sign(write, format!("config {id}"), json!(null)).await?;
            Ok(deed.commit().await?)
        })
    }
}
