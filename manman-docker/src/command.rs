//! Whether an image has the command that a container is to run.
//!
//! With an init as PID 1 the engine starts a container whose command does not exist,
//! and it exits 127 at once, as a game may do by itself. So the command is looked for
//! before the start; each image is asked once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use bollard::{models::ContainerInspectResponse, query_parameters::ContainerArchiveInfoOptionsBuilder};
use manman_core::error::{Error, ErrorKind, Result};
use tracing::debug;

use crate::{client::Client, translate::is_absent};

/// What the engine takes if neither image nor spec set it (moby, `oci/defaults.go` and
/// `container/env.go`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Remembers which commands images have.
#[derive(Debug)]
pub(crate) struct Commands {
    client: Arc<Client>,
    /// Image id and the places looked at.
    seen: Mutex<HashSet<(String, Vec<String>)>>,
}

impl Commands {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client, seen: Mutex::default() }
    }

    /// Refuses (`Invalid`) a created container whose command is nowhere in it. What cannot
    /// be found out counts as there: the engine has the last word.
    pub(crate) async fn check(
        &self,
        operation: &'static str,
        container: &ContainerInspectResponse,
    ) -> Result<()> {
        let (Some(id), Some(image), Some(program)) = (&container.id, &container.image, &container.path)
        else {
            return Ok(());
        };
        let places = places(container, program);
        let mounted = container.mounts.iter().flatten().filter_map(|mount| mount.destination.as_deref());
        // What lies in a mount comes and goes without the image.
        let beneath =
            |place: &String, mount: &str| place.strip_prefix(mount).is_some_and(|rest| rest.starts_with('/'));
        if mounted.into_iter().any(|mount| places.iter().any(|place| beneath(place, mount))) {
            return Ok(());
        }
        let key = (image.clone(), places);
        if self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Ok(());
        }
        let docker = self.client.docker(operation).await?;
        for place in &key.1 {
            let options = ContainerArchiveInfoOptionsBuilder::new().path(place).build();
            match docker.get_container_archive_info(id, Some(options)).await {
                Err(error) if is_absent(&error) => {}
                Ok(_) => {
                    let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    // Bounded, however many images come and go.
                    if seen.len() >= 1024 {
                        seen.clear();
                    }
                    seen.insert(key);
                    return Ok(());
                }
                Err(error) => {
                    debug!(%error, "the engine does not tell whether {place} is in {image}");
                    return Ok(());
                }
            }
        }
        Err(Error::new(ErrorKind::Invalid, operation, format!("the image has no such command: {program:?}")))
    }
}

/// Where a program may be, in the order in which it is looked for (execvp(3)).
fn places(container: &ContainerInspectResponse, program: &str) -> Vec<String> {
    let config = container.config.as_ref();
    if program.starts_with('/') {
        return vec![program.to_owned()];
    }
    let working_dir = config.and_then(|config| config.working_dir.as_deref()).filter(|dir| !dir.is_empty());
    let join = |dir: &str| format!("{}/{program}", dir.trim_end_matches('/'));
    if program.contains('/') {
        return vec![join(working_dir.unwrap_or("/"))];
    }
    let env = config.and_then(|config| config.env.as_deref()).unwrap_or_default();
    let path = env.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':').map(|dir| join(if dir.is_empty() { working_dir.unwrap_or("/") } else { dir })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(env: &[&str], working_dir: &str) -> ContainerInspectResponse {
        serde_json::from_value(serde_json::json!({"Config": {"Env": env, "WorkingDir": working_dir}}))
            .unwrap()
    }

    #[test]
    fn a_program_is_looked_for_where_it_would_be_executed() {
        let plain = container(&[], "");
        assert_eq!(places(&plain, "/srv/game"), ["/srv/game"]);
        assert_eq!(places(&plain, "./game"), ["/./game"]);
        assert_eq!(places(&plain, "game").first().map(String::as_str), Some("/usr/local/sbin/game"));
        let own = container(&["A=B", "PATH=/opt/bin:/bin/"], "/data/game");
        assert_eq!(places(&own, "game"), ["/opt/bin/game", "/bin/game"]);
        assert_eq!(places(&own, "bin/game"), ["/data/game/bin/game"]);
    }
}
