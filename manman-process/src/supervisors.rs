//! The supervisors that this process has started.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{
    directory::{RunDir, private},
    record::Launched,
    supervisor,
};

/// Supervisors that this process has started: when they end, somebody has to bury them.
#[derive(Debug)]
pub struct Supervisors {
    program: PathBuf,
    children: Mutex<Vec<Child>>,
}

impl Supervisors {
    /// Of this program, or of the one that is configured.
    pub fn new(program: Option<PathBuf>) -> Self {
        let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        Self { program, children: Mutex::default() }
    }

    /// Starts one in the run of the machine called `boot`, and waits for its word.
    pub fn start(&self, dir: &RunDir, boot: &str) -> io::Result<Launched> {
        let log = private().create(true).append(true).open(dir.log())?;
        let mut child = Command::new(&self.program)
            .args([supervisor::ARGUMENT, supervisor::RUN])
            .arg(dir.path())
            .arg(boot)
            // Secrets of ours are none of a game's business.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let out = child.stdout.take();
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        let mut line = String::new();
        BufReader::new(out.ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| {
            let mut said = String::new();
            let read = fs::File::open(dir.log()).and_then(|log| log.take(4096).read_to_string(&mut said));
            let said = read.map_or("", |_| said.trim());
            io::Error::other(format!("it has ended without a word: {said}"))
        })
    }

    /// Buries those that have ended.
    pub fn bury(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}
