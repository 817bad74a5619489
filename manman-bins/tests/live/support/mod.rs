//! An installation whose games are containers of an engine.

pub mod docker;

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    time::Duration,
};

use crate::installation;
pub use crate::installation::{Ran, scaled, until};

/// The engine that the tests share.
const SHARED: &str = "/var/run/docker.sock";

/// What `config create` takes for the game of these tests.
pub const GAME: &[&str] = &["--image", "manman-fixture/testgame:1"];

/// One `manman up` with all that belongs to it.
pub struct Installation {
    installation: installation::Installation,
    is_shared: bool,
}

impl Deref for Installation {
    type Target = installation::Installation;

    fn deref(&self) -> &Self::Target {
        &self.installation
    }
}

impl DerefMut for Installation {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.installation
    }
}

impl Installation {
    /// Sets one up and brings it up, on the shared engine.
    pub fn up() -> Self {
        let mut installation = Self::new(Path::new(SHARED));
        docker::answers();
        installation.start();
        installation
    }

    /// Sets one up by this configuration and brings it up, on the shared engine.
    pub fn up_by(toml: &str) -> Self {
        let mut installation = Self::new(Path::new(SHARED));
        docker::answers();
        installation.configure(toml);
        installation.start();
        installation
    }

    /// Sets one up for the engine at `socket`, without starting it.
    pub fn new(socket: &Path) -> Self {
        let directory =
            tempfile::Builder::new().prefix("installation-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let variables = [("DOCKER_SOCKET", socket.as_os_str())];
        let installation = installation::Installation::new(directory, &variables);
        Self { installation, is_shared: socket == Path::new(SHARED) }
    }

    /// The containers of this installation, as the engine knows them.
    pub fn containers(&self) -> Vec<String> {
        docker::lines(&["ps", "-aq", "--no-trunc", "--filter", &self.label()])
    }

    /// The networks of this installation, as the engine knows them.
    pub fn networks(&self) -> Vec<String> {
        docker::lines(&["network", "ls", "-q", "--filter", &self.label()])
    }

    /// The one live container of a deployment.
    #[track_caller]
    pub fn container(&self, sgc: i64) -> String {
        let sgc = format!("label=manman.sgc_id={sgc}");
        let found = docker::lines(&["ps", "-q", "--no-trunc", "--filter", &self.label(), "--filter", &sgc]);
        assert_eq!(found.len(), 1, "live containers: {found:?}\n{}", self.log());
        found.into_iter().next().unwrap()
    }

    /// Waits until nothing of this installation is left at the engine.
    #[track_caller]
    pub fn await_nothing_left(&self) {
        until("containers and networks are gone", Duration::from_secs(60), || {
            (self.containers().is_empty() && self.networks().is_empty()).then_some(())
        });
    }

    fn label(&self) -> String {
        format!("label=manman.environment={}", self.environment)
    }
}

impl Drop for Installation {
    /// Leaves nothing behind, whatever became of the test.
    fn drop(&mut self) {
        self.end();
        if self.is_shared {
            for container in self.containers() {
                let _ = docker::run(&["rm", "-fv", &container]);
            }
            for network in self.networks() {
                let _ = docker::run(&["network", "rm", &network]);
            }
        }
    }
}
