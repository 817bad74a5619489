//! A manman made up for tests: it plays what it is given, and connections to it can be cut.

mod service;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use clap::Parser as _;
use futures::stream;
use hyper_util::rt::TokioIo;
use manman_core::clock::{Timestamp, TokioClock};
use tokio::{io::DuplexStream, sync::mpsc, task::AbortHandle};
use tonic::{
    Status,
    transport::{Channel, Endpoint, Server, Uri},
};

use super::{
    client::Client,
    failure::Failure,
    grammar::Cli,
    output::Screen,
    verbs::{self, Context},
};
use crate::api::v1::{self, man_man_api_server::ManManApiServer, stream_session_logs_response::What};

/// What the made-up manman has and does.
#[derive(Default)]
pub struct Script {
    /// What a session is, one after the other, each time somebody asks with `seen`.
    pub sessions: VecDeque<v1::Session>,
    /// What a console has; `None` cuts all connections there, once.
    pub console: Vec<Option<What>>,
    /// What became of lines, one after the other; written, when there is no more.
    pub outcomes: VecDeque<(v1::InputOutcome, String)>,
    /// So many writes are done, and then the connection is cut before the answer.
    pub lose: u32,
    /// The servers, games, configs and deployments there are.
    pub servers: Vec<v1::Server>,
    /// See `servers`.
    pub games: Vec<v1::Game>,
    /// See `servers`.
    pub configs: Vec<v1::GameConfig>,
    /// See `servers`.
    pub deployments: Vec<v1::ServerGameConfig>,
    /// The keys of the writes that came, with the call's name.
    pub writes: Vec<(&'static str, String)>,
    /// The lines that came, a repetition of the same key once.
    pub lines: Vec<String>,
    /// The session as it was last told.
    pub now: v1::Session,
    /// What is on record of its attempts.
    pub attempts: Vec<v1::Attempt>,
    /// The last request to deploy.
    pub deployed: Option<v1::DeployGameConfigRequest>,
}

/// A made-up manman.
#[derive(Clone, Default)]
pub struct Fake {
    script: Arc<Mutex<Script>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

/// What a command did.
pub struct Ran {
    /// How it ended.
    pub result: Result<(), Failure>,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

impl Fake {
    /// One with this script.
    pub fn new(script: Script) -> Self {
        Self { script: Arc::new(Mutex::new(script)), connections: Arc::default() }
    }

    /// Its script as it is now.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.connections.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }

    /// A client of it.
    pub async fn client(&self) -> Client {
        let (to, incoming) = mpsc::unbounded_channel::<io::Result<DuplexStream>>();
        let incoming =
            stream::unfold(incoming, |mut incoming| async { Some((incoming.recv().await?, incoming)) });
        let server = Server::builder().add_service(ManManApiServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        let fake = self.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let (mut behind, served) = tokio::io::duplex(1 << 16);
            let between =
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut behind).await });
            fake.connections.lock().unwrap().push(between.abort_handle());
            let accepted = to.send(Ok(served)).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused));
            async move { accepted.map(|()| TokioIo::new(near)) }
        });
        let channel: Channel =
            Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap();
        Client::over(channel)
    }

    /// A context that keeps what is shown.
    pub async fn context(&self, screen: Screen) -> Context {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-11-21T12:00:00Z").unwrap()));
        Context { screen, client: self.client().await, clock }
    }

    /// Runs a command line (without `manman` at its beginning).
    pub async fn run(&self, line: &str) -> Ran {
        let cli = Cli::try_parse_from(std::iter::once("manman").chain(line.split(' '))).unwrap();
        let (screen, shown) = Screen::captured();
        let screen = if cli.common.output == super::grammar::Format::Json { screen.json() } else { screen };
        let mut context = self.context(screen).await;
        let result = verbs::run(&mut context, cli.command).await;
        Ran { result, out: shown.out(), err: shown.err() }
    }

    /// Notes a write. `false` if its answer is to be lost.
    fn write(&self, call: &'static str, key: &str) -> Result<bool, Status> {
        let mut script = self.script();
        let again = script.writes.iter().any(|(_, known)| known == key);
        script.writes.push((call, key.to_owned()));
        if script.lose > 0 {
            script.lose -= 1;
            drop(script);
            self.cut();
            return Err(Status::internal("nobody reads this"));
        }
        Ok(again)
    }

    fn session(&self) -> v1::Session {
        self.script().now.clone()
    }
}

impl Ran {
    /// The failure's message; empty if there was none.
    pub fn message(&self) -> &str {
        match &self.result {
            Err(Failure::Told(told)) => &told.message,
            _ => "",
        }
    }
}
