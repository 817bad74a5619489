//! An installation in this process, and the program that is run against it.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    fmt,
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use manman_bins::{
    compose::{MakeRuntime, Running, up},
    config::{Environment, UpConfig, UpGiven},
};
use manman_core::{
    clock::SystemClock,
    console::Channel,
    memory::runtime::{Act, Engine, Image, OnSignal, Script},
    store::{Registration, ServerStore as _},
};
use manman_store::{SqliteConfig, SqliteStore};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// The image of a game that says hello and obeys.
pub const IMAGE: &str = "game:1";

/// The image of a game that counts for a while, a thousand pairs of lines a second at most.
pub const COUNTS: &str = "counter:1";

/// The image of a game that ends for nobody but a kill.
pub const STUBBORN: &str = "stubborn:1";

/// An installation, up or not.
pub struct House {
    dir: tempfile::TempDir,
    engine: Engine,
    running: Option<Running>,
}

/// What the program did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out, self.err)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

struct Bare;

impl Environment for Bare {
    fn get(&self, _: &str) -> Option<std::ffi::OsString> {
        None
    }
}

impl House {
    /// One that nothing serves.
    pub fn empty() -> Self {
        let engine = Engine::new(7);
        let hello = Act::Print(Channel::Stdout, b"hello\n".to_vec());
        engine.image(&IMAGE.parse().unwrap(), Image::of(Script::of([hello])));
        let count = Act::Count { lines: 1_000_000, pause: Duration::from_millis(1), same: false };
        engine.image(&COUNTS.parse().unwrap(), Image::of(Script::of([count])));
        engine.image(&STUBBORN.parse().unwrap(), Image::of(Script::default().on_signal(OnSignal::Ignore)));
        Self { dir: tempfile::tempdir().unwrap(), engine, running: None }
    }

    /// One that is up, and whose server is heard.
    pub async fn up() -> Self {
        let mut house = Self::empty();
        house.start().await;
        house
    }

    async fn start(&mut self) {
        let given = UpGiven {
            data_dir: Some(self.dir().display().to_string()),
            listen: Some("127.0.0.1:0".into()),
            environment: Some("test".into()),
            server_name: Some("box".into()),
            ..UpGiven::default()
        };
        let config = UpConfig::read(&given, &Bare).unwrap();
        let engine = self.engine.clone();
        let runtime: MakeRuntime = Box::new(move |_, owner| Ok(Arc::new(engine.runtime(owner))));
        self.running = Some(up(config, runtime, Arc::new(|_| {})).await.unwrap());
        let mut tries = 0;
        while self.json("server list").await["servers"][0]["status"] != "online" {
            tries += 1;
            assert!(tries < 600, "the server is never heard");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Enters a server that is not heard.
    pub async fn silent_server(&self, name: &str) {
        let mut database = SqliteConfig::at(self.dir().join("manman.db"));
        database.busy_timeout_secs = 60;
        let store = SqliteStore::open(&database, Arc::new(SystemClock)).await.unwrap();
        let hello = Registration {
            name: name.parse().unwrap(),
            environment: "test".parse().unwrap(),
            machine_id: format!("machine of {name}"),
            engine_id: "engine".into(),
            capacity: Default::default(),
            public_address: None,
            take_over: false,
        };
        store.server_register(&hello, Duration::from_secs(10)).await.unwrap();
        store.close().await;
        let mut tries = 0;
        while !self.ok("server list").await.out.contains("stale") {
            tries += 1;
            assert!(tries < 600, "nobody notices that the server is silent");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends manman, leaving its games, and brings it up again.
    pub async fn restart(&mut self) {
        self.end().await;
        self.start().await;
    }

    /// Ends manman, leaving its games.
    pub async fn end(&mut self) {
        self.running.take().unwrap().end().await;
    }

    /// Its data directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where it listens.
    pub fn listen(&self) -> String {
        self.running.as_ref().unwrap().listen().to_string()
    }

    /// The program with these words.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_manman"));
        command
            .args(line.split(' '))
            .env_clear()
            .env("DATA_DIR", self.dir())
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the program.
    pub async fn run(&self, line: &str) -> Ran {
        self.talk(line, "").await
    }

    /// Runs the program with something on its stdin.
    pub async fn talk(&self, line: &str, stdin: &str) -> Ran {
        let mut command = self.command(line);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // One that does not read it is no failure.
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        let ended = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await;
        ended.unwrap_or_else(|_| panic!("manman {line} does not end")).unwrap().into()
    }

    /// Runs the program, which is to succeed.
    pub async fn ok(&self, line: &str) -> Ran {
        let ran = self.run(line).await;
        assert_eq!(ran.code, 0, "manman {line}: {ran}");
        ran
    }

    /// Runs the program, which is to succeed, and reads what it says as JSON.
    pub async fn json(&self, line: &str) -> Value {
        let ran = self.ok(&format!("{line} -o json")).await;
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("manman {line}: {error}: {ran}"))
    }

    /// Waits until this is shown of the console of a deployment: who follows it from then on does
    /// not see it.
    pub async fn shows(&self, name: &str, text: &str) {
        let mut tries = 0;
        while !self.ok(&format!("logs {name}")).await.out.contains(text) {
            tries += 1;
            assert!(tries < 600, "{name} never shows {text:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A deployment of a game that says hello and obeys.
    pub async fn deploy(&self, name: &str) {
        self.deploy_image(name, IMAGE).await;
    }

    /// A deployment of a game of this image.
    pub async fn deploy_image(&self, name: &str, image: &str) {
        self.ok(&format!("game create {name}")).await;
        self.ok(&format!("config create {name} --game {name} --image {image}")).await;
        self.ok(&format!("deployment create {name} --config {name}")).await;
    }
}
