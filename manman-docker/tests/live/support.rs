//! A manager of a cluster of its own on the shared engine, and games to play.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bollard::Docker;
use futures::{StreamExt, stream::BoxStream};
use manman_core::{
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind, Result},
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    model::ConfigBody,
    runtime::{AttemptState, ContainerSpec, Exit, Mount, Owner, Runtime, RuntimeEvent},
};
use manman_docker::{
    DockerConfig, DockerRuntime,
    testkit::{self, Broom},
};

/// How long a test waits for what is to come. Bounds a hang, measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A shell and its tools.
pub const BUSYBOX: &str = "manman-fixture/busybox:1";

/// Prints `ready` and runs until SIGTERM, then exits with 0.
pub const SLEEPER: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done";

/// A cluster of a test's own; what it leaves behind is swept.
pub struct Ground {
    pub owner: Owner,
    pub config: DockerConfig,
    pub docker: Docker,
    _broom: Broom,
    // After the broom: containers hold on to their directories.
    pub dir: tempfile::TempDir,
}

impl Ground {
    /// On the shared engine.
    pub async fn new() -> Self {
        Self::at(testkit::socket()).await
    }

    /// On the engine at `socket`.
    pub async fn at(socket: PathBuf) -> Self {
        let docker = testkit::client(&socket).await.unwrap();
        let owner =
            Owner { cluster: ClusterId::random(), server: ServerId(1), environment: "test".parse().unwrap() };
        let dir = tempfile::Builder::new().prefix("manman-test-").tempdir().unwrap();
        let mut config = DockerConfig::new(dir.path().join("data"));
        config.socket.clone_from(&socket);
        // An engine among many others may take its time; tests about deadlines set their own.
        config.call_timeout_millis = 60_000;
        config.stop_margin_millis = 60_000;
        Self { _broom: Broom::new(socket, owner.cluster), owner, config, docker, dir }
    }

    /// A manager as it comes up: it knows nothing but what the engine and the disk show.
    pub fn runtime(&self) -> DockerRuntime {
        self.runtime_with(|_| {})
    }

    /// A manager that is configured differently.
    pub fn runtime_with(&self, change: impl FnOnce(&mut DockerConfig)) -> DockerRuntime {
        let mut config = self.config.clone();
        change(&mut config);
        DockerRuntime::new(self.owner.clone(), config).unwrap()
    }

    /// The name of the container of a deployment that is alive.
    pub fn name(&self, sgc: i64) -> String {
        format!("gsc-test-{sgc}-{}", self.owner.cluster.short())
    }

    /// How many containers and networks of this cluster there are.
    pub async fn left(&self) -> (usize, usize) {
        use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder};
        let label = format!("manman.cluster={}", self.owner.cluster);
        let filters = std::collections::HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = self.docker.list_containers(Some(options)).await.unwrap();
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        (containers.len(), self.docker.list_networks(Some(options)).await.unwrap().len())
    }
}

/// The container of attempt `attempt` of session `session` of the deployment of the same
/// number, in which a shell runs `script`.
pub fn shell(session: i64, attempt: u32, script: &str) -> ContainerSpec {
    let run = AttemptId::new(SessionId(session), attempt);
    ContainerSpec {
        entrypoint: vec!["/bin/sh".into(), "-c".into(), script.into()],
        mounts: vec![Mount { source: None, target: ConfigBody::data_path_default(), read_only: false }],
        spec_hash: format!("{session:032x}"),
        created_at: SystemClock.now(),
        ..ContainerSpec::new(run, SgcId(session), BUSYBOX.parse().unwrap())
    }
}

/// Makes the container with all that comes before.
pub async fn create(runtime: &dyn Runtime, spec: &ContainerSpec) {
    runtime.pull(&spec.image, Box::new(|_| {})).await.unwrap();
    runtime.prepare(spec, None).await.unwrap();
    runtime.create(spec).await.unwrap();
}

/// Makes the container and starts it.
pub async fn start(runtime: &dyn Runtime, spec: &ContainerSpec) {
    create(runtime, spec).await;
    runtime.start(spec.run).await.unwrap();
}

/// Removes the container, whatever it is at, and its network.
pub async fn clear(runtime: &dyn Runtime, spec: &ContainerSpec) {
    runtime.kill(spec.run).await.unwrap();
    eventually("the container goes", || async {
        match runtime.remove(spec.run).await {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Busy) => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await;
    runtime.remove_network(spec.run.session).await.unwrap();
}

/// Waits until the attempt has ended.
pub async fn ended(runtime: &dyn Runtime, run: AttemptId) -> Exit {
    eventually("the game ends", || async {
        match runtime.inspect(run).await.unwrap().unwrap().state {
            AttemptState::Exited(exit) => Some(exit),
            _ => None,
        }
    })
    .await
}

/// The process of a running attempt.
pub async fn pid(runtime: &dyn Runtime, run: AttemptId) -> i64 {
    match runtime.inspect(run).await.unwrap().unwrap().state {
        AttemptState::Running { pid: Some(pid), .. } => pid,
        other => panic!("{run} runs: {other:?}"),
    }
}

/// Looks again until `look` gives something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let all = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{what} in time"))
}

/// Waits for a hint at this attempt.
pub async fn hinted(events: &mut BoxStream<'static, RuntimeEvent>, run: AttemptId) {
    let hint = async {
        while events.next().await.expect("the stream of hints goes on") != RuntimeEvent::Attempt(run) {}
    };
    tokio::time::timeout(PATIENCE, hint).await.unwrap_or_else(|_| panic!("a hint at {run} comes in time"));
}

/// The error of what is refused.
pub fn refused<T: std::fmt::Debug>(result: Result<T>) -> Error {
    result.expect_err("this is refused")
}

/// What a game has written to a file of its directory, once it is there.
pub async fn file(ground: &Ground, sgc: i64, name: &str) -> String {
    let path = ground.config.data_dir.join(format!("gsc-test-{sgc}")).join(name);
    eventually("the game writes its file", || async {
        std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
    })
    .await
}

/// For a suite that wants the seam.
pub fn shared(runtime: DockerRuntime) -> Arc<dyn Runtime> {
    Arc::new(runtime)
}
