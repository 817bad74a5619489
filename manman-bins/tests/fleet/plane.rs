//! The control plane of a fleet: a broker, PostgreSQL, and processes whose cost is told apart.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use manman_bins::{config::BrokerUrl, secret::Secret};
use manman_services::{NatsServer, NatsVersion, Postgres, Rabbit};

use crate::{
    Ran,
    cost::Part,
    process::{Process, token},
};

/// Long: it bounds a hang, it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RabbitMq,
    Nats,
}

enum Broker {
    RabbitMq { node: Rabbit, vhost: String },
    Nats(NatsServer),
}

impl Broker {
    fn start(kind: Kind) -> Self {
        match kind {
            Kind::RabbitMq => {
                let node = Rabbit::start(None);
                Self::RabbitMq { vhost: node.vhost(), node }
            }
            Kind::Nats => Self::Nats(NatsServer::start(NatsVersion::Packaged)),
        }
    }

    fn url(&self) -> String {
        match self {
            // Its user and password, escaped.
            Self::RabbitMq { node, vhost } => {
                format!("amqp://admin:p%40ss%2Fwo%3Ard%3F@127.0.0.1:{}/{vhost}", node.port())
            }
            Self::Nats(server) => format!("nats://127.0.0.1:{}", server.port()),
        }
    }

    fn pid(&self) -> Option<u32> {
        match self {
            Self::RabbitMq { node, .. } => node.pid(),
            Self::Nats(server) => server.pid(),
        }
    }
}

/// All that runs beside the hosts. What is in it ends in this order.
pub struct Plane {
    pub kind: Kind,
    processors: Vec<Process>,
    api: Process,
    broker: Broker,
    postgres: Postgres,
    pub database: String,
    pub admin: String,
    pub parts: Vec<Part>,
    _directory: tempfile::TempDir,
}

impl Plane {
    /// Everything up and ready.
    pub fn up(kind: Kind, processors: usize) -> Self {
        let directory =
            tempfile::Builder::new().prefix("fleet-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (broker, postgres) = (Broker::start(kind), Postgres::start());
        let database = postgres.url(&postgres.database());
        let migration = env!("CARGO_BIN_EXE_control-migration");
        let migrated = Ran::of(Command::new(migration).arg("up").env_clear().env("DATABASE_URL", &database));
        assert_eq!(migrated.code, 0, "{migrated}");
        let mut api = Process::new(directory.path(), "control-api", env!("CARGO_BIN_EXE_control-api"));
        let admin = token();
        api.set("LISTEN", format!("127.0.0.1:{}", manman_services::free_port()));
        api.set("ADMIN_TOKEN", &admin);
        let program = env!("CARGO_BIN_EXE_event-processor");
        let mut processors: Vec<Process> = (0..processors)
            .map(|number| Process::new(directory.path(), &format!("event-processor-{number}"), program))
            .collect();
        for process in processors.iter_mut().chain([&mut api]) {
            process.set("BROKER_URL", broker.url());
            process.set("DATABASE_URL", &database);
            process.start();
        }
        let begun = Instant::now();
        for process in processors.iter().chain([&api]) {
            while !process.is_ready() {
                assert!(begun.elapsed() < PATIENCE, "{} is not ready:\n{}", process.name, process.log());
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        let processor_pids = processors.iter_mut().map(|process| process.guarded().pid()).collect();
        let parts = vec![
            Part::new("broker", broker.pid().into_iter().collect()),
            Part::new("PostgreSQL", postgres.pid().into_iter().collect()),
            Part::new("processors", processor_pids),
            Part::new("API", vec![api.guarded().pid()]),
            Part::new("generator", Vec::new()),
        ];
        Self { kind, processors, api, broker, postgres, database, admin, parts, _directory: directory }
    }

    /// Where the API is served.
    pub fn api(&self) -> &str {
        self.api.get("LISTEN")
    }

    /// What hosts connect to.
    pub fn broker(&self) -> BrokerUrl {
        let url = Secret::new(self.broker.url());
        match self.kind {
            Kind::RabbitMq => BrokerUrl::RabbitMq(url),
            Kind::Nats => BrokerUrl::Nats(url),
        }
    }

    /// The lines of these processes' logs that are warnings or errors.
    pub fn complaints(&self) -> Vec<String> {
        let bad = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
        let all = self.processors.iter().chain([&self.api]);
        all.flat_map(|process| {
            let log = process.log();
            log.lines().filter(bad).map(|line| format!("{}: {line}", process.name)).collect::<Vec<_>>()
        })
        .collect()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let complaints = self.complaints();
            let shown = complaints.len().saturating_sub(40);
            eprintln!(
                "--- complaints, the last of {}:\n{}",
                complaints.len(),
                complaints[shown..].join("\n")
            );
        }
        for process in self.processors.iter_mut().chain([&mut self.api]) {
            process.kill();
        }
        let _ = &self.postgres;
    }
}
