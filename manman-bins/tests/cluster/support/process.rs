//! One process of a cluster.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use manman_services::Guarded;

use super::Ran;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A name that no other test has.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A token as `openssl rand` would make it.
pub fn token() -> String {
    manman_bins::api::Token::random().unwrap().reveal().to_owned()
}

/// A process of a cluster, and how it is started.
pub struct Process {
    pub name: String,
    program: PathBuf,
    words: Vec<String>,
    variables: BTreeMap<&'static str, String>,
    log: PathBuf,
    running: Option<Guarded>,
}

impl Process {
    pub fn new(directory: &Path, name: &str, program: &str) -> Self {
        let mut process = Self {
            name: name.to_owned(),
            program: program.into(),
            words: Vec::new(),
            variables: BTreeMap::new(),
            log: directory.join(format!("{name}.log")),
            running: None,
        };
        process.set("HEALTH_LISTEN", format!("127.0.0.1:{}", manman_services::free_port()));
        process.set("HOME", directory.display());
        process.set("PATH", std::env::var("PATH").unwrap_or_default());
        process
    }

    /// Another one of the same settings, which does not run.
    pub fn twin(&self, name: &str) -> Self {
        let mut twin = Self {
            name: name.to_owned(),
            program: self.program.clone(),
            words: self.words.clone(),
            variables: self.variables.clone(),
            log: self.log.with_file_name(format!("{name}.log")),
            running: None,
        };
        twin.set("HEALTH_LISTEN", format!("127.0.0.1:{}", manman_services::free_port()));
        twin
    }

    /// What it is started with.
    pub fn words(&mut self, words: &[&str]) {
        self.words = words.iter().map(|&word| word.to_owned()).collect();
    }

    /// Has it run as on a machine of this id: what the system says of the machine is hidden from it.
    pub fn on_another_machine(&mut self, id: &str) {
        let file = self.log.with_extension("machine-id");
        std::fs::write(&file, format!("{id}\n")).unwrap();
        // Only root may mount; others are root in a namespace of their own.
        let ways = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
        // Where there is none, the directory's is read.
        let script = r#"if [ -e /etc/machine-id ]; then mount --bind "$0" /etc/machine-id
            else cp "$0" "$DATA_DIR/machine-id"; fi && exec "$@""#;
        let program = std::mem::replace(&mut self.program, "unshare".into());
        let words = [ways, "/bin/sh", "-c", script, file.to_str().unwrap(), program.to_str().unwrap()];
        self.words.splice(..0, words.map(str::to_owned));
    }

    pub fn set(&mut self, name: &'static str, value: impl Display) {
        self.variables.insert(name, value.to_string());
    }

    pub fn get(&self, name: &str) -> &str {
        &self.variables[name]
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words).env_clear().envs(&self.variables);
        command
    }

    /// Starts it, or starts it again.
    pub fn start(&mut self) {
        self.running = Some(Guarded::start(self.command(), &self.log));
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command().args(args))
    }

    /// Whether it says that it is ready, asked as an image's health check does.
    pub fn is_ready(&self) -> bool {
        self.run(&["health"]).code == 0
    }

    /// The process, which runs.
    #[track_caller]
    pub fn guarded(&mut self) -> &mut Guarded {
        self.running.as_mut().unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// Kills it at once, as if it was never asked.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Asks it to end and waits.
    pub fn end(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.end();
        }
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
