//! An installation of its own for each test: data directory, environment, port, process.

pub mod docker;
pub mod ran;

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

pub use ran::Ran;
use serde_json::Value;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// How often and how long, by `MANMAN_TESTS`; never what is asserted.
pub fn scaled<T>(ci: T, full: T) -> T {
    match std::env::var("MANMAN_TESTS").as_deref() {
        Ok("full") => full,
        _ => ci,
    }
}

/// Waits for a condition, and says which one never came.
#[track_caller]
pub fn until<T>(what: &str, at_most: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < at_most, "{what}: not within {at_most:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One `manman up` with all that belongs to it.
pub struct Installation {
    directory: tempfile::TempDir,
    /// The environment in names and labels: unique, so that tests never meet.
    pub environment: String,
    listen: String,
    socket: PathBuf,
    process: Option<Child>,
}

impl Installation {
    /// Sets one up and brings it up, on the shared engine.
    pub fn up() -> Self {
        let mut installation = Self::new(Path::new("/var/run/docker.sock"));
        docker::answers();
        installation.start();
        installation
    }

    /// Sets one up for the engine at `socket`, without starting it.
    pub fn new(socket: &Path) -> Self {
        let directory =
            tempfile::Builder::new().prefix("installation-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self {
            directory,
            environment: format!("t{}-{number}", std::process::id()),
            listen: free.to_string(),
            socket: socket.to_owned(),
            process: None,
        }
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of one of its deployments.
    pub fn game_directory(&self, sgc: i64) -> PathBuf {
        self.data().join(format!("gsc-{}-{sgc}", self.environment))
    }

    /// Writes its configuration file.
    pub fn configure(&self, toml: &str) {
        std::fs::write(self.data().join("manman.toml"), toml).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_manman"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATA_DIR", self.data())
            .env("ENVIRONMENT", &self.environment)
            .env("SERVER_NAME", "box")
            .env("LISTEN", &self.listen)
            .env("DOCKER_SOCKET", &self.socket)
            .stdin(Stdio::null());
        command
    }

    /// Starts the process and waits until its host manager is heard.
    pub fn start(&mut self) {
        self.spawn();
        until("the server comes online", Duration::from_secs(30), || {
            let servers = self.run(&["server", "list", "-o", "json"]);
            let servers: Value = serde_json::from_str(&servers.out).ok()?;
            let online = list(&servers).iter().any(|server| server["status"] == "online");
            online.then_some(())
        });
    }

    /// Starts the process and waits until its API answers.
    pub fn spawn(&mut self) {
        self.spawn_with(&[]);
    }

    /// Starts the process with further arguments and waits until its API answers.
    pub fn spawn_with(&mut self, args: &[&str]) {
        assert!(self.process.is_none());
        let log = File::options().create(true).append(true).open(self.data().join("up.log")).unwrap();
        let child = self
            .command()
            .arg("up")
            .args(args)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the built manman starts");
        self.process = Some(child);
        until("the API answers", Duration::from_secs(30), || {
            if let Some(status) = self.process.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("manman up ended with {status}:\n{}", self.log());
            }
            (self.run(&["server", "list"]).code == 0).then_some(())
        });
    }

    /// What `manman up` has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data().join("up.log")).unwrap_or_default()
    }

    /// The process of `manman up`.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Ends the process with SIGKILL.
    pub fn kill_9(&mut self) {
        let mut child = self.process.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the process as Ctrl-C does, and returns its exit code.
    pub fn interrupt(&mut self) -> i32 {
        let mut child = self.process.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        until("manman up ends", Duration::from_secs(15), || child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    /// Runs a client command.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command().args(args))
    }

    /// Runs a client command that is to succeed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "manman {args:?}:\n{ran}\n--- manman up:\n{}", self.log());
        ran
    }

    /// Runs a client command that is to succeed, and reads what it says as JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.ok(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("manman {args:?}: {error}:\n{ran}"))
    }

    /// A client command, to be run while the test goes on.
    pub fn client(&self, args: &[&str]) -> Command {
        let mut command = self.command();
        command.args(args);
        command
    }

    /// Creates game, config and deployment of the same name, with what `config create` takes.
    pub fn deploy(&self, name: &str, config: &[&str], ports: &[&str]) -> i64 {
        if self.run(&["game", "show", name]).code != 0 {
            self.ok(&["game", "create", name]);
        }
        self.ok(&[&["config", "create", name, "--game", name], config].concat());
        let ports: Vec<&str> = ports.iter().flat_map(|port| ["--port", port]).collect();
        let created =
            self.json(&[&["deployment", "create", name, "--config", name], ports.as_slice()].concat());
        created["server_game_config_id"].as_i64().unwrap_or_else(|| panic!("no id in {created}"))
    }

    /// The latest session of a deployment.
    pub fn session(&self, deployment: &str) -> Value {
        let shown = self.json(&["session", "show", deployment]);
        shown.get("session").cloned().unwrap_or(shown)
    }

    /// Waits until the latest session of a deployment is in this state.
    #[track_caller]
    pub fn await_state(&self, deployment: &str, state: &str) -> Value {
        let start = Instant::now();
        loop {
            let last = self.session(deployment);
            if last["state"] == state {
                return last;
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{deployment} never was {state}: {last:#}\n--- manman up:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
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
        until("containers and networks are gone", Duration::from_secs(30), || {
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
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.socket == Path::new("/var/run/docker.sock") {
            for container in self.containers() {
                let _ = docker::run(&["rm", "-fv", &container]);
            }
            for network in self.networks() {
                let _ = docker::run(&["network", "rm", &network]);
            }
        }
        if std::thread::panicking() {
            eprintln!("--- manman up of {}:\n{}", self.environment, self.log());
        }
    }
}

/// The entries of a list that a client command printed.
pub fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(entries) => entries.clone(),
        Value::Object(fields) => fields.values().find_map(Value::as_array).cloned().unwrap_or_default(),
        _ => Vec::new(),
    }
}
