//! Starting, ending, retiring and removing a container.

use std::time::Duration;

use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    StatsOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use manman_core::{
    error::{Chain, Error, ErrorKind, Result},
    id::AttemptId,
    runtime::{AttemptState, Exit, Stats},
};
use tokio::time::sleep;
use tracing::warn;

use crate::{
    backend::DockerRuntime,
    containers::Container,
    map, names,
    translate::{held_port, is_absent, is_exit, is_not_running, translate},
};

/// From one look at a container that is about to end to the next.
const PAUSE: Duration = Duration::from_millis(50);

/// The exit of one that never ran, as engines write it for a start that failed.
const NEVER_RAN: i32 = 128;

impl DockerRuntime {
    pub(crate) async fn start_container(&self, run: AttemptId) -> Result<()> {
        let operation = "start container";
        let conflict = |message: String| Err(Error::new(ErrorKind::Conflict, operation, message));
        let container = self.existing(operation, run).await?;
        match container.state {
            AttemptState::Running { .. } => return Ok(()),
            AttemptState::Exited(_) => {
                return conflict(format!("attempt {run} has ended, and an attempt runs once"));
            }
            AttemptState::Removing => return conflict(format!("attempt {run} is being removed")),
            AttemptState::Created => {}
        }
        if names::is_ended(&container.name, run) || self.stuck.why(run).is_some() {
            return conflict(format!("attempt {run} was retired"));
        }
        let ports = map::ports(&container.inspected);
        self.probe_ports(operation, &ports).await?;
        self.commands.check(operation, &container.inspected).await?;
        let docker = self.client.docker(operation).await?;
        match docker.start_container(&container.id, None).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let held = held_port(&error);
                let error = translate(operation, error);
                match ports.iter().find(|port| Some(port.host_port.get()) == held) {
                    Some(port) => Err(self.held(operation, port).await.because(error)),
                    None => Err(error),
                }
            }
        }
    }

    pub(crate) async fn stop_container(&self, run: AttemptId, grace: Duration) -> Result<Exit> {
        let operation = "stop container";
        let container = self.existing(operation, run).await?;
        if let Some(exit) = exit(&container) {
            return Ok(exit);
        }
        let docker = self.client.docker(operation).await?;
        let secs = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptionsBuilder::new().t(i32::try_from(secs).unwrap_or(i32::MAX)).build();
        docker
            .stop_container(&container.id, Some(options))
            .await
            .map_err(|error| translate(operation, error))?;
        loop {
            let container = self.existing(operation, run).await?;
            if let Some(exit) = exit(&container) {
                return Ok(exit);
            }
            // Waits without asking again and again; what it says of the exit, a look says better.
            let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
            match docker.wait_container(&container.id, Some(options)).next().await {
                Some(Err(error)) if !is_exit(&error) && !is_absent(&error) => {
                    return Err(translate(operation, error));
                }
                // The look may be a moment behind, and is not asked for without a pause.
                _ => sleep(PAUSE).await,
            }
        }
    }

    pub(crate) async fn kill_container(&self, run: AttemptId) -> Result<()> {
        let operation = "kill container";
        let Some(container) = self.containers.find(operation, run).await? else { return Ok(()) };
        if !container.state.is_alive() {
            return Ok(());
        }
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        match self.client.docker(operation).await?.kill_container(&container.id, Some(options)).await {
            Err(error) if !is_absent(&error) && !is_not_running(&error) => Err(translate(operation, error)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn retire_container(&self, run: AttemptId) -> Result<()> {
        let operation = "retire container";
        let Some(container) = self.containers.find(operation, run).await? else { return Ok(()) };
        if container.state.is_alive() {
            return Err(Error::new(ErrorKind::Conflict, operation, format!("attempt {run} is running")));
        }
        if names::is_ended(&container.name, run) {
            return Ok(());
        }
        let name = names::ended(&container.name, run);
        let options = RenameContainerOptionsBuilder::new().name(&name).build();
        match self.client.docker(operation).await?.rename_container(&container.id, options).await {
            Ok(()) => {
                self.stuck.remove(run);
                Ok(())
            }
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => {
                let error = translate(operation, error);
                if error.is_temporary() {
                    return Err(error);
                }
                // Its process is gone, by the look above; the next attempt takes another name.
                warn!(
                    error = %Chain(&error),
                    "the engine does not rename {}; the next attempt takes another name", container.name
                );
                self.stuck.insert(run, format!("the engine does not rename it: {}", error.message()));
                Ok(())
            }
        }
    }

    pub(crate) async fn remove_container(&self, run: AttemptId) -> Result<()> {
        let operation = "remove container";
        let Some(container) = self.containers.find(operation, run).await? else {
            self.forget(run);
            return Ok(());
        };
        if container.state.is_alive() {
            return Err(Error::new(ErrorKind::Conflict, operation, format!("attempt {run} is running")));
        }
        // Anonymous volumes go with it: nothing else knows them.
        let options = RemoveContainerOptionsBuilder::new().v(true).build();
        match self.client.docker(operation).await?.remove_container(&container.id, Some(options)).await {
            Err(error) if !is_absent(&error) => {
                let error = translate(operation, error);
                if !error.is_temporary() && error.kind() != ErrorKind::Conflict {
                    self.stuck.insert(run, format!("the engine does not remove it: {}", error.message()));
                }
                Err(error)
            }
            _ => {
                self.forget(run);
                Ok(())
            }
        }
    }

    pub(crate) async fn statistics(&self, run: AttemptId) -> Result<Stats> {
        let operation = "read statistics";
        let container = self.existing(operation, run).await?;
        if !container.state.is_alive() {
            return Err(Error::new(ErrorKind::Conflict, operation, format!("attempt {run} is not running")));
        }
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let docker = self.client.docker(operation).await?;
        match docker.stats(&container.id, Some(options)).next().await {
            Some(Ok(sample)) => Ok(map::stats(&sample)),
            Some(Err(error)) => Err(translate(operation, error)),
            None => Err(Error::new(ErrorKind::Unavailable, operation, "the engine sent no sample")),
        }
    }

    /// The container of `run`, or `NotFound`.
    pub(crate) async fn existing(&self, operation: &'static str, run: AttemptId) -> Result<Container> {
        let found = self.containers.find(operation, run).await?;
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, operation, format!("attempt {run} has no container"))
        })
    }

    fn forget(&self, run: AttemptId) {
        self.containers.forget(run);
        self.stuck.remove(run);
    }
}

/// How one that is not alive ended.
fn exit(container: &Container) -> Option<Exit> {
    match &container.state {
        AttemptState::Running { .. } => None,
        AttemptState::Exited(exit) => Some(exit.clone()),
        AttemptState::Created => {
            Some(Exit { code: NEVER_RAN, at: None, ..map::last_exit(&container.inspected) })
        }
        AttemptState::Removing => Some(map::last_exit(&container.inspected)),
    }
}
