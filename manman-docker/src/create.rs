//! Making a container exist: its network, its name, and what to do about whoever
//! holds the name already.

use std::time::Duration;

use bollard::query_parameters::CreateContainerOptionsBuilder;
use manman_core::{
    error::{Chain, Error, ErrorKind, Result},
    machine::blocking,
    runtime::{AttemptState, ContainerSpec, NetworkSpec},
};
use tokio::time::sleep;
use tracing::warn;

use crate::{
    backend::DockerRuntime,
    labels::GameLabels,
    map::{self, Place},
    names,
    network::Ensured,
    translate::{is_name_taken, translate},
};

const OPERATION: &str = "create container";

/// How many dead containers of one deployment may cling to their names.
const SUFFIXES: u32 = 9;

/// How often a name is asked for that the engine holds for a container that it does not
/// show, as it does while one is being made or removed, …
const TRIES: u32 = 10;
/// … and how long apart.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a name can be had from its holder.
enum Holder {
    /// It is the container that is asked for.
    Same,
    /// It is dead and clings to the name: take another.
    Stuck,
    /// It went in the meantime: try again.
    Gone,
}

impl DockerRuntime {
    pub(crate) async fn create_container(&self, spec: &ContainerSpec) -> Result<()> {
        let (wanted, data) = (spec.clone(), self.data.clone());
        let places = blocking(OPERATION, move || data.places(&wanted)).await?;
        let _alone = self.lane(spec.run.session).await;
        for listed in self.containers.of_deployment(OPERATION, spec.sgc).await? {
            let holder =
                self.judge(spec, &listed.name, &listed.labels, &listed.state, listed.is_retired())?;
            if matches!(holder, Holder::Same) {
                self.containers.remember(spec.run, &listed.id);
                return Ok(());
            }
        }
        let host = self.host.data_dir(spec.image.as_str()).await?;
        let sources = places.iter().map(|place| host.join(place).to_string_lossy().into_owned()).collect();
        let network = self.networks.ensure(spec.run.session, &spec.network).await?;
        let created = self.create_in(spec, &network, sources).await;
        // Shared networks stay: somebody else may be on the way into one.
        let own = spec.network == NetworkSpec::Session;
        match &created {
            Err(error) if network.created && own && is_refusal(error) => {
                if let Err(error) = self.networks.remove_one(OPERATION, &network.id).await {
                    warn!(error = %Chain(&error), "the network of {} stays behind, to be swept", spec.run);
                }
            }
            _ => {}
        }
        created
    }

    async fn create_in(&self, spec: &ContainerSpec, network: &Ensured, sources: Vec<String>) -> Result<()> {
        let docker = self.client.docker(OPERATION).await?;
        let place =
            Place { owner: &self.owner, network: &network.id, sources, publish: self.config.publish_address };
        let body = map::create_body(spec, &place);
        let (mut suffix, mut tries) = (1, 0);
        while suffix <= SUFFIXES {
            let name = names::container(&self.owner, spec.sgc, suffix);
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            match docker.create_container(Some(options), body.clone()).await {
                Ok(created) => {
                    self.containers.remember(spec.run, &created.id);
                    return Ok(());
                }
                Err(error) if is_name_taken(&error) => match self.holder(spec, &name).await? {
                    Holder::Same => return Ok(()),
                    Holder::Stuck => suffix += 1,
                    Holder::Gone if tries == TRIES => {
                        let message =
                            format!("the engine holds the name {name} for a container that it does not show");
                        return Err(Error::new(ErrorKind::Busy, OPERATION, message));
                    }
                    Holder::Gone => {
                        tries += 1;
                        sleep(PAUSE).await;
                    }
                },
                Err(error) => return Err(translate(OPERATION, error)),
            }
        }
        let message = format!("{SUFFIXES} dead containers of deployment {} cling to their names", spec.sgc);
        Err(Error::new(ErrorKind::Conflict, OPERATION, message))
    }

    /// Who holds a name that is taken: the one way to learn of a create whose answer was lost.
    async fn holder(&self, spec: &ContainerSpec, name: &str) -> Result<Holder> {
        match self.containers.look(OPERATION, name).await? {
            None => Ok(Holder::Gone),
            Some(Ok(held)) => {
                let holder = self.judge(spec, &held.name, &held.labels, &held.state, false)?;
                if matches!(holder, Holder::Same) {
                    self.containers.remember(spec.run, &held.id);
                }
                Ok(holder)
            }
            Some(Err(why)) => {
                let message = format!("the name {name} is held by a container that {why}");
                Err(Error::new(ErrorKind::Conflict, OPERATION, message))
            }
        }
    }

    /// What a container of the deployment means for the one that is to be made.
    fn judge(
        &self,
        spec: &ContainerSpec,
        name: &str,
        labels: &GameLabels,
        state: &AttemptState,
        retired: bool,
    ) -> Result<Holder> {
        let conflict = |message: String| Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        if labels.run == spec.run {
            return match state {
                AttemptState::Removing => conflict(format!("attempt {} is being removed", spec.run)),
                _ if labels.spec_hash != spec.spec_hash => {
                    conflict(format!("attempt {} exists and was made from another spec", spec.run))
                }
                _ => Ok(Holder::Same),
            };
        }
        match state {
            AttemptState::Removing => Ok(Holder::Stuck),
            AttemptState::Created | AttemptState::Exited(_) if retired => Ok(Holder::Gone),
            AttemptState::Created | AttemptState::Exited(_) if self.stuck.why(labels.run).is_some() => {
                Ok(Holder::Stuck)
            }
            _ => conflict(format!(
                "attempt {} of deployment {} is still there: {name} {}",
                labels.run,
                labels.sgc,
                word(state)
            )),
        }
    }
}

/// Whether nothing was made for sure, by nobody: of a call whose answer was lost nobody knows, and
/// who holds the name may be another manager of ours whose container is to come into the network.
fn is_refusal(error: &Error) -> bool {
    use ErrorKind::{Busy, Conflict, Timeout, Unavailable};
    !matches!(error.kind(), Timeout | Unavailable | Busy | Conflict)
}

fn word(state: &AttemptState) -> &'static str {
    match state {
        AttemptState::Created => "was created",
        AttemptState::Running { .. } => "is running",
        AttemptState::Exited(_) => "has ended and was not retired",
        AttemptState::Removing => "is being removed",
    }
}
