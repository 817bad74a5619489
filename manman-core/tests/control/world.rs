//! A control plane that is hurt as the stories say.

use std::{sync::Arc, time::Duration};

use manman_core::{
    broker::Broker,
    clock::{Timestamp, TokioClock},
    control::{Control, ControlConfig, ControlUplink, DeployRequest},
    id::{SessionId, SgcId},
    memory::{MemoryBroker, MemoryStore},
    model::{
        ConfigBody, Labels, PortAsk, PortNeed, Protocol, Session, State, config::NewConfig,
        deployment::PortRequest, game::NewGame,
    },
    processor::{Processor, Stats},
    store::{Actor, Store, Write},
    testkit::{
        Faults, Faulty,
        broker::{Nastiness, Nasty},
    },
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::host::Host;

pub const T0: Timestamp = Timestamp::from_micros(1_795_262_400_000_000);

pub fn alice() -> Write {
    Write::by(Actor("alice".into()))
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A control plane. Its store fails and its broker is nasty as soon as they are told to.
pub struct World {
    pub store: Arc<Faulty<MemoryStore>>,
    pub memory: MemoryBroker,
    pub broker: Nasty,
    pub control: Control,
    pub uplink: Arc<ControlUplink>,
    pub stats: Stats,
    pub config: ControlConfig,
    processors: Vec<(CancellationToken, AbortOnDropHandle<()>)>,
}

impl World {
    /// Everything, with one processor running.
    pub async fn begin() -> Self {
        let mut world = Self::still(7).await;
        world.process();
        world
    }

    /// Everything but a processor; `seed` fixes all chance.
    pub async fn still(seed: u64) -> Self {
        let memory = MemoryBroker::new();
        let broker = Nasty::new(Arc::new(memory.clone()), seed, Nastiness::default());
        let store = Arc::new(MemoryStore::seeded(Arc::new(TokioClock::starting_at(T0)), seed));
        let store = Arc::new(Faulty::new(store, seed, Faults::default()));
        let config = ControlConfig::default();
        let (s, b): (Arc<dyn Store>, Arc<dyn Broker>) = (store.clone(), Arc::new(broker.clone()));
        Self {
            control: Control::new(s.clone(), b.clone(), config.clone()),
            uplink: Arc::new(ControlUplink::new(s, b, config.clone())),
            stats: Stats::default(),
            processors: Vec::new(),
            store,
            memory,
            broker,
            config,
        }
    }

    /// Starts a processor.
    pub fn process(&mut self) {
        let processor =
            Processor::new(self.store.clone(), Arc::new(self.broker.clone()), self.config.clone());
        self.stats = processor.stats();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(processor.run(shutdown.clone()));
        self.processors.push((shutdown, AbortOnDropHandle::new(task)));
    }

    /// Ends all processors as a signal does, and says how long that took.
    pub async fn shutdown(&mut self) -> Duration {
        let before = Instant::now();
        for (shutdown, task) in self.processors.drain(..) {
            shutdown.cancel();
            task.await.unwrap();
        }
        before.elapsed()
    }

    /// Ends all processors as `kill -9` does.
    pub fn kill(&mut self) {
        self.processors.clear();
    }

    pub async fn deployment(&self, host: &Host, name: &str) -> SgcId {
        let game = NewGame { name: name.parse().unwrap(), steam_app_id: None, metadata: Labels::new() };
        let game = self.control.game_create(&game, &alice()).await.unwrap().id;
        let mut body = ConfigBody::new("game:1".parse().unwrap());
        body.ports = vec![PortNeed { container_port: 3979.try_into().unwrap(), protocol: Protocol::Tcp }];
        let config = NewConfig { game, name: name.parse().unwrap(), body };
        let config = self.control.config_create(&config, &alice()).await.unwrap().id;
        let any = PortAsk::AnyOf(20_000.try_into().unwrap(), 30_000.try_into().unwrap());
        let mut request = DeployRequest::of(config);
        request.server = Some(host.me.server);
        request.ports =
            vec![PortRequest { container_port: 3979.try_into().unwrap(), protocol: Protocol::Tcp, ask: any }];
        self.control.deployment_create(&request, &alice()).await.unwrap().id
    }

    pub async fn start(&self, sgc: SgcId) -> SessionId {
        self.control.session_start(sgc, &alice()).await.unwrap().session.id
    }

    pub async fn session(&self, id: SessionId) -> Session {
        self.control.session_get(id).await.unwrap()
    }

    /// Waits until a session is in this state, and says how long that took.
    pub async fn until(&self, id: SessionId, state: State) -> Duration {
        let before = Instant::now();
        loop {
            let session = self.session(id).await;
            if session.state == state {
                return before.elapsed();
            }
            assert!(before.elapsed() < secs(300), "{id} never becomes {state}: {session:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until something is so, and says how long that took.
    pub async fn when(&self, so: impl AsyncFn() -> bool) -> Duration {
        let before = Instant::now();
        while !so().await {
            assert!(before.elapsed() < secs(300), "it never becomes so");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        before.elapsed()
    }

    pub async fn host(&self, name: &str) -> Host {
        Host::register(self, name).await
    }
}
