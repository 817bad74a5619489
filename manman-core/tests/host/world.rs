//! A control plane, an engine in memory, and a host manager between them that can be
//! killed and started again.

#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use manman_core::{
    broker::Broker,
    clock::{Clock, Timestamp},
    control::{Control, ControlConfig, ControlUplink, DeployRequest},
    error::Result,
    host::{
        HostConfig, HostEvent, Manager,
        journal::{Journal, MemoryDisk},
        spool::{Kept, MemorySpool, Spool},
    },
    id::{AttemptId, ConfigId, ServerId, SessionId, SgcId},
    memory::{
        MemoryBroker, MemoryStore,
        runtime::{Engine, Image, Script},
    },
    model::{
        ConfigBody, Labels, PortAsk, PortNeed, Protocol, Session, State, StopMode, config::NewConfig,
        deployment::PortRequest, game::NewGame,
    },
    processor::Processor,
    runtime::{Owner, Runtime},
    store::{Actor, DeedError, Store, Write},
    testkit::{
        Faults, Faulty,
        broker::{Nastiness, Nasty},
    },
    uplink::Uplink,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The port that games listen on.
const INSIDE: i64 = 3979;

pub fn alice() -> Write {
    Write::by(Actor("alice".into()))
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A whole installation with one machine.
pub struct World {
    pub engine: Engine,
    pub store: Arc<Faulty<MemoryStore>>,
    /// The store itself, which does not fail.
    pub books: Arc<MemoryStore>,
    pub broker: Nasty,
    /// The broker itself, which is not nasty.
    pub queues: MemoryBroker,
    pub control: Control,
    pub uplink: Arc<ControlUplink>,
    pub disk: MemoryDisk,
    pub spool: Arc<MemorySpool>,
    pub config: HostConfig,
    pub server: ServerId,
    pub owner: Owner,
    pub control_config: ControlConfig,
    /// By how many microseconds the machine's clock is ahead.
    pub clock_ahead: Arc<AtomicI64>,
    seed: u64,
    names: u32,
    processor: Option<Task<()>>,
    manager: Option<Task<Result<()>>>,
}

/// A clock that is wrong.
#[derive(Debug)]
struct Skewed(Arc<dyn Clock>, Arc<AtomicI64>);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.now().as_micros() + self.1.load(Ordering::SeqCst))
    }
}

struct Task<T> {
    shutdown: CancellationToken,
    handle: AbortOnDropHandle<T>,
}

impl World {
    /// Everything, running.
    pub async fn begin() -> Self {
        let mut world = Self::still(7).await;
        world.process();
        world.manage();
        world
    }

    /// Everything but processor and manager; `seed` fixes all chance.
    pub async fn still(seed: u64) -> Self {
        let engine = Engine::new(seed);
        let memory = MemoryBroker::new();
        let broker = Nasty::new(Arc::new(memory.clone()), seed, Nastiness::default());
        let books = Arc::new(MemoryStore::seeded(engine.clock(), seed));
        let store = Arc::new(Faulty::new(books.clone(), seed, Faults::default()));
        let control_config = ControlConfig::default();
        let (s, b): (Arc<dyn Store>, Arc<dyn Broker>) = (store.clone(), Arc::new(broker.clone()));
        let uplink = Arc::new(ControlUplink::new(s.clone(), b.clone(), control_config.clone()));
        let mut config = HostConfig::default();
        config.name = "box".parse().unwrap();
        config.machine_id = "machine".into();
        config.boot_id = "boot-1".into();
        let disk = MemoryDisk::new();
        let journal = Journal::open(disk.clone()).unwrap();
        let shutdown = CancellationToken::new();
        let identity = manman_core::host::join(&*uplink, &journal, &config, &shutdown).await.unwrap();
        engine.image(&"game:1".parse().unwrap(), Image::of(Script::default()));
        Self {
            control: Control::new(s, b, control_config.clone()),
            owner: Owner {
                cluster: identity.cluster,
                server: identity.server,
                environment: config.environment.clone(),
            },
            server: identity.server,
            spool: Arc::new(MemorySpool::default()),
            engine,
            store,
            books,
            broker,
            queues: memory,
            uplink,
            disk,
            config,
            control_config,
            clock_ahead: Arc::default(),
            seed,
            names: 0,
            processor: None,
            manager: None,
        }
    }

    /// Starts the control plane's processor.
    pub fn process(&mut self) {
        let processor =
            Processor::new(self.store.clone(), Arc::new(self.broker.clone()), self.control_config.clone());
        let shutdown = CancellationToken::new();
        let handle = AbortOnDropHandle::new(tokio::spawn(processor.run(shutdown.clone())));
        self.processor = Some(Task { shutdown, handle });
    }

    /// A manager over what is on disk, not running yet.
    pub fn manager(&self) -> Manager {
        self.manager_over(Arc::new(self.engine.runtime(self.owner.clone())), self.uplink.clone())
    }

    pub fn manager_over(&self, runtime: Arc<dyn Runtime>, uplink: Arc<dyn Uplink>) -> Manager {
        self.manager_with(runtime, uplink, Journal::open(self.disk.clone()).unwrap())
    }

    pub fn manager_with(
        &self,
        runtime: Arc<dyn Runtime>,
        uplink: Arc<dyn Uplink>,
        journal: Journal,
    ) -> Manager {
        Manager::builder(runtime, Arc::new(self.broker.clone()), uplink)
            .clock(Arc::new(Skewed(self.engine.clock(), self.clock_ahead.clone())))
            .journal(journal)
            .spool(self.spool.clone())
            .seed(self.seed)
            .build(self.config.clone())
            .unwrap()
    }

    /// Starts the host manager.
    pub fn manage(&mut self) {
        let manager = self.manager();
        drop(self.run(manager));
    }

    /// Starts this host manager.
    pub fn run(&mut self, manager: Manager) -> BoxStream<'static, HostEvent> {
        let events = manager.events().boxed();
        let shutdown = CancellationToken::new();
        let handle = AbortOnDropHandle::new(tokio::spawn(manager.run(shutdown.clone())));
        self.manager = Some(Task { shutdown, handle });
        events
    }

    /// Ends the host manager as `kill -9` does.
    pub async fn kill(&mut self) {
        if let Some(task) = self.manager.take() {
            task.handle.abort();
            // Cancelled, or already gone.
            let _ = task.handle.await;
        }
    }

    /// Kills the host manager and starts it again.
    pub async fn bounce(&mut self) {
        self.kill().await;
        self.manage();
    }

    /// Ends the host manager as a signal does, and says how long that took.
    pub async fn shut_down(&mut self) -> Duration {
        let before = Instant::now();
        let task = self.manager.take().unwrap();
        task.shutdown.cancel();
        task.handle.await.unwrap().unwrap();
        before.elapsed()
    }

    /// What the host manager returned, if it did.
    pub fn returned(&mut self) -> Option<Result<()>> {
        let task = self.manager.as_mut()?;
        (&mut task.handle).now_or_never().map(Result::unwrap)
    }

    /// The control plane goes: nothing answers and nothing is applied.
    pub fn control_away(&mut self) {
        self.processor = None;
        self.store.set(Faults { before: 1.0, after: 0.0 });
    }

    /// The control plane's processor goes: nothing is applied and nothing is sent, while all else
    /// answers.
    pub fn processor_away(&mut self) {
        self.processor = None;
    }

    /// And comes back.
    pub fn control_back(&mut self) {
        self.store.set(Faults::default());
        self.process();
    }

    /// A deployment that plays this script.
    pub async fn playing(&mut self, script: Script) -> SgcId {
        self.names += 1;
        let image = format!("game-{}:1", self.names).parse().unwrap();
        self.engine.image(&image, Image::of(script));
        self.deployed(ConfigBody::new(image)).await
    }

    /// A deployment of this, with one port.
    pub async fn deployed(&mut self, body: ConfigBody) -> SgcId {
        let config = self.configured(body).await;
        self.deploy(config, 20_000, 30_000).await.unwrap()
    }

    /// A config of this, with one port.
    pub async fn configured(&mut self, mut body: ConfigBody) -> ConfigId {
        self.names += 1;
        let name = format!("game-{}", self.names);
        let game = NewGame { name: name.parse().unwrap(), steam_app_id: None, metadata: Labels::new() };
        let game = self.control.game_create(&game, &alice()).await.unwrap().id;
        body.ports = vec![PortNeed { container_port: INSIDE.try_into().unwrap(), protocol: Protocol::Tcp }];
        let config = NewConfig { game, name: name.parse().unwrap(), body };
        self.control.config_create(&config, &alice()).await.unwrap().id
    }

    /// Deploys a config under a name of its own, with a port of the machine in this range.
    pub async fn deploy(&mut self, config: ConfigId, first: i64, last: i64) -> Result<SgcId, DeedError> {
        self.names += 1;
        let mut request = DeployRequest::of(config);
        request.name = Some(format!("deployed-{}", self.names).parse().unwrap());
        request.server = Some(self.server);
        request.ports = vec![PortRequest {
            container_port: INSIDE.try_into().unwrap(),
            protocol: Protocol::Tcp,
            ask: PortAsk::AnyOf(first.try_into().unwrap(), last.try_into().unwrap()),
        }];
        Ok(self.control.deployment_create(&request, &alice()).await?.id)
    }

    pub async fn start(&self, sgc: SgcId) -> SessionId {
        self.control.session_start(sgc, &alice()).await.unwrap().session.id
    }

    pub async fn stop(&self, session: SessionId) {
        self.control.session_stop(session, StopMode::Graceful, &alice()).await.unwrap();
    }

    pub async fn kill_session(&self, session: SessionId) {
        self.control.session_stop(session, StopMode::Kill, &alice()).await.unwrap();
    }

    pub async fn session(&self, id: SessionId) -> Session {
        self.control.session_get(id).await.unwrap()
    }

    /// Waits until a session is in this state, and gives it.
    pub async fn until(&self, id: SessionId, state: State) -> Session {
        let before = Instant::now();
        loop {
            let session = self.session(id).await;
            if session.state == state {
                return session;
            }
            assert!(!session.state.is_end(), "{id} is {}: {session:?}", session.state);
            assert!(before.elapsed() < secs(600), "{id} never becomes {state}: {session:?}");
            tokio::time::sleep(millis(20)).await;
        }
    }

    /// Waits until something is so, and says how long that took.
    pub async fn when(&self, so: impl AsyncFn() -> bool) -> Duration {
        let before = Instant::now();
        while !so().await {
            assert!(before.elapsed() < secs(1_200), "it never becomes so");
            tokio::time::sleep(millis(20)).await;
        }
        before.elapsed()
    }

    /// Starts a deployment and waits until its game runs.
    pub async fn up(&self, sgc: SgcId) -> SessionId {
        let session = self.start(sgc).await;
        self.until(session, State::Running).await;
        session
    }

    /// Has a session restarted; the engine stops answering in the midst of it, and then the
    /// control plane does.
    pub async fn alone_amid_a_restart(&mut self, session: SessionId) {
        self.engine.freeze();
        self.control.session_restart(session, &alice()).await.unwrap();
        tokio::time::sleep(secs(1)).await;
        self.control_away();
    }

    /// Waits until nothing is left at the engine.
    pub async fn clean(&self) -> Duration {
        self.when(async || self.engine.holds() == (0, 0)).await
    }

    /// What its beats say is wrong with the host.
    pub async fn wrong(&self) -> String {
        self.control.server_get(self.server).await.unwrap().health.unwrap_or_default().warnings.join("; ")
    }

    /// All that the spool has of a session, gaps by their reasons.
    pub fn kept(&self, session: SessionId) -> String {
        let Some(mut history) = self.spool.read(session).unwrap() else { return String::new() };
        let entries = history.read(1, u64::MAX, usize::MAX).unwrap();
        let told = entries.into_iter().map(|entry| match entry.what {
            Kept::Output(batch) => String::from_utf8_lossy(batch.text()).into_owned(),
            Kept::Gap(gap, ..) => format!("[{}]", gap.reason),
        });
        told.collect()
    }

    /// The attempts that live.
    pub fn live(&self) -> Vec<AttemptId> {
        self.engine.live().into_iter().map(|(run, _)| run).collect()
    }

    /// What must never happen has not.
    pub fn all_well(&self) {
        assert_eq!(self.engine.violations(), Vec::<String>::new());
    }
}

pub fn run(session: SessionId, attempt: u32) -> AttemptId {
    AttemptId::new(session, attempt)
}
