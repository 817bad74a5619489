//! Looking at an installation without changing it, for `doctor` and `uninstall`: whether or
//! not it is up, readable or there at all.

mod lock;
mod mask;
mod probe;
mod record;
mod tree;

use std::{ffi::OsString, path::PathBuf};

pub use lock::holder;
pub use mask::{masked, value};
pub use probe::{LIMIT, blocking, within};
pub use record::of_server;
pub use tree::{Entry, owner, tree_size};

use super::grammar::{Common, LookArgs};
use crate::{
    compose::{self, RuntimeKind},
    config::{
        self, DEFAULT_DOCKER_SOCKET, Environment, Places, Problem, Process, RuntimeAsk, UpConfig, UpGiven,
    },
};

/// The installation that is looked at.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its data directory.
    pub data_dir: PathBuf,
    /// The configuration, or what is wrong with it.
    pub config: Result<UpConfig, Vec<Problem>>,
}

impl Look {
    /// The installation that `manman up` would serve if it was said the same.
    pub async fn at(common: &Common, args: &LookArgs) -> Self {
        let text = |path: Option<&PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
        let given = UpGiven {
            config: text(args.config.as_ref()),
            database: args.database.clone(),
            data_dir: text(common.data_dir.as_ref()),
            plaintext: common.plaintext,
            ..UpGiven::default()
        };
        let data_dir = config::data_dir(given.data_dir.as_deref(), &Process)
            .or_else(|_| config::data_dir(None, &Nothing))
            .unwrap_or_default();
        // It reads files and may ask for names: neither has to come to an end.
        let read = blocking(move || Ok(UpConfig::read(&given, &Process))).await;
        let config = match read {
            Ok(Ok(config)) => Ok(config),
            Ok(Err(wrong)) => Err(wrong.0),
            Err(problem) => Err(vec![Problem {
                place: "configuration".to_owned(),
                problem: format!("cannot be read: {problem}"),
                remedy: "see that its files and names can be reached".to_owned(),
            }]),
        };
        Self { data_dir, config }
    }

    /// What is in its data directory.
    pub fn places(&self) -> Places<'_> {
        Places(&self.data_dir)
    }

    /// What runs the games: what was asked for, else what has run them before.
    pub fn runtime(&self) -> Option<RuntimeKind> {
        let asked = self.config.as_ref().map_or(RuntimeAsk::Auto, |config| config.machine.runtime);
        match asked {
            RuntimeAsk::Docker => Some(RuntimeKind::Docker),
            RuntimeAsk::Process => Some(RuntimeKind::Process),
            RuntimeAsk::Auto => compose::recorded(&self.places().runtime()).ok().flatten(),
        }
    }

    /// The engine's socket, also where other parts of the configuration cannot be used.
    pub fn docker_socket(&self) -> PathBuf {
        let said = || Process.get("DOCKER_SOCKET").map(PathBuf::from).filter(|path| path.is_absolute());
        match &self.config {
            Ok(config) => config.machine.docker_socket.clone(),
            Err(_) => said().unwrap_or_else(|| PathBuf::from(DEFAULT_DOCKER_SOCKET)),
        }
    }
}

/// An environment in which nothing is set.
struct Nothing;

impl Environment for Nothing {
    fn get(&self, _: &str) -> Option<OsString> {
        None
    }
}
