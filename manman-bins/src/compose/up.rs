//! An installation in one process: control plane, API and, unless it is to be left out, the
//! host manager of this machine. Store and broker are its own unless others are named.

use std::{fmt, sync::Arc, time::Duration};

use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use manman_core::{
    control::{ControlConfig, RemoteConsoles},
    error::Chain,
    runtime::Runtime,
    store::Store,
    viewing::Viewing,
};

use super::{
    Carrier, Chosen, DataLock, Database, Drives, Host, LateBlobs, LateViewing, MakeRuntime, NearOrFar, Plane,
    RuntimeKind, Signals, Tasks, UpError,
    banner::{Banner, Games, describe, goodbye},
    drives, listen_at,
};
use crate::{
    api::{AnyOf, ApiServer, Local, Recorded, Token},
    config::{Places, UpConfig},
};

/// How long the engine may take to be named in the banner.
const ENGINE_PATIENCE: Duration = Duration::from_secs(3);

/// Between two tries to reach an engine that was not there.
const ENGINE_EVERY: Duration = Duration::from_secs(2);

/// How long the host manager may take for its last words before it is left behind: less than
/// the ten seconds within which this process is to end.
const HOST_PATIENCE: Duration = Duration::from_secs(7);

/// How long containers and networks of games that have ended may take to be gone, when
/// this process is to be too and none lives.
const TIDY_PATIENCE: Duration = Duration::from_secs(10);

/// How long the rest may take after that.
const REST_PATIENCE: Duration = Duration::from_secs(2);

/// Where sentences for the operator go; log lines go elsewhere.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// An installation that is up.
pub struct Running {
    tasks: Tasks,
    host: Tasks,
    stop: CancellationToken,
    stop_host: CancellationToken,
    stop_processor: CancellationToken,
    database: Database,
    carrier: Carrier,
    /// Of this machine, if it drives games here.
    runtime: Option<Arc<dyn Runtime>>,
    listen: std::net::SocketAddr,
    say: Say,
    // Last to go: it is free when nothing of this process touches the directory any more.
    _lock: DataLock,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// Brings an installation up: takes its data directory, migrates its store, serves its
/// API at once, and runs its host manager, whether or not the engine answers already.
///
/// # Errors
/// Why it cannot be brought up; nothing of it is left running.
pub async fn up(config: UpConfig, drives: impl Into<Drives>, say: Say) -> Result<Running, UpError> {
    let Drives { chosen, make } = drives.into();
    let places = Places(&config.machine.data_dir);
    places.make().map_err(|error| UpError::DataDir { dir: config.machine.data_dir.clone(), error })?;
    let lock = DataLock::take(&places.lock())?;
    let token = Token::read_or_create(&places.token())
        .map_err(|error| UpError::Token { path: places.token(), error })?;
    let tcp = TcpListener::bind(config.listen)
        .await
        .map_err(|error| UpError::Listen { address: config.listen, error })?;
    let listen = tcp.local_addr().unwrap_or(config.listen);
    let unusable = |error| UpError::Store { what: config.database.to_string(), error };
    let database = Database::open(&config.database, true).await.map_err(unusable)?;
    let store = database.store();
    if let Some(chosen) = chosen.as_ref().filter(|_| !config.no_host) {
        drives::keep_to(chosen.kind, &places, &*store).await?;
    }
    let carrier = Carrier::open(&config.broker).await.map_err(UpError::Broker)?;
    let unkept = |error| UpError::Blobs { what: config.blobs.to_string(), error };
    let blobs = Arc::new(LateBlobs::open(config.blobs.clone()).await.map_err(unkept)?);
    let plane = Plane::new(store.clone(), carrier.broker(), ControlConfig::default()).with_blobs(blobs);

    let (stop, stop_host, stop_processor) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let (mut tasks, host) = (Tasks::default(), Tasks::default());
    let viewing = LateViewing::default();
    let near: Arc<dyn Viewing> = Arc::new(viewing.clone());
    let shown: Arc<dyn Viewing> = match &carrier {
        Carrier::Memory(_) => near,
        Carrier::Server(broker) => {
            let far = RemoteConsoles::new(store.clone(), broker.clone(), ControlConfig::default());
            if config.no_host { Arc::new(far) } else { Arc::new(NearOrFar { near, far: Arc::new(far) }) }
        }
    };
    let authenticator = AnyOf(vec![Arc::new(Local::new(&token)), Arc::new(Recorded::new(store.clone()))]);
    let api = plane
        .api(shown, config.machine.data_dir.clone(), Arc::new(authenticator), stop.clone())
        .await
        .map_err(unusable)?;
    let unix = listen_at(&places.socket())
        .and_then(UnixListener::from_std)
        .map_err(|error| UpError::Socket { path: places.socket(), error })?;
    serve(&mut tasks, api, tcp, unix);
    plane.spawn_processor(&mut tasks, stop_processor.clone());

    let mut running = Running {
        tasks,
        host,
        stop,
        stop_host,
        stop_processor,
        database,
        carrier,
        runtime: None,
        listen,
        say,
        _lock: lock,
    };
    let games = match config.no_host {
        true => None,
        false => Some(running.drive(&config, chosen, make, &plane, &viewing).await?),
    };
    let banner = Banner {
        data_dir: config.machine.data_dir,
        listen,
        backends: (config.database.to_string(), config.broker.as_str().to_owned()),
        blobs: config.found.contains_key("blobs").then(|| config.blobs.to_string()),
        games,
        live: running.live().await,
        warnings: config.warnings,
    };
    (running.say)(&banner.to_string());
    Ok(running)
}

impl Running {
    /// Begins to drive the games of this machine.
    async fn drive(
        &mut self,
        config: &UpConfig,
        chosen: Option<Chosen>,
        make: MakeRuntime,
        plane: &Plane,
        viewing: &LateViewing,
    ) -> Result<Games, UpError> {
        let (broker, uplink) = (self.carrier.broker(), Arc::new(plane.uplink()));
        let opened = Host::open(&config.machine, make, broker, uplink, &self.stop_host).await;
        let Host { manager, runtime, identity } = opened.map_err(UpError::Host)?;
        viewing.set(Arc::new(manager.consoles()));
        let until = self.stop_host.clone();
        self.host.spawn("the host manager", async move {
            manager.run(until).await.map_err(|error| Chain(&error).to_string())
        });
        let engine = match tokio::time::timeout(ENGINE_PATIENCE, runtime.engine()).await {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(error)) => Err(Chain(&error).to_string()),
            Err(_) => Err(format!("no answer within {} s", ENGINE_PATIENCE.as_secs())),
        };
        let engine = engine.map_err(|why| match chosen.as_ref().map(|chosen| chosen.kind) {
            Some(RuntimeKind::Process) => why,
            _ => format!("{}: {why}", config.machine.docker_socket.display()),
        });
        if engine.is_err() {
            let look = wait_for_engine(runtime.clone(), self.say.clone(), self.stop.clone());
            self.tasks.spawn("the look for the engine", look);
        }
        self.runtime = Some(runtime);
        Ok(Games {
            server: (config.machine.server_name.to_string(), identity.server.0),
            environment: config.machine.environment.to_string(),
            runtime: chosen,
            engine,
        })
    }

    /// Where the API is served over TCP.
    pub fn listen(&self) -> std::net::SocketAddr {
        self.listen
    }

    /// What runs the games of this machine, unless others do.
    pub fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.runtime.clone()
    }

    /// Runs until a signal or a client asks for the end, then lets go of the games, which
    /// go on. A second signal ends it at once.
    ///
    /// # Errors
    /// [`UpError::Died`] if a part of it ended before; [`UpError::Hurried`].
    pub async fn until_told(mut self, signals: &mut Signals) -> Result<(), UpError> {
        let died = tokio::select! {
            // What was told to end ends: that is no death.
            biased;
            signal = signals.next() => {
                (self.say)(&format!("{signal}: ending; games go on (once more ends at once)"));
                None
            }
            () = self.stop.cancelled() => {
                tokio::select! {
                    () = self.tidy() => None,
                    _ = signals.next() => None,
                }
            }
            sentence = self.tasks.first_end() => Some(sentence),
            sentence = self.host.first_end() => Some(sentence),
        };
        tokio::select! {
            () = self.end() => {}
            _ = signals.next() => return Err(UpError::Hurried),
        }
        match died {
            None => Ok(()),
            Some(sentence) => Err(UpError::Died(sentence)),
        }
    }

    /// Ends it, leaving games running.
    pub async fn end(self) {
        let Self { tasks, host, stop, stop_host, stop_processor, database, carrier, say, _lock, .. } = self;
        stop_host.cancel();
        let mut wrong = host.end(HOST_PATIENCE).await;
        carrier.heard().await;
        stop.cancel();
        stop_processor.cancel();
        wrong.extend(tasks.end(REST_PATIENCE).await);
        for sentence in wrong {
            tracing::warn!("{sentence}");
        }
        let live = live(&*database.store()).await;
        database.close().await;
        say(&goodbye(live));
    }

    /// Where no game lives, waits until nothing is left of those that did: who ends an
    /// installation wants a clean machine.
    pub async fn tidy(&self) {
        let Some(runtime) = &self.runtime else { return };
        if self.live().await > 0 {
            return;
        }
        let gone = async {
            loop {
                match runtime.list().await {
                    Ok(left) if left.found.is_empty() && left.networks.is_empty() => return,
                    _ => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        if tokio::time::timeout(TIDY_PATIENCE, gone).await.is_err() {
            tracing::warn!("something is left of games that have ended; the next `manman up` removes it");
        }
    }

    async fn live(&self) -> usize {
        live(&*self.database.store()).await
    }
}

/// How many sessions have not ended; 0 if nobody can tell.
async fn live(store: &dyn Store) -> usize {
    match store.session_live_count().await {
        Ok(live) => live,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "the live sessions cannot be counted");
            0
        }
    }
}

fn serve(tasks: &mut Tasks, api: ApiServer, tcp: TcpListener, unix: UnixListener) {
    let served = |served: std::result::Result<(), tonic::transport::Error>| {
        served.map_err(|error| Chain(&error).to_string())
    };
    let over_tcp = api.clone();
    tasks.spawn("the API over TCP", async move { served(over_tcp.serve_tcp(tcp).await) });
    tasks.spawn("the API on its socket", async move { served(api.serve_unix(unix).await) });
}

async fn wait_for_engine(
    runtime: Arc<dyn Runtime>,
    say: Say,
    stop: CancellationToken,
) -> std::result::Result<(), String> {
    let mut asked = tokio::time::interval(ENGINE_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = asked.tick() => {}
        }
        if let Ok(engine) = runtime.engine().await {
            say(&format!("the engine is there: {}", describe(&engine)));
            for warning in &engine.warnings {
                say(&format!("  note: {warning}"));
            }
            // Its work is done, and an early end would be taken for a death.
            stop.cancelled().await;
            return Ok(());
        }
    }
}
