//! An installation whose games are plain processes of this machine.

pub mod fixtures;
pub mod processes;

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    ops::{Deref, DerefMut},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::installation;
pub use crate::installation::{Ran, scaled, until};

use self::processes::{Found, kill, lives, supervisor_of};

/// Where no engine is.
const NO_DOCKER: (&str, &str) = ("DOCKER_SOCKET", "/nonexistent/docker.sock");

/// Whether this process is root, which some of what is told here takes.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether what only root can make can be made; says what was not made if it cannot.
pub fn can_make(what: &str) -> bool {
    if !is_root() {
        eprintln!("not made: {what}, which takes root");
    }
    is_root()
}

/// A directory that whoever games run as can come through.
fn directory(beneath: &Path) -> tempfile::TempDir {
    let everybody = Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("manman-plain-").permissions(everybody).tempdir_in(beneath).unwrap()
}

/// One `manman up` with all that belongs to it.
pub struct Installation(installation::Installation);

impl Deref for Installation {
    type Target = installation::Installation;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Installation {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// An attempt that lives, as its directory tells it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its directory.
    pub directory: PathBuf,
    /// The main process of the game.
    pub game: i32,
    /// The process that stands beside it.
    pub supervisor: i32,
}

impl Installation {
    /// Sets one up and brings it up.
    pub fn up() -> Self {
        let mut installation = Self::new();
        installation.start();
        installation
    }

    /// Sets one up by this configuration and brings it up.
    pub fn up_by(toml: &str) -> Self {
        let mut installation = Self::new();
        installation.configure(toml);
        installation.start();
        installation
    }

    /// Sets one up, without starting it.
    pub fn new() -> Self {
        Self::beneath(&std::env::temp_dir())
    }

    /// Sets one up whose directory is beneath this one, without starting it.
    pub fn beneath(parent: &Path) -> Self {
        Self::with(parent, &[NO_DOCKER, ("MANMAN_RUNTIME", "process")])
    }

    /// Sets one up that is not told what runs its games, without starting it.
    pub fn untold() -> Self {
        Self::with(&std::env::temp_dir(), &[NO_DOCKER])
    }

    /// Sets one up that is told this too, without starting it.
    pub fn told(variables: &[(&'static str, &str)]) -> Self {
        let all = [&[NO_DOCKER, ("MANMAN_RUNTIME", "process")], variables].concat();
        Self::with(&std::env::temp_dir(), &all)
    }

    fn with(parent: &Path, variables: &[(&'static str, &str)]) -> Self {
        let variables: Vec<_> = variables.iter().map(|&(name, value)| (name, OsStr::new(value))).collect();
        Self(installation::Installation::new(directory(parent), &variables))
    }

    /// Creates what is to be played: `words` is the program, `config` the rest of its config.
    pub fn deploy_program(&self, name: &str, words: &[&str], config: &[&str], ports: &[&str]) -> i64 {
        self.deploy(name, &[&program(words), config].concat(), ports)
    }

    /// Creates a game that is a script of the shell.
    pub fn deploy_script(&self, name: &str, script: &str, config: &[&str]) -> i64 {
        self.deploy_program(name, &["/bin/sh", "-c", script], config, &[])
    }

    /// What `config create` takes for the game of `fixtures/testgame`.
    pub fn game(&self) -> Vec<String> {
        let path = fixtures::copy(&fixtures::testgame(), self.data());
        let words = program(&["/bin/sh", path.to_str().unwrap()]);
        words.iter().chain(&["--env", "DATA=."]).map(|&word| word.to_owned()).collect()
    }

    /// Creates the game of `fixtures/testgame`, with further settings.
    pub fn deploy_game(&self, name: &str, config: &[&str]) -> i64 {
        let game = self.game();
        let game: Vec<&str> = game.iter().map(String::as_str).collect();
        self.deploy(name, &[game.as_slice(), config].concat(), &[])
    }

    /// Creates the game of `fixtures/flooder`.
    pub fn deploy_flooder(&self, name: &str, arguments: &str) -> i64 {
        let path = fixtures::copy(fixtures::flooder(), self.data());
        let words: Vec<&str> = [path.to_str().unwrap()].into_iter().chain(arguments.split(' ')).collect();
        self.deploy_program(name, &words, &[], &[])
    }

    /// Where the directories of attempts are.
    pub fn runs(&self) -> PathBuf {
        self.data().join("process/runs")
    }

    /// The one attempt of a deployment that lives.
    #[track_caller]
    pub fn attempt(&self, sgc: i64) -> Attempt {
        let live = self.attempts(sgc);
        assert_eq!(live.len(), 1, "live attempts: {live:?}\n{}", self.log());
        live.into_iter().next().unwrap()
    }

    fn attempts(&self, sgc: i64) -> Vec<Attempt> {
        let of_directory = |directory: PathBuf| {
            let game = i32::try_from(record(&directory, "started.json")?["game"]["pid"].as_i64()?).ok()?;
            let is_its = record(&directory, "plan.json")?["sgc"] == sgc;
            let supervisor = supervisor_of(&directory).unwrap_or_default();
            (is_its && lives(game)).then_some(Attempt { directory, game, supervisor })
        };
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        entries.filter_map(|entry| of_directory(entry.path())).collect()
    }

    /// The process of the one attempt of a deployment that lives.
    #[track_caller]
    pub fn game_pid(&self, sgc: i64) -> i64 {
        self.attempt(sgc).game.into()
    }

    /// All processes of it that live, but for `manman up`: supervisors, games, and what games
    /// have started, wherever that has gone.
    pub fn processes(&self) -> Vec<Found> {
        processes::of(self.data())
    }

    /// What lies where the directories of attempts are.
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != ".lock").collect()
    }

    /// Waits until neither a process nor a directory of an attempt is left.
    #[track_caller]
    pub fn await_nothing_left(&self) {
        let mut last = (Vec::new(), Vec::new());
        for _ in 0..600 {
            last = (self.left(), self.processes());
            if last.0.is_empty() && last.1.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("left after 30 s: {last:#?}\n{}", self.log());
    }
}

impl Drop for Installation {
    /// Leaves nothing behind, whatever became of the test: what a game has started is found by
    /// its environment until there is no more of it.
    fn drop(&mut self) {
        self.end();
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|found| kill(found.pid));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What `config create` takes for a program of the machine.
fn program<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let words = words.iter().flat_map(|&word| ["--entrypoint", word]);
    ["--image", "host"].into_iter().chain(words).collect()
}

/// A record in the directory of an attempt, if it is there.
pub fn record(directory: &Path, name: &str) -> Option<Value> {
    serde_json::from_slice(&fs::read(directory.join(name)).ok()?).ok()
}
