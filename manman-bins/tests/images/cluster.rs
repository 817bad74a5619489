//! An installation by the compose files.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use manman_services::free_ports;
use serde_json::Value;

use crate::support::{Ground, PATIENCE, Ran, compose, docker, inspect, set, until};

/// The compose files of an installation, in a directory of their own.
pub struct Cluster {
    pub ground: Arc<Ground>,
    /// Where they are.
    pub place: PathBuf,
    admin: String,
    /// The first of its ports.
    ports: u16,
    /// Where the replicas of the API are published.
    apis: Vec<String>,
    /// The authority that the API is known by, once it is encrypted.
    pub ca: Option<PathBuf>,
}

/// What a template says to run, as its reader would paste it.
fn steps_of(template: &Path) -> String {
    let text = fs::read_to_string(template).unwrap();
    let steps: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    assert_eq!(steps.len(), 2, "{text}");
    steps.join("\n")
}

fn setting(file: &Path, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.next_back().unwrap_or_else(|| panic!("no {name} in {}", file.display())).to_owned()
}

impl Cluster {
    /// One on this broker.
    pub fn up(broker: &str) -> Self {
        let ground = Ground::shared();
        let place = ground.path().join(broker);
        ground.unpack(&place);
        let made = Ran::of(
            Command::new("/bin/sh")
                .args(["-ec", &steps_of(&place.join(".env.template"))])
                .current_dir(&place),
        );
        assert_eq!(made.code, 0, "{made}");
        let env = place.join(".env");
        assert_eq!(fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o600);
        let secrets = ["POSTGRES_PASSWORD", "BROKER_PASSWORD", "ADMIN_TOKEN", "JOIN_TOKEN"];
        let mut secrets = secrets.map(|name| setting(&env, name)).to_vec();
        let admin = secrets[2].clone();
        assert!(secrets.iter().all(|secret| secret.len() >= 64), "{secrets:?}");
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 4);
        let ports = free_ports(4);
        set(
            &env,
            &[
                ("COMPOSE_FILE", &format!("compose.yaml:compose.{broker}.yaml")),
                ("COMPOSE_PROJECT_NAME", &ground.name),
                ("MANMAN_TAG", &ground.name),
                ("SERVER_NAME", "box"),
                ("ENVIRONMENT", &ground.name),
                ("HOST_MANAGER_CONTAINER", &format!("{}-host", ground.name)),
                ("API_PORTS", &format!("{ports}-{}", ports + 1)),
                ("BROKER_PORT", &(ports + 2).to_string()),
                ("POSTGRES_IMAGE", "manman-fixture/postgres:1"),
                ("NATS_IMAGE", "manman-fixture/nats:1"),
                ("RABBITMQ_IMAGE", "manman-fixture/rabbitmq:1"),
            ],
        );
        let mut cluster = Self { ground, place, admin, ports, apis: Vec::new(), ca: None };
        cluster.bring_up();
        cluster
    }

    /// Brings up what `.env` says.
    pub fn bring_up(&mut self) {
        let up = compose(&self.place, "", &["up", "-d"]);
        assert_eq!(up.code, 0, "{up}");
        self.healthy();
        self.apis = self.published("control-api", "50051/tcp");
        assert_eq!(self.apis.len(), 2);
    }

    /// Where a port of each container of a service is published.
    pub fn published(&self, service: &str, port: &str) -> Vec<String> {
        let of_service = format!("label=com.docker.compose.service={service}");
        let ids = docker(&["ps", "-q", "--filter", &of_service, "--filter", &self.project()]).out;
        let published = |id: &str| {
            let binding = inspect(id)["NetworkSettings"]["Ports"][port][0].clone();
            assert_eq!(binding["HostIp"], "127.0.0.1", "{service}");
            format!("127.0.0.1:{}", binding["HostPort"].as_str().unwrap())
        };
        ids.lines().map(published).collect()
    }

    /// The filter of what compose made for it.
    pub fn project(&self) -> String {
        format!("label=com.docker.compose.project={}", self.ground.name)
    }

    /// Waits until all that goes on is healthy.
    fn healthy(&self) {
        let healthy = until("every container is healthy", PATIENCE, || {
            let ids = docker(&["ps", "-aq", "--filter", &self.project()]).out;
            let all: Vec<Value> = ids.lines().map(inspect).collect();
            let wrong = |container: &&Value| match container["State"]["Health"]["Status"].as_str() {
                Some(health) => health != "healthy",
                None => container["State"]["ExitCode"] != 0 || container["State"]["Running"] == true,
            };
            all.iter().find(wrong).is_none().then_some(all.len())
        });
        // PostgreSQL, the broker, the migration, two and two, the host.
        assert_eq!(healthy, 8);
    }

    pub fn run(&self, replica: usize, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_manman"));
        command.args(args).env_clear().env("HOME", &self.place).env("API_TOKEN", &self.admin);
        match &self.ca {
            Some(ca) => {
                command.env("API_CA", ca).env("API_ADDRESS", format!("https://{}", self.apis[replica]))
            }
            None => command.env("API_ADDRESS", &self.apis[replica]),
        };
        Ran::of(&mut command)
    }

    #[track_caller]
    pub fn ok(&self, replica: usize, args: &[&str]) -> Ran {
        let ran = self.run(replica, args);
        assert_eq!(ran.code, 0, "manman {args:?}: {ran}");
        ran
    }

    #[track_caller]
    pub fn await_online(&self, server: &str) {
        until(&format!("{server} is online"), PATIENCE, || {
            let servers = self.run(0, &["server", "list", "-o", "json"]);
            let servers: Value = serde_json::from_str(&servers.out).ok()?;
            let mut all = servers["servers"].as_array()?.iter();
            all.any(|one| one["name"] == server && one["status"] == "online").then_some(())
        });
    }

    #[track_caller]
    pub fn await_line(&self, deployment: &str, line: &str) {
        until(&format!("{deployment} shows {line:?}"), PATIENCE, || {
            self.run(1, &["logs", deployment, "--raw"]).out.contains(line).then_some(())
        });
    }

    /// Types something into a game; a host that has just come back may need a moment.
    #[track_caller]
    pub fn type_into(&self, deployment: &str, line: &str) {
        until(&format!("{deployment} takes {line:?}"), PATIENCE, || {
            (self.run(0, &["send", deployment, line]).code == 0).then_some(())
        });
        self.await_line(deployment, &format!("CMD: {line}"));
    }

    #[track_caller]
    pub fn deploy(&self, name: &str, server: &str) {
        self.ok(0, &["game", "create", name]);
        self.ok(0, &["config", "create", name, "--game", name, "--image", "manman-fixture/testgame:1"]);
        self.ok(0, &["deployment", "create", name, "--server", server, "--config", name]);
    }

    /// A second host by `host.yaml`, over what is encrypted; returns where its files are.
    pub fn other_host(&self) -> PathBuf {
        let place = self.ground.path().join("other");
        self.ground.unpack(&place);
        fs::create_dir(place.join("tls")).unwrap();
        fs::copy(self.ca.as_ref().unwrap(), place.join("tls/ca.pem")).unwrap();
        let join = self.ok(0, &["token", "create", "other", "--join", "--server", "other"]);
        let env = place.join("host.env");
        fs::copy(place.join("host.env.template"), &env).unwrap();
        let password = setting(&self.place.join(".env"), "BROKER_PASSWORD");
        let broker = self.published("nats", "4222/tcp").remove(0);
        set(
            &env,
            &[
                ("COMPOSE_PROJECT_NAME", &format!("{}-other", self.ground.name)),
                ("MANMAN_TAG", &self.ground.name),
                ("SERVER_NAME", "other"),
                ("ENVIRONMENT", &self.ground.name),
                ("HOST_MANAGER_CONTAINER", &format!("{}-other", self.ground.name)),
                ("API_ADDRESS", &format!("https://{}", self.apis[1])),
                ("API_CA", "/tls/ca.pem"),
                ("BROKER_URL", &format!("tls://manman:{password}@{broker}?ca=/tls/ca.pem")),
                ("JOIN_TOKEN", join.out.trim()),
                ("HEALTH_LISTEN", &format!("127.0.0.1:{}", self.ports + 3)),
            ],
        );
        place
    }

    /// What games have at the engine.
    pub fn await_no_games(&self) {
        let label = format!("label=manman.environment={}", self.ground.name);
        until("no game is left", PATIENCE, || {
            let containers = docker(&["ps", "-aq", "--filter", &label]).out;
            let networks = docker(&["network", "ls", "-q", "--filter", &label]).out;
            (containers.is_empty() && networks.is_empty()).then_some(())
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for project in [self.project(), format!("{}-other", self.project())] {
            for container in docker(&["ps", "-aq", "--filter", &project]).out.lines() {
                let looked = docker(&["inspect", "-f", "{{.Name}} {{json .State}}", container]);
                eprintln!("--- {}\n{}", looked.out, docker(&["logs", "--tail", "40", container]));
            }
        }
    }
}
