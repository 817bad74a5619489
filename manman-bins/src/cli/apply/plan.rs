//! What has to be done so that what is there is what is declared. No I/O: the same input,
//! the same plan.

use std::collections::{BTreeMap, BTreeSet};

use manman_core::model::ConfigBody;

use super::{
    document::{self, Declared},
    facts::{Difference, Fact, Facts, differences, facts},
    place::Problems,
};
use crate::cli::{client::Client, failure::Failure};
use crate::{api::v1, cli::verbs::pages};

mod deployments;
mod ports;
#[cfg(test)]
mod tests;

/// What the server has.
#[derive(Debug, Default)]
pub struct There {
    /// Its games.
    pub games: Vec<v1::Game>,
    /// Its configs.
    pub configs: Vec<v1::GameConfig>,
    /// Its deployments.
    pub deployments: Vec<v1::ServerGameConfig>,
    /// Its servers.
    pub servers: Vec<v1::Server>,
    /// The live session of each deployment that has one.
    pub live: BTreeMap<i64, i64>,
}

impl There {
    /// Asks for all of it.
    pub async fn fetch(client: &Client) -> Result<Self, Failure> {
        let live = v1::ListSessionsRequest { live_only: true, ..Default::default() };
        let live = pages::sessions(client, &live, usize::MAX).await?;
        Ok(Self {
            games: pages::games(client).await?,
            configs: pages::configs(client, None).await?,
            deployments: pages::deployments(client, None).await?,
            servers: pages::servers(client).await?,
            live: live.iter().map(|session| (session.server_game_config_id, session.session_id)).collect(),
        })
    }

    fn game(&self, name: &str) -> Option<&v1::Game> {
        self.games.iter().find(|game| game.name == name)
    }

    /// `game/config`.
    pub fn full_name(&self, config: &v1::GameConfig) -> String {
        let game = self.games.iter().find(|game| game.game_id == config.game_id);
        format!("{}/{}", game.map_or("?", |game| game.name.as_str()), config.name)
    }

    fn config(&self, full_name: &str) -> Option<&v1::GameConfig> {
        let (game, name) = full_name.split_once('/')?;
        let game = self.game(game)?.game_id;
        self.configs.iter().find(|config| config.game_id == game && config.name == name)
    }

    fn server_name(&self, id: i64) -> String {
        let server = self.servers.iter().find(|server| server.server_id == id);
        server.map_or_else(|| id.to_string(), |server| server.name.clone())
    }
}

/// What has to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The changes, in the order in which they are made.
    pub changes: Vec<Change>,
    /// What is as it is declared.
    pub unchanged: usize,
    /// What cannot be done, each with what to do about it.
    pub refused: Vec<String>,
    /// How many games, configs and deployments there are that the files do not name.
    pub left: [usize; 3],
}

/// One change.
#[derive(Debug, PartialEq)]
pub struct Change {
    /// `game`, `config` or `deployment`.
    pub noun: &'static str,
    /// Its name; of a config `game/config`.
    pub name: String,
    /// Whether it is made; changed otherwise.
    pub is_new: bool,
    /// What differs; of a new one nothing.
    pub differences: Vec<Difference>,
    /// What comes with it.
    pub notes: Vec<String>,
    /// What is to be asked of the server.
    pub deed: Deed,
}

/// What is to be asked of the server. Ids that are not known yet are 0 until then; the
/// names beside the requests say whose they are.
#[derive(Debug, PartialEq)]
pub enum Deed {
    /// Make a game.
    CreateGame(v1::CreateGameRequest),
    /// Change a game.
    UpdateGame(v1::UpdateGameRequest),
    /// Make a config of a game of this name.
    CreateConfig(String, Box<v1::CreateGameConfigRequest>),
    /// Change a config.
    UpdateConfig(Box<v1::UpdateGameConfigRequest>),
    /// Deploy the config of this name.
    Deploy(String, v1::DeployGameConfigRequest),
    /// Change a deployment, which is to run the config of this name.
    UpdateDeployment(String, v1::UpdateServerGameConfigRequest),
}

/// Plans. References to nothing are noted as problems.
pub fn plan(declared: &Declared, there: &There, problems: &mut Problems) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    for game in &declared.games {
        plan.game(game, there);
    }
    let configs = configs(declared, there)?;
    for game in &declared.games {
        for config in &game.configs {
            if let Some(body) = &config.body {
                plan.config(game.name.as_str(), config.name.as_str(), body, there)?;
            }
        }
    }
    deployments::plan(&mut plan, declared, there, &configs, problems);
    plan.left = left(declared, there);
    Ok(plan)
}

/// All configs that there will be, by their full names; one that is declared wrong is unknown.
type Configs = BTreeMap<String, Option<ConfigBody>>;

fn configs(declared: &Declared, there: &There) -> Result<Configs, Failure> {
    let mut configs = Configs::new();
    for config in &there.configs {
        configs.insert(there.full_name(config), Some(body_of(config)?));
    }
    for game in &declared.games {
        for config in &game.configs {
            configs.insert(format!("{}/{}", game.name, config.name), config.body.clone());
        }
    }
    Ok(configs)
}

fn body_of(config: &v1::GameConfig) -> Result<ConfigBody, Failure> {
    let body = config.body.clone().unwrap_or_default();
    ConfigBody::try_from(body).map_err(|invalid| {
        Failure::failed(format!("config {} of the server cannot be understood: {invalid}", config.name))
            .remedy("Use a client of the server's version.")
    })
}

impl Plan {
    fn game(&mut self, game: &document::Game, there: &There) {
        let name = game.name.to_string();
        let Some(old) = there.game(&name) else {
            let deed = Deed::CreateGame(v1::CreateGameRequest {
                name: name.clone(),
                steam_app_id: game.steam_app_id.clone(),
                metadata: game.metadata.clone().unwrap_or_default(),
                ..Default::default()
            });
            return self.change("game", name, true, Vec::new(), deed);
        };
        let steam_app_id = game.steam_app_id.clone().or_else(|| old.steam_app_id.clone());
        let metadata = game.metadata.clone().unwrap_or_else(|| old.metadata.clone());
        let says = |app: &Option<String>, metadata: &BTreeMap<String, String>| {
            let facts = metadata.iter().map(|(key, value)| (format!("metadata.{key}"), Fact::of(key, value)));
            let mut facts: Facts = facts.collect();
            facts.extend(app.clone().map(|app| ("steam_app_id".to_owned(), Fact::open(app))));
            facts
        };
        let differing = differences(&says(&old.steam_app_id, &old.metadata), &says(&steam_app_id, &metadata));
        let deed = Deed::UpdateGame(v1::UpdateGameRequest {
            game_id: old.game_id,
            steam_app_id,
            metadata,
            seen: Some(old.clone()),
            ..Default::default()
        });
        self.change("game", name, false, differing, deed);
    }

    fn config(&mut self, game: &str, name: &str, body: &ConfigBody, there: &There) -> Result<(), Failure> {
        let full_name = format!("{game}/{name}");
        let Some(old) = there.config(&full_name) else {
            let request = v1::CreateGameConfigRequest {
                name: name.to_owned(),
                body: Some(body.clone().into()),
                ..Default::default()
            };
            self.change(
                "config",
                full_name,
                true,
                Vec::new(),
                Deed::CreateConfig(game.to_owned(), Box::new(request)),
            );
            return Ok(());
        };
        let differing = differences(&facts(&body_of(old)?), &facts(body));
        let request = v1::UpdateGameConfigRequest {
            config_id: old.config_id,
            body: Some(body.clone().into()),
            seen: Some(old.clone()),
            ..Default::default()
        };
        self.change("config", full_name, false, differing, Deed::UpdateConfig(Box::new(request)));
        Ok(())
    }

    /// Notes a change; one in which nothing differs is none.
    fn change(
        &mut self,
        noun: &'static str,
        name: String,
        is_new: bool,
        differences: Vec<Difference>,
        deed: Deed,
    ) {
        if !is_new && differences.is_empty() {
            self.unchanged += 1;
            return;
        }
        self.changes.push(Change { noun, name, is_new, differences, notes: Vec::new(), deed });
    }
}

fn left(declared: &Declared, there: &There) -> [usize; 3] {
    let games: BTreeSet<_> = declared.games.iter().map(|game| game.name.to_string()).collect();
    let configs = declared
        .games
        .iter()
        .flat_map(|game| game.configs.iter().map(|config| format!("{}/{}", game.name, config.name)));
    let configs: BTreeSet<_> = configs.collect();
    let deployments: BTreeSet<_> = declared.deployments.iter().map(|one| one.name.as_str()).collect();
    [
        there.games.iter().filter(|game| !games.contains(&game.name)).count(),
        there.configs.iter().filter(|config| !configs.contains(&there.full_name(config))).count(),
        there.deployments.iter().filter(|one| !deployments.contains(one.name.as_str())).count(),
    ]
}
