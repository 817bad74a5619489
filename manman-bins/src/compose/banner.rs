//! What `manman up` says of itself when it is up.

use std::{fmt, path::PathBuf};

use manman_core::runtime::EngineInfo;

use super::{Chosen, RuntimeKind};
use crate::config::Places;

/// An installation that has come up.
#[derive(Clone, Debug)]
pub struct Banner {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where the API is served over TCP.
    pub listen: std::net::SocketAddr,
    /// What the store and the messages are kept by.
    pub backends: (String, String),
    /// What keeps blobs, if it was said.
    pub blobs: Option<String>,
    /// What drives games here, if anything does.
    pub games: Option<Games>,
    /// Sessions that have not ended: their games are picked up.
    pub live: usize,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// What drives games on this machine.
#[derive(Clone, Debug)]
pub struct Games {
    /// The server's name and id.
    pub server: (String, i64),
    /// The environment in names.
    pub environment: String,
    /// What drives the games, and why, if it is one of this program's own.
    pub runtime: Option<Chosen>,
    /// The engine, or why it does not answer.
    pub engine: Result<EngineInfo, String>,
}

impl fmt::Display for Games {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  server   {} (id {}), environment {}", self.server.0, self.server.1, self.environment)?;
        if let Some(Chosen { kind, why }) = &self.runtime {
            writeln!(f, "  runtime  {kind} ({why})")?;
        }
        match &self.engine {
            Ok(engine) => writeln!(f, "  engine   {}", describe(engine)),
            Err(why) => {
                writeln!(f, "  engine   not reachable yet, retrying: {why}")?;
                if self.runtime.as_ref().is_none_or(|runtime| runtime.kind == RuntimeKind::Docker) {
                    let remedy = "start Docker, or say where it is with --docker-socket or DOCKER_SOCKET";
                    writeln!(f, "           {remedy}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = Places(&self.data_dir);
        writeln!(f, "manman {} is up\n", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  data     {}", self.data_dir.display())?;
        writeln!(f, "  socket   {}", places.socket().display())?;
        writeln!(f, "  API      {}, with the token in {}", self.listen, places.token().display())?;
        if self.backends.1 != "memory" {
            writeln!(f, "  store    {}", self.backends.0)?;
            writeln!(f, "  broker   {}", self.backends.1)?;
        }
        if let Some(blobs) = &self.blobs {
            writeln!(f, "  blobs    {blobs}")?;
        }
        match &self.games {
            Some(games) => games.fmt(f)?,
            None => writeln!(f, "  server   none here: games run on the machines of other host managers")?,
        }
        match self.live {
            0 => {}
            1 => writeln!(f, "  games    1 session goes on")?,
            live => writeln!(f, "  games    {live} sessions go on")?,
        }
        let engine = self.games.iter().flat_map(|games| &games.engine);
        let engine = engine.flat_map(|engine| &engine.warnings);
        let mut warnings = self.warnings.iter().chain(engine).peekable();
        if warnings.peek().is_some() {
            writeln!(f)?;
        }
        for warning in warnings {
            writeln!(f, "  note: {warning}")?;
        }
        writeln!(f)?;
        let fallback = if self.live == 0 { "manman game create NAME" } else { "manman status" };
        writeln!(f, "What next: `{fallback}` in another terminal; `manman --help` lists everything.")?;
        write!(f, "Ctrl-C ends manman and leaves games running; `manman down` stops them too.")
    }
}

/// An engine in a few words.
pub(super) fn describe(engine: &EngineInfo) -> String {
    let memory = engine.memory_bytes as f64 / f64::from(1 << 30);
    format!("{}, {} cores, {memory:.1} GiB", engine.version, engine.cpus)
}

/// What becomes of games when this process ends.
pub(super) fn goodbye(live: usize) -> String {
    match live {
        0 => "manman has ended; no game was running".to_owned(),
        1 => "manman has ended; 1 game goes on running: `manman up` picks it up, `manman down` stops it"
            .to_owned(),
        live => format!(
            "manman has ended; {live} games go on running: `manman up` picks them up, `manman down` stops them"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_names_what_is_to_be_known() {
        let engine = EngineInfo {
            version: "Docker 20.10.24".into(),
            cpus: 2,
            memory_bytes: 4 << 30,
            warnings: vec!["the engine has no seccomp".into()],
            ..EngineInfo::default()
        };
        let mut banner = Banner {
            data_dir: "/var/lib/manman".into(),
            listen: ([127, 0, 0, 1], 50051).into(),
            backends: ("/data/manman.db".into(), "memory".into()),
            blobs: Some("bucket worlds at https://s3".into()),
            games: Some(Games {
                server: ("box".into(), 1),
                environment: "prod".into(),
                runtime: Some(Chosen { kind: RuntimeKind::Docker, why: "as asked".into() }),
                engine: Ok(engine),
            }),
            live: 2,
            warnings: vec!["SERVER_NAME is not set".into()],
        };
        let text = banner.to_string();
        for part in [
            "/var/lib/manman/manman.sock",
            "/var/lib/manman/token",
            "127.0.0.1:50051",
            "box (id 1)",
            "bucket worlds at https://s3",
            "docker (as asked)",
            "Docker 20.10.24, 2 cores, 4.0 GiB",
            "2 sessions go on",
            "note: SERVER_NAME is not set",
            "note: the engine has no seccomp",
            "manman down",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        banner.games.as_mut().unwrap().engine = Err("connection refused".into());
        assert!(banner.to_string().contains("not reachable yet"));
    }
}
