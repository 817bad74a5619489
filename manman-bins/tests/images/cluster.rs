//! An installation by the compose files, from their templates to its end.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use manman_services::free_port;
use serde_json::Value;

use crate::support::{Ground, PATIENCE, Ran, compose, docker, inspect, set, until};

/// The compose files of an installation, in a directory of their own.
struct Cluster {
    ground: Arc<Ground>,
    place: PathBuf,
    admin: String,
    /// Where the replicas of the API are published.
    apis: Vec<String>,
    /// The authority that the API is known by, once it is encrypted.
    ca: Option<PathBuf>,
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
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.last().unwrap_or_else(|| panic!("no {name} in {}", file.display())).to_owned()
}

impl Cluster {
    fn up() -> Self {
        let ground = Ground::shared();
        let place = ground.path().join("place");
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
        // Beneath those that the system gives to whoever asks for any, and more of them than
        // replicas: the engine takes those that are free.
        let first = 20_000 + free_port() % 1_200 * 10;
        set(
            &env,
            &[
                ("COMPOSE_PROJECT_NAME", &ground.name),
                ("MANMAN_TAG", &ground.name),
                ("SERVER_NAME", "box"),
                ("ENVIRONMENT", &ground.name),
                ("HOST_MANAGER_CONTAINER", &format!("{}-host", ground.name)),
                ("API_PORTS", &format!("{first}-{}", first + 9)),
                ("POSTGRES_IMAGE", "manman-fixture/postgres:1"),
                ("NATS_IMAGE", "manman-fixture/nats:1"),
            ],
        );
        let mut cluster = Self { ground, place, admin, apis: Vec::new(), ca: None };
        cluster.bring_up();
        cluster
    }

    /// Brings up what `.env` says.
    fn bring_up(&mut self) {
        let up = compose(&self.place, "", &["up", "-d"]);
        assert_eq!(up.code, 0, "{up}");
        self.healthy();
        self.apis = self.published("control-api", "50051/tcp");
        assert_eq!(self.apis.len(), 2);
    }

    /// Where a port of each container of a service is published.
    fn published(&self, service: &str, port: &str) -> Vec<String> {
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
    fn project(&self) -> String {
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
        // PostgreSQL, NATS, the migration, two and two, the host.
        assert_eq!(healthy, 8);
    }

    fn run(&self, replica: usize, args: &[&str]) -> Ran {
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
    fn ok(&self, replica: usize, args: &[&str]) -> Ran {
        let ran = self.run(replica, args);
        assert_eq!(ran.code, 0, "manman {args:?}: {ran}");
        ran
    }

    #[track_caller]
    fn await_online(&self, server: &str) {
        until(&format!("{server} is online"), PATIENCE, || {
            let servers = self.run(0, &["server", "list", "-o", "json"]);
            let servers: Value = serde_json::from_str(&servers.out).ok()?;
            let mut all = servers["servers"].as_array()?.iter();
            all.any(|one| one["name"] == server && one["status"] == "online").then_some(())
        });
    }

    #[track_caller]
    fn await_line(&self, deployment: &str, line: &str) {
        until(&format!("{deployment} shows {line:?}"), PATIENCE, || {
            self.run(1, &["logs", deployment, "--raw"]).out.contains(line).then_some(())
        });
    }

    /// Types something into a game; a host that has just come back may need a moment.
    #[track_caller]
    fn type_into(&self, deployment: &str, line: &str) {
        until(&format!("{deployment} takes {line:?}"), PATIENCE, || {
            (self.run(0, &["send", deployment, line]).code == 0).then_some(())
        });
        self.await_line(deployment, &format!("CMD: {line}"));
    }

    #[track_caller]
    fn deploy(&self, name: &str, server: &str) {
        self.ok(0, &["game", "create", name]);
        self.ok(0, &["config", "create", name, "--game", name, "--image", "manman-fixture/testgame:1"]);
        self.ok(0, &["deployment", "create", name, "--server", server, "--config", name]);
    }

    /// A second host by `host.yaml`, over what is encrypted; returns where its files are.
    fn other_host(&self) -> PathBuf {
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
                ("HEALTH_LISTEN", &format!("127.0.0.1:{}", free_port())),
            ],
        );
        place
    }

    /// What games have at the engine.
    fn await_no_games(&self) {
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

/// The host manager has the three capabilities and nothing more, and gave the game's
/// directory to the game's user.
fn least_privilege(cluster: &Cluster) {
    let host = inspect(&format!("{}-host", cluster.ground.name));
    let config = &host["HostConfig"];
    assert_eq!(config["CapDrop"], serde_json::json!(["ALL"]), "{config:#}");
    // Newer engines write them out.
    let added = config["CapAdd"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let mut added: Vec<&str> = added.map(|name| name.trim_start_matches("CAP_")).collect();
    added.sort_unstable();
    assert_eq!(added, ["CHOWN", "DAC_OVERRIDE", "FOWNER"], "{config:#}");
    assert_eq!((&config["Privileged"], &config["ReadonlyRootfs"]), (&false.into(), &true.into()));
    let data = cluster.place.join("data");
    let games = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap());
    let mut games = games.filter(|entry| entry.file_type().unwrap().is_dir());
    let game = games.find(|entry| entry.file_name().to_string_lossy().starts_with("gsc-")).unwrap();
    let world = fs::metadata(game.path().join("world.dat")).unwrap();
    assert_eq!((world.uid(), game.metadata().unwrap().uid()), (1000, 1000));
}

/// The API and NATS are encrypted from now on: `.env` says so.
fn encrypt(cluster: &mut Cluster) {
    let tls = cluster.place.join("tls");
    manman_services::certificates(&tls, "DNS:control-api,DNS:nats,IP:127.0.0.1");
    for (made, called) in [("server.pem", "cert.pem"), ("server.key", "key.pem")] {
        fs::rename(tls.join(made), tls.join(called)).unwrap();
    }
    // Who runs the test need not be root, and cannot give it away then.
    fs::set_permissions(tls.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    cluster.ca = Some(tls.join("ca.pem"));
    let files = "compose.yaml:compose.nats.yaml:compose.tls.yaml:compose.nats-tls.yaml";
    let port = free_port().to_string();
    set(&cluster.place.join(".env"), &[("COMPOSE_FILE", files), ("BROKER_PORT", &port)]);
    cluster.bring_up();
}

#[test]
fn compose_takes_what_the_templates_offer() {
    let ground = Ground::shared();
    let place = ground.path().join("offered");
    ground.unpack(&place);
    fs::copy(place.join(".env.template"), place.join(".env")).unwrap();
    set(&place.join(".env"), &[("SERVER_NAME", "box")]);
    let template = fs::read_to_string(place.join(".env.template")).unwrap();
    let offered =
        template.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix("COMPOSE_FILE="));
    let offered: Vec<&str> = offered.collect();
    assert_eq!(offered.len(), 3);
    for files in offered {
        let config = compose(&place, files, &["config", "-q"]);
        assert_eq!(config.code, 0, "{files}: {config}");
    }
    // What was not said is asked for.
    fs::remove_file(place.join(".env")).unwrap();
    let config = compose(&place, "compose.yaml", &["config", "-q"]);
    assert!(config.code != 0 && config.err.contains("make .env from .env.template first"), "{config}");
}

#[test]
fn from_the_templates_to_a_game_and_back_to_nothing() {
    let mut cluster = Cluster::up();
    cluster.await_online("box");
    cluster.deploy("town", "box");
    cluster.ok(1, &["start", "town"]);
    cluster.type_into("town", "save");
    cluster.await_line("town", "Saved the game");
    least_privilege(&cluster);

    // The game goes on while all around it but PostgreSQL is replaced.
    encrypt(&mut cluster);
    cluster.await_online("box");
    cluster.type_into("town", "say still here");

    // A second host, where somebody gets a path wrong, and then does not.
    let other = cluster.other_host();
    let wrong = "version: '3.8'\nservices: {host-manager: {environment: {HOST_DATA_DIR: /not/there}}}\n";
    fs::write(other.join("wrong.yaml"), wrong).unwrap();
    let up = compose(&other, "host.yaml:wrong.yaml", &["--env-file", "host.env", "up", "-d"]);
    assert_eq!(up.code, 0, "{up}");
    cluster.await_online("other");
    cluster.deploy("hill", "other");
    let refused = cluster.run(0, &["start", "hill"]);
    assert_eq!(refused.code, 1, "{refused}");
    let sentence = "the engine does not see the data directory /data as /not/there: set HOST_DATA_DIR to the \
                    directory of the machine that is mounted at /data";
    assert!(refused.err.contains(sentence), "{refused}");
    let up = compose(&other, "host.yaml", &["--env-file", "host.env", "up", "-d"]);
    assert_eq!(up.code, 0, "{up}");
    until("hill runs", PATIENCE, || (cluster.run(0, &["start", "hill"]).code == 0).then_some(()));
    cluster.type_into("hill", "say found by itself");

    for game in ["hill", "town"] {
        cluster.ok(1, &["stop", game]);
    }
    cluster.await_no_games();
    let down = compose(&other, "host.yaml", &["--env-file", "host.env", "down", "-v"]);
    assert_eq!(down.code, 0, "{down}");
    let down = compose(&cluster.place, "", &["down", "-v"]);
    assert_eq!(down.code, 0, "{down}");
    for left in [&["ps", "-aq"][..], &["network", "ls", "-q"], &["volume", "ls", "-q"]] {
        let left = docker(&[left, &["--filter", &cluster.project()]].concat());
        assert!(left.out.is_empty(), "{left}");
    }
}
