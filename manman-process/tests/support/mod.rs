//! A piece of ground for one test: a directory of its own, and the games in it.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(dead_code, reason = "each test target takes what it needs")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use manman_core::{
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    model::{ConfigBody, ImageRef},
    runtime::{AttemptState, ContainerSpec, Exit, Mount, Owner, Runtime},
    testkit::runtime::{Game, PATIENCE, Program},
};
use manman_process::{ProcessConfig, ProcessRuntime};
use rustix::process::{Pid, Signal, kill_process};

pub const SLEEPER: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done";

/// A directory of its own with its owner. Dropping it ends what is left in it.
pub struct Ground {
    pub dir: tempfile::TempDir,
    pub owner: Owner,
}

impl Ground {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Whoever games run as has to come through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let environment = "test".parse().unwrap();
        Self { dir, owner: Owner { cluster: ClusterId::random(), server: ServerId(1), environment } }
    }

    pub fn config(&self) -> ProcessConfig {
        let mut config = ProcessConfig::new(self.dir.path());
        config.supervisor = Some(env!("CARGO_BIN_EXE_manman-supervisor").into());
        config
    }

    pub fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime_of(self.owner.clone())
    }

    pub fn runtime_of(&self, owner: Owner) -> Arc<dyn Runtime> {
        Arc::new(ProcessRuntime::new(owner, self.config()).unwrap())
    }

    pub fn runtime_with(&self, config: ProcessConfig) -> Arc<dyn Runtime> {
        Arc::new(ProcessRuntime::new(self.owner.clone(), config).unwrap())
    }

    /// A manager that was started after the machine was.
    pub fn runtime_after_reboot(&self) -> Arc<dyn Runtime> {
        let mut config = self.config();
        config.boot_id = Some("another-boot".to_owned());
        self.runtime_with(config)
    }

    pub fn runs(&self) -> PathBuf {
        self.dir.path().join("process/runs")
    }

    pub fn run(&self, run: AttemptId) -> PathBuf {
        let name = format!("run-{}-1-{}-{}", self.owner.cluster.short(), run.session, run.attempt);
        self.runs().join(name)
    }

    /// The main process of an attempt.
    pub fn game(&self, run: AttemptId) -> i32 {
        pid_in(&self.run(run).join("started.json")).unwrap()
    }

    /// The supervisor of an attempt: the parent of its main process.
    pub fn supervisor(&self, run: AttemptId) -> i32 {
        parent(self.game(run)).unwrap()
    }

    /// What is left: directories of attempts, done or half-done.
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != ".lock")
            .collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.runs()).into_iter().flatten().flatten() {
            if let Some(pid) = pid_in(&entry.path().join("started.json")) {
                kill(pid);
            }
        }
    }
}

pub fn kill(pid: i32) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

fn pid_in(path: &Path) -> Option<i32> {
    let started: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    i32::try_from(started["game"]["pid"].as_i64()?).ok()
}

pub fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process runs.
pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub fn host() -> ImageRef {
    ImageRef::HOST.parse().unwrap()
}

/// A shell script as a game.
pub fn script(text: &str) -> Program {
    Program { image: host(), entrypoint: vec!["/bin/sh".into(), "-c".into(), text.into()], command: vec![] }
}

pub fn game(game: &Game) -> Program {
    script(&match game {
        Game::Sleeper => SLEEPER.to_owned(),
        Game::Stubborn => "trap '' TERM; echo ready; while :; do sleep 3600; done".to_owned(),
        Game::Echo => "trap 'exit 0' TERM; echo ready
            while read -r word rest; do
                case $word in
                    err) echo \"$rest\" >&2 ;;
                    exit) exit \"$rest\" ;;
                    *) echo \"$word${rest:+ $rest}\" ;;
                esac
            done
            while :; do sleep 3600 & wait $!; done"
            .to_owned(),
        Game::Counter { lines, pause, same, exit } => {
            let pause =
                if pause.is_zero() { String::new() } else { format!("sleep {}", pause.as_secs_f64()) };
            let (out, err) = if *same { ("tick", "tick") } else { ("out $i", "err $i") };
            format!(
                "i=1; while [ $i -le {lines} ]; do echo {out}; echo {err} >&2; i=$((i+1)); {pause}
                done; exit {exit}"
            )
        }
        Game::Long { bytes } => format!(
            "trap 'exit 0' TERM; echo ready; head -c {bytes} /dev/zero | tr '\\0' x; echo; printf '> '
            while :; do sleep 3600 & wait $!; done"
        ),
    })
}

/// Attempt `attempt` of session and deployment `number` that runs `program`.
pub fn spec(number: i64, attempt: u32, program: Program) -> ContainerSpec {
    ContainerSpec {
        entrypoint: program.entrypoint,
        command: program.command,
        mounts: vec![Mount { source: None, target: ConfigBody::data_path_default(), read_only: false }],
        ..ContainerSpec::new(AttemptId::new(SessionId(number), attempt), SgcId(number), program.image)
    }
}

pub async fn created(runtime: &Arc<dyn Runtime>, spec: &ContainerSpec) {
    runtime.prepare(spec, None).await.unwrap();
    runtime.create(spec).await.unwrap();
}

pub async fn started(runtime: &Arc<dyn Runtime>, spec: &ContainerSpec) {
    created(runtime, spec).await;
    runtime.start(spec.run).await.unwrap();
}

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let all = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{what} in time"));
}

pub async fn ended(runtime: &Arc<dyn Runtime>, run: AttemptId) -> Exit {
    let mut exit = None;
    until("the game ends", async || {
        match runtime.inspect(run).await.unwrap().unwrap().state {
            AttemptState::Exited(how) => exit = Some(how),
            _ => return false,
        }
        true
    })
    .await;
    exit.unwrap()
}
