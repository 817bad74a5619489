//! A socket between a manager and an engine that does to requests what engines and
//! connections do on bad days.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status and message, and never reaches the engine.
    Refuse(u16, String),
    /// The engine does it, and its answer is lost: the connection closes without one.
    LoseAnswer,
    /// Nothing happens, for as long as the manager waits.
    Hang,
    /// It reaches the engine once the faults are cleared, whether the manager still waits or not.
    Hold,
}

/// One request that is answered with a fault: its method, and a part of its path.
type Rule = (&'static str, String, Fault);

/// An engine's socket with faults. One request a connection.
#[derive(Debug)]
pub struct Proxy {
    dir: tempfile::TempDir,
    rules: watch::Sender<Vec<Rule>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens in front of the engine at `socket`.
    ///
    /// # Errors
    /// If no socket can be made.
    pub fn new(socket: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("manman-proxy-").tempdir_in("/tmp")?;
        let listener = UnixListener::bind(dir.path().join("docker.sock"))?;
        let rules = watch::Sender::<Vec<Rule>>::default();
        let (engine, known) = (socket.to_owned(), rules.subscribe());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that breaks is the manager's to notice.
                tokio::spawn(serve(stream, engine.clone(), known.clone()));
            }
        });
        Ok(Self { dir, rules, accepting })
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// From now on does `fault` to each request of `method` with `part` in its path.
    pub fn set(&self, method: &'static str, part: impl Into<String>, fault: Fault) {
        self.rules.send_modify(|rules| rules.push((method, part.into(), fault)));
    }

    /// Does nothing any more.
    pub fn clear(&self) {
        self.rules.send_modify(Vec::clear);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut manager: UnixStream,
    engine: PathBuf,
    mut rules: watch::Receiver<Vec<Rule>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if manager.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = {
        let rules = rules.borrow();
        rules
            .iter()
            .find(|(of, part, _)| *of == method && path.contains(part.as_str()))
            .map(|rule| rule.2.clone())
    };
    match &fault {
        Some(Fault::Hang) => {
            // Until the manager gives up.
            while manager.read(&mut [0; 1024]).await? > 0 {}
            return Ok(());
        }
        Some(Fault::Refuse(status, message)) => {
            let body = serde_json::json!({ "message": message }).to_string();
            let answer = format!(
                "HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: \
                 close\r\n\r\n{body}",
                body.len()
            );
            return manager.write_all(answer.as_bytes()).await;
        }
        Some(Fault::Hold) => {
            rules.wait_for(Vec::is_empty).await.map_err(io::Error::other)?;
        }
        Some(Fault::LoseAnswer) | None => {}
    }
    let mut server = UnixStream::connect(engine).await?;
    let lower = text.to_ascii_lowercase();
    server.write_all(&head[..end]).await?;
    if !lower.contains("\r\nconnection:") {
        // One request a connection, so that the head of each is seen.
        server.write_all(b"\r\nConnection: close").await?;
    }
    server.write_all(&head[end..]).await?;
    if fault == Some(Fault::LoseAnswer) {
        let (mut answers, mut requests) = server.into_split();
        let (mut from_manager, _to_manager) = manager.split();
        let mut lost = Vec::new();
        // The engine closes after its answer; until then the request's body goes through.
        tokio::select! {
            read = answers.read_to_end(&mut lost) => return read.map(|_| ()),
            done = async {
                tokio::io::copy(&mut from_manager, &mut requests).await?;
                std::future::pending::<io::Result<()>>().await
            } => return done,
        }
    }
    copy_bidirectional(&mut manager, &mut server).await.map(|_| ())
}
