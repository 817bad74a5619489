//! What tests against a Docker Engine are made with: the one that is there, a second
//! one of their own, and a broom.
//!
//! Everything here fails with a sentence that says what is missing.

mod proxy;
mod second;

pub use proxy::{Fault, Proxy};
pub use second::{Options, SecondEngine};

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    query_parameters::{
        ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use manman_core::id::ClusterId;

/// The socket of the engine that tests share: never stopped, never frozen.
pub fn socket() -> PathBuf {
    std::env::var_os("DOCKER_SOCKET").map_or_else(|| "/var/run/docker.sock".into(), PathBuf::from)
}

/// A client of the engine at `socket`, once it answers.
///
/// # Errors
/// If it does not answer, with what to do about it.
pub async fn client(socket: &Path) -> io::Result<Docker> {
    let missing = |error: &dyn std::fmt::Display| {
        io::Error::other(format!(
            "no Docker Engine at {}: run ./scripts/docker-up ({error})",
            socket.display()
        ))
    };
    let path = socket.to_string_lossy();
    let docker =
        Docker::connect_with_unix(&path, 120, API_DEFAULT_VERSION).map_err(|error| missing(&error))?;
    docker.negotiate_version().await.map_err(|error| missing(&error))
}

/// Removes every container and network of one cluster when it is dropped, as a test
/// that failed left them.
#[derive(Debug)]
pub struct Broom {
    socket: PathBuf,
    cluster: ClusterId,
}

impl Broom {
    /// A broom for what `cluster` leaves on the engine at `socket`.
    pub fn new(socket: impl Into<PathBuf>, cluster: ClusterId) -> Self {
        Self { socket: socket.into(), cluster }
    }

    /// Sweeps now. What the engine refuses to remove keeps nothing else.
    ///
    /// # Errors
    /// If the engine does not answer, and the first of its refusals.
    pub async fn sweep(&self) -> io::Result<()> {
        let docker = client(&self.socket).await?;
        let filters = HashMap::from([("label".to_owned(), vec![format!("manman.cluster={}", self.cluster)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let mut swept = Ok(());
        for container in docker.list_containers(Some(options)).await.map_err(io::Error::other)? {
            let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
            let id = container.id.unwrap_or_default();
            swept = swept.and(docker.remove_container(&id, Some(options)).await);
        }
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        for network in docker.list_networks(Some(options)).await.map_err(io::Error::other)? {
            swept = swept.and(docker.remove_network(&network.id.unwrap_or_default()).await);
        }
        swept.map_err(io::Error::other)
    }
}

impl Drop for Broom {
    fn drop(&mut self) {
        // On a thread of its own: a runtime may be ending around us.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                // What cannot be swept is found by the check at the end of scripts/test.
                let _ = runtime.map(|runtime| runtime.block_on(self.sweep()));
            });
        });
    }
}
