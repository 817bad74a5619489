//! A cluster of its own for each test: processes, broker, database, tokens.

mod broker;
mod engine;
mod held;
mod process;

use std::{path::Path, process::Command, time::Duration};

use manman_services::{Postgres, Weed};
use serde_json::Value;

pub use crate::installation::{Ran, until};
pub use broker::{Broker, Kind, told_on};
pub use engine::docker;
pub use held::Held;
pub use process::Process;

/// What `config create` takes for the game of these tests.
pub const GAME: &[&str] = &["--image", "manman-fixture/testgame:1"];

/// Long: it bounds a hang, it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A control plane of two replicas each, and one host.
pub struct Cluster {
    /// What is in it stays until all processes are gone.
    directory: tempfile::TempDir,
    /// The environment in names and labels: unique, so that tests never meet.
    pub environment: String,
    pub broker: Broker,
    pub database: String,
    pub admin: String,
    join: String,
    /// Where the API keeps blobs.
    pub blobs: Option<String>,
    /// The authority of an encrypted API.
    ca: Option<std::path::PathBuf>,
    pub apis: Vec<Process>,
    pub processors: Vec<Process>,
    pub hosts: Vec<Process>,
}

impl Cluster {
    /// One on a broker of this kind with everything up.
    pub fn up(kind: Kind) -> Self {
        let mut cluster = Self::new(kind);
        cluster.all();
        cluster
    }

    /// Brings up two replicas of each, and a host.
    pub fn all(&mut self) {
        for _ in 0..2 {
            self.api();
            self.processor();
        }
        self.host("box");
        self.ready();
    }

    /// One of which nothing runs but the broker and a migrated database.
    pub fn new(kind: Kind) -> Self {
        let postgres = Postgres::shared();
        Self::over(kind, postgres.url(&postgres.database()))
    }

    /// The same over another database.
    pub fn over(kind: Kind, database: String) -> Self {
        let directory =
            tempfile::Builder::new().prefix("cluster-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let migrated = Ran::of(
            Command::new(env!("CARGO_BIN_EXE_control-migration"))
                .arg("up")
                .env_clear()
                .env("DATABASE_URL", &database),
        );
        assert_eq!(migrated.code, 0, "{migrated}");
        Self {
            environment: process::unique("c"),
            broker: Broker::start(kind),
            database,
            admin: process::token(),
            join: process::token(),
            blobs: None,
            ca: None,
            directory,
            apis: Vec::new(),
            processors: Vec::new(),
            hosts: Vec::new(),
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// One more replica of the API.
    pub fn api(&mut self) {
        let name = format!("control-api-{}", self.apis.len());
        let port = manman_services::free_port();
        let mut process = Process::new(self.path(), &name, env!("CARGO_BIN_EXE_control-api"));
        process.set("LISTEN", format!("127.0.0.1:{port}"));
        process.set("BROKER_URL", self.broker.url());
        process.set("DATABASE_URL", &self.database);
        process.set("ADMIN_TOKEN", &self.admin);
        process.set("JOIN_TOKEN", &self.join);
        if let Some(blobs) = &self.blobs {
            process.set("BLOB_URL", blobs);
        }
        if self.ca.is_some() {
            process.set("TLS_CERT", self.path().join("server.pem").display());
            process.set("TLS_KEY", self.path().join("server.key").display());
        }
        process.start();
        self.apis.push(process);
    }

    /// One more event processor.
    pub fn processor(&mut self) {
        let name = format!("event-processor-{}", self.processors.len());
        let mut process = Process::new(self.path(), &name, env!("CARGO_BIN_EXE_event-processor"));
        process.set("BROKER_URL", self.broker.url());
        process.set("DATABASE_URL", &self.database);
        process.start();
        self.processors.push(process);
    }

    /// A host of this name; the first one joins with the token of the configuration, others
    /// with one that is made for them.
    pub fn host(&mut self, name: &str) {
        let join = match self.hosts.is_empty() {
            true => self.join.clone(),
            false => self.join_token(name),
        };
        let mut process = Process::new(self.path(), name, env!("CARGO_BIN_EXE_host-manager"));
        process.set("SERVER_NAME", name);
        process.set("ENVIRONMENT", &self.environment);
        process.set("API_ADDRESS", self.apis[0].get("LISTEN"));
        process.set("BROKER_URL", self.broker.url());
        process.set("DATA_DIR", self.path().join(format!("data-{name}")).display());
        process.set("MANMAN_RUNTIME", "docker");
        process.set("JOIN_TOKEN", &join);
        if let Some(ca) = &self.ca {
            process.set("API_CA", ca.display());
        }
        process.start();
        self.hosts.push(process);
    }

    /// A token that makes one machine the host of this name.
    pub fn join_token(&self, name: &str) -> String {
        self.ok(&["token", "create", name, "--join", "--server", name]).out.trim().to_owned()
    }

    /// Makes an authority and a certificate; the API is served with it from now on.
    pub fn encrypt(&mut self) {
        manman_services::certificates(self.path(), "DNS:localhost,IP:127.0.0.1");
        self.ca = Some(self.path().join("ca.pem"));
    }

    /// `manman up --no-host` in place of the programs of a control plane, on a database in a
    /// file. Its operator's token is that of its data directory.
    pub fn up_without_host(&mut self) {
        let port = manman_services::free_port();
        let mut process = Process::new(self.path(), "up", env!("CARGO_BIN_EXE_manman"));
        process.words(&["up", "--no-host"]);
        process.set("LISTEN", format!("127.0.0.1:{port}"));
        process.set("BROKER_URL", self.broker.url());
        process.set("DATA_DIR", self.path().join("data").display());
        process.start();
        let token = self.path().join("data/token");
        self.admin = until("it has a token", PATIENCE, || std::fs::read_to_string(&token).ok());
        self.admin = self.admin.trim().to_owned();
        self.apis.push(process);
        until("it answers", PATIENCE, || (self.run_at(0, &["server", "list"]).code == 0).then_some(()));
        self.join = self.join_token("box");
    }

    /// Waits until every process says that it is ready, and every host is online.
    #[track_caller]
    pub fn ready(&self) {
        for process in self.apis.iter().chain(&self.processors).chain(&self.hosts) {
            until(&format!("{} is ready", process.name), PATIENCE, || process.is_ready().then_some(()));
        }
        for host in &self.hosts {
            self.await_server(&host.name, "online", PATIENCE);
        }
    }

    #[track_caller]
    pub fn await_server(&self, name: &str, status: &str, patience: Duration) {
        until(&format!("{name} is {status}"), patience, || {
            let servers = self.run_at(0, &["server", "list", "-o", "json"]);
            let servers: Value = serde_json::from_str(&servers.out).ok()?;
            let all = servers["servers"].as_array()?;
            all.iter().any(|server| server["name"] == name && server["status"] == status).then_some(())
        });
    }

    /// Runs the client against a replica.
    pub fn run_at(&self, replica: usize, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_manman"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("API_ADDRESS", self.apis[replica].get("LISTEN"))
            .env("API_TOKEN", &self.admin);
        if let Some(ca) = &self.ca {
            command.env("API_CA", ca);
        }
        Ran::of(&mut command)
    }

    /// Runs the client, which is to succeed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> Ran {
        self.ok_at(0, args)
    }

    /// Runs the client against a replica; it is to succeed.
    #[track_caller]
    pub fn ok_at(&self, replica: usize, args: &[&str]) -> Ran {
        let ran = self.run_at(replica, args);
        assert_eq!(ran.code, 0, "manman {args:?}: {ran}");
        ran
    }

    /// A deployment of this name with a game and a config of its own.
    #[track_caller]
    pub fn deploy(&self, name: &str, server: &str, config: &[&str]) {
        self.ok(&["game", "create", name]);
        self.ok(&[&["config", "create", name, "--game", name], config].concat());
        self.ok(&["deployment", "create", name, "--server", server, "--config", name]);
    }

    /// What there is to say of the latest session of a deployment.
    #[track_caller]
    pub fn story(&self, name: &str) -> Value {
        let shown = self.ok(&["session", "show", name, "-o", "json"]);
        serde_json::from_str(&shown.out).unwrap()
    }

    /// The latest session of a deployment.
    #[track_caller]
    pub fn session(&self, name: &str) -> Value {
        session_of(self.story(name))
    }

    /// What became of it, entry by entry.
    #[track_caller]
    pub fn timeline(&self, name: &str) -> Vec<Value> {
        let story = self.story(name);
        story["timeline"].as_array().unwrap_or_else(|| panic!("{story:#}")).clone()
    }

    /// Waits until the latest session of a deployment is there.
    #[track_caller]
    pub fn await_state(&self, name: &str, state: &str) -> Value {
        until(&format!("{name} is {state}"), PATIENCE, || {
            // A call may fail while a part is away.
            let shown = self.run_at(0, &["session", "show", name, "-o", "json"]);
            let session = serde_json::from_str(&shown.out).map(session_of).ok()?;
            (session["state"] == state).then_some(session)
        })
    }

    /// What the database answers.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        let ran = Ran::of(Command::new("psql").args(["-X", "-q", "-A", "-t", &self.database, "-c", sql]));
        assert_eq!(ran.code, 0, "{sql}: {ran}");
        ran.out.trim().to_owned()
    }
}

fn session_of(story: Value) -> Value {
    if story["session"].is_object() { story["session"].clone() } else { story }
}

impl Drop for Cluster {
    /// Leaves nothing behind, whatever became of the test.
    fn drop(&mut self) {
        let all = self.hosts.iter_mut().chain(&mut self.processors).chain(&mut self.apis);
        for process in all {
            process.kill();
            if std::thread::panicking() {
                eprintln!("--- {}:\n{}", process.name, process.log());
            }
        }
        for container in self.containers() {
            docker(&["rm", "-fv", &container]);
        }
        for network in self.networks() {
            docker(&["network", "rm", &network]);
        }
    }
}

/// The URL of a bucket of a SeaweedFS.
pub fn bucket_url(endpoint: &str, bucket: &str) -> String {
    format!("s3://{}:{}@{bucket}?endpoint={endpoint}", Weed::ACCESS_KEY, Weed::ENCODED_SECRET_KEY)
}
