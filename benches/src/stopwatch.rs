//! A socket before an engine's that notes when each call began and ended.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    number: u64,
    /// Its method and path.
    pub what: String,
    /// When its request came.
    pub begun: Instant,
    /// When the last of its answer passed, so far.
    pub ended: Option<Instant>,
}

#[derive(Debug, Default)]
struct Calls {
    /// So many there were in all.
    number: u64,
    noted: Vec<Call>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    fn begin(&mut self, what: String) -> u64 {
        self.number += 1;
        self.noted.push(Call { number: self.number, what, begun: Instant::now(), ended: None });
        self.number
    }

    fn answer(&mut self, number: u64) {
        if let Some(call) = self.noted.iter_mut().find(|call| call.number == number) {
            // An attach is answered by its head; what it streams is no answer.
            if call.ended.is_none() || !call.what.contains("/attach") {
                call.ended = Some(Instant::now());
            }
        }
    }
}

/// An engine's socket with a stopwatch.
#[derive(Debug)]
pub struct Stopwatch {
    dir: tempfile::TempDir,
    calls: Arc<Mutex<Calls>>,
    accepting: JoinHandle<()>,
}

impl Stopwatch {
    /// Listens in front of the engine at `socket`.
    ///
    /// # Errors
    /// If no socket can be made.
    pub fn new(socket: &Path) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let listener = UnixListener::bind(dir.path().join("docker.sock"))?;
        let calls = Arc::<Mutex<Calls>>::default();
        let (engine, noted) = (socket.to_owned(), Arc::clone(&calls));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, engine.clone(), Arc::clone(&noted)));
            }
        });
        Ok(Self { dir, calls, accepting })
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// Forgets and returns the calls so far.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.calls).noted)
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// How long at least one of `calls` was under way.
pub fn under_way<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Duration {
    let mut spans: Vec<_> = calls.into_iter().filter_map(|call| Some((call.begun, call.ended?))).collect();
    spans.sort_unstable();
    let (mut sum, mut until) = (Duration::ZERO, None);
    for (begun, ended) in spans {
        let begun = until.map_or(begun, |until| begun.max(until));
        sum += ended.saturating_duration_since(begun);
        until = Some(until.map_or(ended, |until| ended.max(until)));
    }
    sum
}

async fn pass(client: UnixStream, engine: PathBuf, calls: Arc<Mutex<Calls>>) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = UnixStream::connect(engine).await?.into_split();
    // The call of this connection that waits for its answer or has got it.
    let current = Arc::new(Mutex::new(None::<u64>));
    let (noted, answered) = (Arc::clone(&calls), Arc::clone(&current));
    let requests = async move {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = from_client.read(&mut buffer).await?;
            if length == 0 {
                to_engine.shutdown().await?;
                return io::Result::Ok(());
            }
            if let Some(what) = request(&buffer[..length]) {
                *lock(&answered) = Some(lock(&noted).begin(what));
            }
            to_engine.write_all(&buffer[..length]).await?;
        }
    };
    let answers = async move {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = from_engine.read(&mut buffer).await?;
            if length == 0 {
                to_client.shutdown().await?;
                return io::Result::Ok(());
            }
            let number = *lock(&current);
            if let Some(number) = number {
                lock(&calls).answer(number);
            }
            to_client.write_all(&buffer[..length]).await?;
        }
    };
    tokio::try_join!(requests, answers).map(|_| ())
}

/// Method and path, if a request begins here.
fn request(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|&byte| byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_suffix(" HTTP/1.1")?;
    ["GET ", "POST ", "DELETE ", "HEAD ", "PUT "]
        .iter()
        .any(|method| line.starts_with(method))
        .then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_at_once_count_once() {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        let call =
            |begun, ended| Call { number: 0, what: String::new(), begun: at(begun), ended: Some(at(ended)) };
        let calls = [call(0, 10), call(5, 15), call(20, 30), call(22, 24)];
        assert_eq!(under_way(&calls), Duration::from_millis(25));
    }

    #[test]
    fn a_request_is_told_from_its_body() {
        assert_eq!(
            request(b"POST /v1.41/x?a=b HTTP/1.1\r\nHost: e\r\n").as_deref(),
            Some("POST /v1.41/x?a=b")
        );
        assert_eq!(request(b"{\"POST\": 1}"), None);
    }
}
