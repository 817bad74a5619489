//! What the cases stand on: a store, its clock, and a machine with a deployment.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use uuid::Uuid;

use crate::{
    broker::{Exchange, Message},
    clock::{Clock, Timestamp},
    id::{ConfigId, Epoch, GameId, ServerId, SessionId, SgcId},
    model::{
        Capacity, ConfigBody, Deployment, Labels, Phase, Port, PortAsk, PortNeed, Protocol, Reason, Session,
        StopMode, Want,
        config::{ConfigChange, NewConfig},
        deployment::{NewDeployment, PortRequest},
        game::NewGame,
        reason::ReasonCode,
    },
    store::{
        Actor, Applied, DeedError, IdempotencyKey, Registration, Source, Store, WantChange, Welcomed, Write,
    },
    testkit::ManualClock,
    wire::{Command, End, Envelope, ExternalEvent, ExternalKind, SessionReport},
};

/// How long a server may be silent.
pub(super) const STALE: Duration = Duration::from_secs(10);
/// How long a start may wait.
pub(super) const VALID: Duration = Duration::from_secs(60);
pub(super) const STOP: WantChange = WantChange::To(Want::Stop(StopMode::Graceful));
pub(super) const KILL: WantChange = WantChange::To(Want::Stop(StopMode::Kill));

/// A store and the clock that it goes by.
#[derive(Debug)]
pub struct Ground {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    sequence: AtomicI64,
}

/// The refusal, or a panic if there was none.
pub fn refused<T: std::fmt::Debug>(result: Result<T, DeedError>) -> DeedError {
    result.expect_err("this is refused")
}

impl Ground {
    /// Stands on an empty store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<ManualClock>) -> Self {
        Self { store, clock, sequence: AtomicI64::new(0) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// A server, registered just now by the machine of the same name.
    pub(super) async fn server(&self, name: &str) -> Welcomed {
        self.store.server_register(&hello(name, name), STALE).await.expect("the name is free")
    }

    pub(super) async fn game(&self, name: &str) -> GameId {
        self.store.game_create(&new_game(name), &write()).await.expect("the name is free").id
    }

    /// A config of a game of its own that needs these ports (UDP).
    pub(super) async fn config(&self, name: &str, ports: &[u16]) -> ConfigId {
        let game = self.game(name).await;
        let new = new_config(game, name, ports);
        self.store.config_create(&new, &write()).await.expect("the name is free").id
    }

    /// A deployment without ports on a server of its own, all of one name.
    pub(super) async fn deployment(&self, name: &str) -> (Welcomed, Deployment) {
        let welcomed = self.server(name).await;
        let config = self.config(name, &[]).await;
        let new = new_deployment(name, welcomed.server, config, &[]);
        let deployment = self.store.deployment_create(&new, &write()).await.expect("nothing is taken");
        (welcomed, deployment)
    }

    /// A pending session whose start has not left.
    pub(super) async fn session(&self, name: &str) -> (Welcomed, Session) {
        let (welcomed, deployment) = self.deployment(name).await;
        (welcomed, self.start(deployment.id).await)
    }

    /// A session whose first attempt runs, and whose messages have all left.
    pub(super) async fn running(&self, name: &str) -> (Welcomed, Session) {
        let (welcomed, session) = self.session(name).await;
        self.drain().await;
        assert_eq!(self.report(welcomed, running(session.id, 1)).await, Applied::Changed);
        self.drain().await;
        (welcomed, self.get(session.id).await)
    }

    /// A command for a running game that nobody has answered for.
    #[cfg(test)]
    pub(crate) async fn input(&self, name: &str) -> crate::store::CommandRecord {
        let (_, session) = self.running(name).await;
        let line = "save".parse().expect("a line");
        self.store.command_input(session.id, &line, VALID, &write()).await.expect("its game runs")
    }

    pub(super) async fn start(&self, sgc: SgcId) -> Session {
        let started = self.store.session_start(sgc, VALID, &write()).await.expect("the slot is free");
        assert!(!started.repeated);
        started.session
    }

    pub(super) async fn get(&self, id: SessionId) -> Session {
        self.store.session_get(id).await.expect("the store answers").expect("the session is there")
    }

    /// Where the next message of a host comes from.
    pub(super) fn source(&self, welcomed: Welcomed) -> Source {
        let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        Source { message: Uuid::now_v7(), server: welcomed.server, epoch: welcomed.epoch, sequence }
    }

    pub(super) async fn report(&self, welcomed: Welcomed, report: SessionReport) -> Applied {
        self.store.session_report(self.source(welcomed), &report).await.expect("the store answers")
    }

    /// Takes everything that is due out of the outbox, as a relay that always succeeds.
    pub(super) async fn drain(&self) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let due = self.store.outbox_due(16).await.expect("the store answers");
            if due.is_empty() {
                return all;
            }
            let ids: Vec<Uuid> = due.iter().map(|it| it.message.id).collect();
            self.store.outbox_sent(&ids).await.expect("the store answers");
            all.extend(due.into_iter().map(|it| it.message));
        }
    }

    /// The commands among what leaves now.
    pub(super) async fn hints(&self) -> Vec<Command> {
        hints_of(&self.drain().await)
    }

    /// The events among what leaves now.
    pub(super) async fn events(&self) -> Vec<ExternalKind> {
        events_of(&self.drain().await)
    }
}

pub(super) fn hints_of(messages: &[Message]) -> Vec<Command> {
    let commands = messages.iter().filter(|message| message.exchange == Exchange::Internal);
    commands.map(|it| Envelope::decode(&it.body).expect("a command reads back").body).collect()
}

pub(super) fn events_of(messages: &[Message]) -> Vec<ExternalKind> {
    let events = messages.iter().filter(|message| message.exchange == Exchange::External);
    events
        .map(|message| {
            match Envelope::<ExternalEvent>::decode(&message.body).expect("an event reads back").body {
                ExternalEvent::Host { event, .. } | ExternalEvent::Session { event, .. } => event,
            }
        })
        .collect()
}

pub(super) fn write() -> Write {
    Write::by(Actor("alice".into()))
}

/// A write under `key`, for the request `body`.
pub(super) fn keyed(rpc: &'static str, key: &str, body: u8) -> Write {
    Write { idempotency: Some(IdempotencyKey { rpc, key: key.to_owned(), request: [body; 32] }), ..write() }
}

pub(super) fn hello(name: &str, machine: &str) -> Registration {
    Registration {
        name: name.parse().expect("a name"),
        environment: Default::default(),
        machine_id: machine.to_owned(),
        engine_id: "engine".to_owned(),
        capacity: Capacity { cpus: 2, memory_bytes: 1 << 34, ..Capacity::default() },
        public_address: Some("play.example".to_owned()),
        take_over: false,
    }
}

pub(super) fn new_game(name: &str) -> NewGame {
    let metadata = Labels::from([("genre".to_owned(), "trains, Züge, 列車 'n \"more\"".to_owned())]);
    NewGame { name: name.parse().expect("a name"), steam_app_id: Some("1536610".to_owned()), metadata }
}

pub(super) fn new_config(game: GameId, name: &str, ports: &[u16]) -> NewConfig {
    let mut body = ConfigBody::new("openttd:13.0".parse().expect("an image"));
    let need = |&number: &u16| PortNeed { container_port: port(number), protocol: Protocol::Udp };
    body.ports = ports.iter().map(need).collect();
    NewConfig { game, name: name.parse().expect("a name"), body }
}

pub(super) fn config_change(body: &ConfigBody) -> ConfigChange {
    ConfigChange { seen: None, body: body.clone(), ports: BTreeMap::new() }
}

pub(super) fn new_deployment(
    name: &str,
    server: ServerId,
    config: ConfigId,
    ports: &[(u16, PortAsk)],
) -> NewDeployment {
    let request = |&(inside, ask): &(u16, PortAsk)| PortRequest {
        container_port: port(inside),
        protocol: Protocol::Udp,
        ask,
    };
    NewDeployment {
        name: name.parse().expect("a name"),
        server,
        config,
        ports: ports.iter().map(request).collect(),
        labels: Labels::from([("team".to_owned(), "red".to_owned())]),
    }
}

pub(super) fn port(number: u16) -> Port {
    Port::try_from(i64::from(number)).expect("a port")
}

pub(super) fn phase(session: SessionId, attempt: u32, phase: Phase) -> SessionReport {
    SessionReport::Phase { session, attempt, phase, progress: None, reason: None }
}

pub(super) fn running(session: SessionId, attempt: u32) -> SessionReport {
    let started_at = Timestamp::from_micros(0);
    SessionReport::Running {
        session,
        attempt,
        started_at,
        image_digest: "sha256:0".to_owned(),
        spec_hash: "5bec".to_owned(),
        manager_version: "0.1.0".to_owned(),
    }
}

pub(super) fn ended(session: SessionId, attempt: u32, end: End, exit_code: Option<i32>) -> SessionReport {
    SessionReport::Ended {
        session,
        attempt,
        end,
        exit_code,
        out_of_memory: false,
        at: Timestamp::from_micros(i64::MAX),
        reason: Reason::new(ReasonCode::Exited, "it ended by itself"),
        last_lines: vec!["world saved".to_owned(), "bye".to_owned()],
    }
}

pub(super) fn older(welcomed: Welcomed) -> Welcomed {
    Welcomed { epoch: Epoch(welcomed.epoch.0 - 1), ..welcomed }
}
