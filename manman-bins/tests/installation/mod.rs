//! An installation of its own for each test: data directory, environment, port, process.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stderr, reason = "what a failed test shows")]
#![allow(dead_code, reason = "each test program uses its part")]

pub mod cycles;
pub mod flood;
pub mod ran;
pub mod stories;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use manman_services::Patience;
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
    let mut patience = Patience::new(at_most);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(!patience.is_spent(), "{what}: not within {at_most:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One `manman up` with all that belongs to it. What its games run in is none of its business.
pub struct Installation {
    directory: tempfile::TempDir,
    /// The environment in names and labels: unique, so that tests never meet.
    pub environment: String,
    listen: String,
    /// Further variables of its commands.
    variables: Vec<(&'static str, OsString)>,
    /// The program, after what it is run by.
    words: Vec<OsString>,
    process: Option<Child>,
}

impl Installation {
    /// Sets one up in `directory`, without starting it.
    pub fn new(directory: tempfile::TempDir, variables: &[(&'static str, &OsStr)]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            directory,
            environment: format!("t{}-{number}", std::process::id()),
            listen: format!("127.0.0.1:{}", manman_services::free_port()),
            variables: variables.iter().map(|&(name, value)| (name, value.to_owned())).collect(),
            words: vec![env!("CARGO_BIN_EXE_manman").into()],
            process: None,
        }
    }

    /// Runs its commands by these words from now on, the program among them.
    pub fn run_by(&mut self, words: &[&OsStr]) {
        self.words = words.iter().map(|&word| word.to_owned()).collect();
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
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATA_DIR", self.data())
            .env("ENVIRONMENT", &self.environment)
            .env("SERVER_NAME", "box")
            .env("LISTEN", &self.listen)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts the process and waits until its host manager is heard, and it has said what it is.
    pub fn start(&mut self) {
        let banner = |log: &str| log.matches("Ctrl-C ends manman").count();
        let before = banner(&self.log());
        self.spawn();
        until("the banner", Duration::from_secs(60), || (banner(&self.log()) > before).then_some(()));
        until("the server comes online", Duration::from_secs(60), || {
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
        until("the API answers", Duration::from_secs(60), || {
            if let Some(status) = self.process.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("manman up ended with {status}:\n{}", self.log());
            }
            (self.run(&["server", "list"]).code == 0).then_some(())
        });
    }

    /// What `manman up` has printed so far.
    pub fn log(&self) -> String {
        // A character may be half written.
        let log = std::fs::read(self.data().join("up.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The process of `manman up`.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Ends the process with SIGKILL.
    pub fn kill_9(&mut self) {
        assert!(self.process.is_some());
        self.end();
    }

    /// Ends the process with SIGKILL, if there is one.
    pub fn end(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until the process has ended by itself, and returns its exit code.
    pub fn await_end(&mut self) -> i32 {
        let mut child = self.process.take().unwrap();
        until("manman up ends", Duration::from_secs(60), || child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    /// Ends the process as Ctrl-C does, and returns its exit code.
    pub fn interrupt(&mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(self.process.as_ref().unwrap());
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.await_end()
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

    /// What the console of a deployment shows of one line that is typed into it.
    #[track_caller]
    pub fn typed(&self, deployment: &str, line: &str) -> Ran {
        let mut console = self.client(&["console", deployment, "--wait", "5s"]);
        let mut console =
            console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Its end ends the console, too, once the game has been quiet.
        writeln!(console.stdin.take().unwrap(), "{line}").unwrap();
        let ran = Ran::from(console.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{ran}");
        ran
    }

    /// Waits until a deployment has printed this to stdout.
    #[track_caller]
    pub fn await_output(&self, deployment: &str, text: &str) {
        until(text, Duration::from_secs(60), || {
            self.ok(&["logs", deployment, "--raw"]).out.contains(text).then_some(())
        });
    }

    /// All that the latest session of a deployment has printed, read until it has ended.
    #[track_caller]
    pub fn all_output(&self, deployment: &str) -> String {
        self.ok(&["logs", deployment, "-f", "--raw"]).out
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
        let mut patience = Patience::new(Duration::from_secs(60));
        loop {
            let last = self.session(deployment);
            if last["state"] == state {
                return last;
            }
            assert!(
                !patience.is_spent(),
                "{deployment} never was {state}: {last:#}\n--- manman up:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.end();
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
