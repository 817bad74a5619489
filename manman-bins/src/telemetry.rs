//! Log lines, to stderr.

use std::{
    io::{IsTerminal as _, Write},
    str::FromStr,
    sync::mpsc,
    time::Duration,
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::{
    cli::Looks,
    config::{ConfigError, Environment as _, Problem, Process},
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is neither human nor json")),
        }
    }
}

/// How many lines wait for whoever reads them; what comes then is dropped.
const WAITING: usize = 10_000;

/// How long what waits at the end is waited for.
const AT_THE_END: Duration = Duration::from_secs(2);

/// Writes what it was given until it is dropped, and then what still waits, for two seconds at
/// most.
#[derive(Debug)]
#[must_use = "lines are written as long as it is held"]
pub struct Writing(Option<WorkerGuard>);

impl Drop for Writing {
    fn drop(&mut self) {
        let guard = self.0.take();
        let (done, ended) = mpsc::channel::<()>();
        // On a thread of its own: one that finds no room says so on stdout, which may be what
        // stands still.
        let ending = std::thread::Builder::new().spawn(move || {
            drop(guard);
            drop(done);
        });
        if ending.is_ok() {
            let _ = ended.recv_timeout(AT_THE_END);
        }
    }
}

/// Writes lines to `to` on a thread of its own: a terminal that was stopped (Ctrl-S) or a pipe
/// that nobody empties holds up nothing but the lines themselves. What is written at once is
/// written whole or not at all.
pub fn beside(to: impl Write + Send + 'static) -> (NonBlocking, Writing) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING);
    let (lines, guard) = builder.thread_name("lines").finish(to);
    (lines, Writing(Some(guard)))
}

/// Begins to write log lines: those of `level` and above, or what `RUST_LOG` says. A
/// second call changes nothing.
///
/// # Errors
/// If `RUST_LOG` is no filter.
pub fn start(format: LogFormat, level: &str) -> Result<Writing, ConfigError> {
    let filter = match Process.get(EnvFilter::DEFAULT_ENV) {
        // What a driver says of a lost connection is said again by whoever makes a new one.
        None => EnvFilter::new(format!("{level},lapin=off,async_nats=warn")),
        Some(said) => filter(&said.to_string_lossy())?,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let (to, writing) = beside(std::io::stderr());
    // Fails only where a subscriber is set already: then that one stays.
    let _ = match format {
        LogFormat::Human => {
            let colours = Looks::of(&Process).colours && std::io::stderr().is_terminal();
            let lines = fmt::layer().with_writer(to).with_ansi(colours).with_target(false);
            registry.with(lines).try_init()
        }
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(to)).try_init(),
    };
    Ok(writing)
}

fn filter(text: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(text).map_err(|error| {
        ConfigError(vec![Problem {
            place: EnvFilter::DEFAULT_ENV.to_owned(),
            problem: format!("{text:?} is not a valid filter: {error}"),
            remedy: "write it as info or manman_core=debug,info".to_owned(),
        }])
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, MutexGuard, PoisonError},
    };

    use super::*;

    /// What is written, while nobody holds the lock.
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>);

    impl Pipe {
        fn hold(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.hold().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_holds_up_nobody() {
        let pipe = Pipe::default();
        let (mut lines, writing) = beside(pipe.clone());
        let stopped = pipe.hold();
        // Who waited for the pipe here would wait for ever.
        for line in 0..2 * WAITING {
            lines.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        drop(stopped);
        manman_services::until("what waited is written", Duration::from_secs(60), || {
            pipe.hold().iter().filter(|byte| **byte == b'\n').count() >= WAITING
        });
        drop(writing);
        let written = String::from_utf8(pipe.hold().clone()).unwrap();
        let read: Vec<usize> = written.lines().map(|line| line.parse().unwrap()).collect();
        assert!(read.len() >= WAITING && read.len() < 2 * WAITING, "{}", read.len());
        // The oldest, in order; when the first is taken out a later one finds its place free.
        assert!(read[..WAITING].iter().enumerate().all(|(at, line)| at == *line), "{read:?}");
        assert!(read.is_sorted(), "{read:?}");
    }

    #[test]
    fn a_filter_that_cannot_be_is_refused_by_its_name() {
        assert!(filter("manman_core=debug,info").is_ok());
        let refused = filter("manman_core=loud").unwrap_err();
        assert_eq!(refused.0[0].place, "RUST_LOG");
    }
}
