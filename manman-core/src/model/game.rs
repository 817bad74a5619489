//! Games.

use serde::{Deserialize, Serialize};

use super::{Invalid, Labels, Name, text};
use crate::{clock::Timestamp, id::GameId};

/// A game that can be run, whatever its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Game {
    /// Its id.
    pub id: GameId,
    /// Its name, unique in the installation.
    pub name: Name,
    /// Its Steam application id, where it has one: digits.
    pub steam_app_id: Option<String>,
    /// Free metadata.
    pub metadata: Labels,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A game to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGame {
    /// See [`Game::name`].
    pub name: Name,
    /// See [`Game::steam_app_id`].
    pub steam_app_id: Option<String>,
    /// See [`Game::metadata`].
    pub metadata: Labels,
}

/// What a game is to say from now on; its name stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GameChange {
    /// What it is taken to be now, if that matters.
    pub seen: Option<Game>,
    /// See [`Game::steam_app_id`].
    pub steam_app_id: Option<String>,
    /// See [`Game::metadata`].
    pub metadata: Labels,
}

impl NewGame {
    /// Refuses a Steam id that is no number and metadata out of bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        check(self.steam_app_id.as_deref(), &self.metadata)
    }
}

impl GameChange {
    /// Refuses what [`NewGame::validate`] does.
    pub fn validate(&self) -> Result<(), Invalid> {
        check(self.steam_app_id.as_deref(), &self.metadata)
    }
}

fn check(steam_app_id: Option<&str>, metadata: &Labels) -> Result<(), Invalid> {
    if let Some(app) = steam_app_id
        && (app.is_empty() || app.len() > 20 || !app.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(Invalid::new("steam_app_id", "is not 1 to 20 digits"));
    }
    text::check_labels("metadata", metadata)
}
