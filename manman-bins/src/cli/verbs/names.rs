//! Names of things by their ids, for tables.

use std::collections::BTreeMap;

use super::pages;
use crate::cli::{client::Client, failure::Failure};

/// Names by id; where there is none, the id.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<i64, String>);

impl Names {
    /// The name of the thing with this id.
    pub fn of(&self, id: i64) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Of games.
    pub async fn games(client: &Client) -> Result<Self, Failure> {
        Ok(pages::games(client).await?.into_iter().map(|game| (game.game_id, game.name)).collect())
    }

    /// Of configs, as `game/config`.
    pub async fn configs(client: &Client) -> Result<Self, Failure> {
        let games = Self::games(client).await?;
        let configs = pages::configs(client, None).await?;
        let named = |config: crate::api::v1::GameConfig| {
            (config.config_id, format!("{}/{}", games.of(config.game_id), config.name))
        };
        Ok(configs.into_iter().map(named).collect())
    }

    /// Of deployments.
    pub async fn deployments(client: &Client) -> Result<Self, Failure> {
        let deployments = pages::deployments(client, None).await?;
        Ok(deployments.into_iter().map(|one| (one.server_game_config_id, one.name)).collect())
    }

    /// Of servers.
    pub async fn servers(client: &Client) -> Result<Self, Failure> {
        Ok(pages::servers(client).await?.into_iter().map(|server| (server.server_id, server.name)).collect())
    }
}

impl FromIterator<(i64, String)> for Names {
    fn from_iter<I: IntoIterator<Item = (i64, String)>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}
