//! Probes: containers that are created to ask the engine something, never started, and
//! removed again.

use std::{sync::Arc, time::Duration};

use bollard::{
    models::{ContainerCreateBody, HostConfig, Mount},
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder},
};
use manman_core::{
    clock::{Clock, SystemClock, Timestamp},
    error::{Chain, Error, ErrorKind, Result},
    runtime::Owner,
};
use tokio::runtime::Handle;
use tracing::debug;

use crate::{
    client::{Client, within},
    labels,
    translate::{is_absent, translate},
};

/// Younger ones may be at work: those of another call, or of a manager beside us.
const OLD: Duration = Duration::from_secs(60);

/// The probes of one owner.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    client: Arc<Client>,
    owner: Owner,
}

impl Probes {
    pub(crate) fn new(client: Arc<Client>, owner: Owner) -> Self {
        Self { client, owner }
    }

    /// Makes one from an image that is here. Dropping this leaves none: what the engine has been
    /// asked for it makes, so the answer is waited for all the same.
    pub(crate) async fn create(
        &self,
        operation: &'static str,
        image: &str,
        mounts: Vec<Mount>,
    ) -> Result<Probe> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // Never run; but an image without a command would be refused.
            entrypoint: Some(vec!["manman-probe".to_owned()]),
            labels: Some(labels::probe(&self.owner)),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(mounts),
                ..Default::default()
            }),
            ..Default::default()
        };
        let name = format!("manman-probe-{}", uuid::Uuid::new_v4().simple());
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let docker = self.client.docker(operation).await?.clone();
        // Before it is there: also a lost answer may leave one.
        let mut probe = Probe { client: Arc::clone(&self.client), name, removed: false };
        let create = async move {
            let created = docker.create_container(Some(options), body).await;
            created.map_err(|error| translate(operation, error)).inspect_err(|error| {
                probe.removed = !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable);
            })?;
            Ok(probe)
        };
        // On a task of its own, which outlasts a caller; what is late beyond that is swept.
        let created = tokio::spawn(within(operation, OLD, create)).await;
        created.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Unexpected, operation, "the work broke off").because(error))
        })
    }

    /// Removes, without waiting for it, what a crash or a lost answer left: those of
    /// `probes`, id and age as the engine tells them, that are old.
    pub(crate) fn sweep(&self, probes: Vec<(String, Option<i64>)>) {
        let now = SystemClock.now();
        for (id, _) in probes.into_iter().filter(|&(_, created)| is_old(created, now)) {
            tokio::spawn(clear(Arc::clone(&self.client), id));
        }
    }
}

/// Whether one that was created at `created`, in seconds since 1970, serves nobody any more.
fn is_old(created: Option<i64>, now: Timestamp) -> bool {
    created.is_some_and(|created| created < now.minus(OLD).as_micros() / 1_000_000)
}

/// A probe that is there, or may be. Dropped, as by whoever ran out of time, it is removed all
/// the same.
#[derive(Debug)]
pub(crate) struct Probe {
    client: Arc<Client>,
    name: String,
    removed: bool,
}

impl Probe {
    /// By which the engine knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn remove(mut self, operation: &'static str) -> Result<()> {
        let removed = remove(&self.client, operation, &self.name).await;
        self.removed = removed.is_ok();
        removed
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Without a runtime the process is about to end: the next one sweeps.
        if let (false, Ok(runtime)) = (self.removed, Handle::try_current()) {
            runtime.spawn(clear(Arc::clone(&self.client), std::mem::take(&mut self.name)));
        }
    }
}

/// Removes the probe of this name or id.
async fn clear(client: Arc<Client>, probe: String) {
    let operation = "remove a probe";
    if let Err(error) = client.within(operation, remove(&client, operation, &probe)).await {
        debug!(error = %Chain(&error), "the probe {probe} may stay behind, to be swept");
    }
}

async fn remove(client: &Client, operation: &'static str, probe: &str) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::new().v(true).build();
    match client.docker(operation).await?.remove_container(probe, Some(options)).await {
        Err(error) if !is_absent(&error) => Err(translate(operation, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_waits_for_is_old() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        for (created, old) in [(None, false), (Some(1_800_000_000), false), (Some(1_799_999_941), false)] {
            assert_eq!(is_old(created, now), old, "{created:?}");
        }
        assert!(is_old(Some(1_799_999_939), now));
    }
}
