//! The Docker Engine as a [`Runtime`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use manman_core::{
    clock::SystemClock,
    console::{Console, Resume},
    error::{Error, ErrorKind, Result},
    id::{AttemptId, SessionId},
    machine::{DataDir, blocking},
    model::{ImageRef, RunAs},
    runtime::{
        Capabilities, ContainerSpec, EngineInfo, Exit, Found, ImageInfo, Inventory, Owner, ProgressSink,
        Runtime, RuntimeEvent, Stats,
    },
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{
    client::{Client, within},
    command::Commands,
    config::DockerConfig,
    console::Consoles,
    containers::Containers,
    engine::Engine,
    events,
    host::HostView,
    image::Images,
    map,
    network::Networks,
    probe::Probes,
    stuck::Stuck,
    translate::translate,
};

/// Sessions whose number has the same remainder wait for each other.
const LANES: usize = 64;

/// Runs games as containers of a Docker Engine, 20.10 or later.
///
/// Making one contacts nobody: an engine that is away is `Unavailable`, call by call,
/// until it is there.
#[derive(Debug)]
pub struct DockerRuntime {
    pub(crate) owner: Owner,
    pub(crate) config: DockerConfig,
    pub(crate) client: Arc<Client>,
    pub(crate) containers: Containers,
    pub(crate) networks: Networks,
    pub(crate) commands: Commands,
    pub(crate) data: DataDir,
    pub(crate) host: HostView,
    pub(crate) stuck: Stuck,
    pub(crate) probes: Probes,
    images: Images,
    consoles: OnceCell<Consoles>,
    lanes: Vec<Mutex<()>>,
}

impl DockerRuntime {
    /// A runtime of what `owner` has on the engine that `config` names.
    ///
    /// # Errors
    /// `Config` with everything that is wrong in `config`.
    pub fn new(owner: Owner, config: DockerConfig) -> Result<Self> {
        config.validate().map_err(|wrong| {
            let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            Error::new(ErrorKind::Config, "configure docker", wrong.join("; "))
        })?;
        let client = Arc::new(Client::new(&config)?);
        let data = DataDir::new(&config.data_dir, &owner, config.min_free_bytes);
        let probes = Probes::new(Arc::clone(&client), owner.clone());
        Ok(Self {
            containers: Containers::new(Arc::clone(&client), owner.clone()),
            networks: Networks::new(Arc::clone(&client), owner.clone(), &config),
            images: Images::new(Arc::clone(&client), probes.clone()),
            commands: Commands::new(Arc::clone(&client)),
            host: HostView::new(
                Arc::clone(&client),
                probes.clone(),
                data.clone(),
                config.host_data_dir.clone(),
            ),
            stuck: Stuck::default(),
            probes,
            consoles: OnceCell::new(),
            lanes: (0..LANES).map(|_| Mutex::new(())).collect(),
            data,
            client,
            owner,
            config,
        })
    }

    /// Held while the network of a session is made or removed: who removes it again after
    /// a failure must not take it from somebody else's container.
    pub(crate) async fn lane(&self, session: SessionId) -> MutexGuard<'_, ()> {
        self.lanes[session.0.rem_euclid(LANES as i64) as usize].lock().await
    }

    async fn consoles(&self) -> Result<&Consoles> {
        let operation = "open console";
        let open = || async {
            let version =
                self.client.within(operation, self.client.docker(operation)).await?.client_version();
            let part = |number: usize| u16::try_from(number).unwrap_or_default();
            let api = (part(version.major_version), part(version.minor_version));
            let engine = Engine::new(self.client.socket(), api).call_timeout(self.config.call_timeout());
            Ok(Consoles::new(engine, Arc::new(SystemClock)))
        };
        self.consoles.get_or_try_init(open).await
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn capabilities(&self) -> Capabilities {
        Capabilities { images: true, networks: true }
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    async fn engine(&self) -> Result<EngineInfo> {
        let operation = "ask the engine";
        self.client
            .within(operation, async {
                let docker = self.client.fresh(operation).await?;
                let (info, version) = tokio::try_join!(docker.info(), docker.version())
                    .map_err(|error| translate(operation, error))?;
                let boot = crate::boot::boot(&self.client).await;
                Ok(map::engine(&info, version.api_version.as_deref(), boot))
            })
            .await
    }

    async fn pull(&self, image: &ImageRef, progress: ProgressSink) -> Result<ImageInfo> {
        self.images.pull(image, &progress).await
    }

    async fn prepare(&self, spec: &ContainerSpec, user: Option<(u32, u32)>) -> Result<()> {
        self.config.policy.check(spec)?;
        let user = user.unwrap_or_else(|| {
            let said = spec.user.as_deref().and_then(|user| user.parse::<RunAs>().ok());
            said.map_or((0, 0), |user| (user.uid, user.gid.unwrap_or(0)))
        });
        let (spec, data) = (spec.clone(), self.data.clone());
        blocking("prepare directories", move || data.prepare(&spec, user)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<()> {
        self.config.policy.check(spec)?;
        self.client.within("create container", self.create_container(spec)).await
    }

    async fn start(&self, run: AttemptId) -> Result<()> {
        self.client.within("start container", self.start_container(run)).await
    }

    async fn stop(&self, run: AttemptId, grace: Duration) -> Result<Exit> {
        let limit = grace.saturating_add(self.config.stop_margin());
        within("stop container", limit, self.stop_container(run, grace)).await
    }

    async fn kill(&self, run: AttemptId) -> Result<()> {
        self.client.within("kill container", self.kill_container(run)).await
    }

    async fn retire(&self, run: AttemptId) -> Result<()> {
        self.client.within("retire container", self.retire_container(run)).await
    }

    async fn remove(&self, run: AttemptId) -> Result<()> {
        self.client.within("remove container", self.remove_container(run)).await
    }

    async fn remove_network(&self, session: SessionId) -> Result<()> {
        let remove = async {
            let _alone = self.lane(session).await;
            self.networks.remove(session).await
        };
        self.client.within("remove network", remove).await
    }

    async fn list(&self) -> Result<Inventory> {
        self.client.within("list containers", self.inventory()).await
    }

    async fn inspect(&self, run: AttemptId) -> Result<Option<Found>> {
        let operation = "inspect container";
        let found = self.client.within(operation, self.containers.find(operation, run)).await?;
        Ok(found.map(|container| container.found()))
    }

    async fn stats(&self, run: AttemptId) -> Result<Stats> {
        self.client.within("read statistics", self.statistics(run)).await
    }

    async fn events(&self) -> Result<BoxStream<'static, RuntimeEvent>> {
        let operation = "watch the engine";
        self.client
            .within(operation, async {
                let docker = self.client.docker(operation).await?;
                docker.ping().await.map_err(|error| translate(operation, error))?;
                Ok(events::stream(docker, &self.owner))
            })
            .await
    }

    async fn console(&self, run: AttemptId, after: Option<Resume>) -> Result<Console> {
        let operation = "open console";
        let container = self.client.within(operation, self.existing(operation, run)).await?;
        self.consoles().await?.open(&container.id, after).await
    }
}
