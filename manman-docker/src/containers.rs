//! Containers of ours, found by what their labels say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bollard::{
    models::{ContainerInspectResponse, ContainerSummary},
    query_parameters::ListContainersOptionsBuilder,
};
use manman_core::{
    error::Result,
    id::{AttemptId, SgcId},
    runtime::{AttemptState, Foreign, Found, Owner},
};

use crate::{
    client::Client,
    labels::{self, GameLabels, Reading},
    map, names,
    translate::{is_absent, translate},
};

/// A container of ours, as a look at it showed it.
#[derive(Debug)]
pub(crate) struct Container {
    /// The engine's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is at.
    pub state: AttemptState,
    /// What its labels say.
    pub labels: GameLabels,
    /// All that the engine says.
    pub inspected: ContainerInspectResponse,
}

impl Container {
    /// Reads a look at a container; `Err` with the reason if it is not one of our games.
    pub(crate) fn read(owner: &Owner, inspected: ContainerInspectResponse) -> Result<Self, String> {
        let none = HashMap::new();
        let labels = inspected.config.as_ref().and_then(|config| config.labels.as_ref()).unwrap_or(&none);
        match labels::read(owner, labels) {
            Reading::Game(labels) => Ok(Self {
                id: inspected.id.clone().unwrap_or_default(),
                name: map::name(inspected.name.as_deref()),
                state: map::state(&inspected),
                labels,
                inspected,
            }),
            Reading::Foreign(why) => Err(why),
            Reading::Unmarked => Err("was not made by manman".to_owned()),
            Reading::Network(_) | Reading::Job | Reading::Probe => Err("is not a game".to_owned()),
        }
    }

    pub(crate) fn found(&self) -> Found {
        found(&self.labels, self.state.clone(), &self.id)
    }
}

/// A container of ours, as a list shows it: without the detail of a look.
#[derive(Debug)]
pub(crate) struct Listed {
    pub id: String,
    pub name: String,
    pub state: AttemptState,
    pub labels: GameLabels,
}

impl Listed {
    pub(crate) fn found(&self) -> Found {
        found(&self.labels, self.state.clone(), &self.id)
    }

    /// Whether it has given up the deployment's name.
    pub(crate) fn is_retired(&self) -> bool {
        names::is_ended(&self.name, self.labels.run)
    }
}

/// A container with our mark.
#[derive(Debug)]
pub(crate) enum Marked {
    /// One of our games.
    Game(Listed),
    /// Not ours, or unreadable.
    Foreign(Foreign),
    /// A probe of ours, and when it was created, in seconds since 1970.
    Probe { id: String, created: Option<i64> },
}

fn found(labels: &GameLabels, state: AttemptState, id: &str) -> Found {
    Found {
        run: labels.run,
        sgc: labels.sgc,
        state,
        spec_hash: labels.spec_hash.clone(),
        created_at: labels.created_at,
        engine_id: id.to_owned(),
    }
}

/// The containers of one owner.
#[derive(Debug)]
pub(crate) struct Containers {
    client: Arc<Client>,
    owner: Owner,
    /// Where attempts were found last; only to ask the engine once instead of twice.
    ids: Mutex<HashMap<AttemptId, String>>,
}

impl Containers {
    pub(crate) fn new(client: Arc<Client>, owner: Owner) -> Self {
        Self { client, owner, ids: Mutex::default() }
    }

    /// The container of `run`, if there is one.
    pub(crate) async fn find(&self, operation: &'static str, run: AttemptId) -> Result<Option<Container>> {
        let known = self.ids().get(&run).cloned();
        if let Some(id) = known {
            match self.look(operation, &id).await? {
                Some(Ok(container)) if container.labels.run == run => return Ok(Some(container)),
                _ => self.forget(run),
            }
        }
        for listed in self.list(operation, labels::filter_run(&self.owner, run)).await? {
            let Some(id) = listed.id else { continue };
            if let Some(Ok(container)) = self.look(operation, &id).await? {
                self.remember(run, &id);
                return Ok(Some(container));
            }
        }
        Ok(None)
    }

    /// A look at the container of this id or name; `None` if there is none, `Err` with the
    /// reason if it is not ours.
    pub(crate) async fn look(
        &self,
        operation: &'static str,
        id: &str,
    ) -> Result<Option<Result<Container, String>>> {
        match self.client.docker(operation).await?.inspect_container(id, None).await {
            Ok(inspected) => Ok(Some(Container::read(&self.owner, inspected))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(translate(operation, error)),
        }
    }

    /// All containers of a deployment.
    pub(crate) async fn of_deployment(&self, operation: &'static str, sgc: SgcId) -> Result<Vec<Listed>> {
        let filters = labels::filter(&self.owner, &[(labels::TYPE, &labels::GAME), (labels::SGC, &sgc)]);
        let all = self.list(operation, filters).await?.into_iter();
        let games = all.filter_map(|summary| match self.read(summary) {
            Some(Marked::Game(listed)) => Some(listed),
            _ => None,
        });
        Ok(games.collect())
    }

    /// All containers with our mark, whoever's they are.
    pub(crate) async fn marked(&self, operation: &'static str) -> Result<Vec<Marked>> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::TYPE.to_owned()])]);
        let all = self.list(operation, filters).await?;
        Ok(all.into_iter().filter_map(|summary| self.read(summary)).collect())
    }

    fn read(&self, summary: ContainerSummary) -> Option<Marked> {
        let name = map::name(summary.names.as_ref().and_then(|names| names.first()).map(String::as_str));
        let state = map::state_of_summary(&summary);
        let id = summary.id.unwrap_or_default();
        match labels::read(&self.owner, &summary.labels.unwrap_or_default()) {
            Reading::Game(labels) => Some(Marked::Game(Listed { id, name, state, labels })),
            Reading::Foreign(why) => Some(Marked::Foreign(Foreign { name, why })),
            Reading::Probe => Some(Marked::Probe { id, created: summary.created }),
            Reading::Unmarked | Reading::Network(_) | Reading::Job => None,
        }
    }

    pub(crate) async fn list(
        &self,
        operation: &'static str,
        filters: HashMap<String, Vec<String>>,
    ) -> Result<Vec<ContainerSummary>> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let docker = self.client.docker(operation).await?;
        docker.list_containers(Some(options)).await.map_err(|error| translate(operation, error))
    }

    pub(crate) fn remember(&self, run: AttemptId, id: &str) {
        self.ids().insert(run, id.to_owned());
    }

    pub(crate) fn forget(&self, run: AttemptId) {
        self.ids().remove(&run);
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<AttemptId, String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
