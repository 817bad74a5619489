//! A control plane with its API in this process, on the memory backends.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::{path::PathBuf, sync::Arc};

use manman_bins::{
    api::{AnyOf, Local, Recorded, Token, auth, v1, v1::man_man_api_client::ManManApiClient},
    compose::{LateViewing, Plane, Tasks, listen_at},
    config::Places,
};
use manman_core::{
    clock::SystemClock,
    control::ControlConfig,
    memory::{MemoryBlobs, MemoryBroker, MemoryStore},
    model::{Role, token::NewToken},
    store::{Actor, Registration, ServerStore as _, TokenStore as _, Write},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// The image that games of these tests run.
pub const IMAGE: &str = "game:1";

/// The largest blob that a host may put there.
pub const BLOB_LIMIT_MIB: u32 = 8;

/// A running control plane; ends when dropped.
pub struct Plain {
    pub dir: tempfile::TempDir,
    pub store: Arc<MemoryStore>,
    pub broker: Arc<MemoryBroker>,
    pub blobs: MemoryBlobs,
    pub plane: Plane,
    pub viewing: LateViewing,
    pub address: String,
    pub token: Token,
    pub shutdown: CancellationToken,
    tasks: Tasks,
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Shows a token with each call.
#[derive(Clone, Debug)]
pub struct Bearer(pub Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(text) = &self.0 {
            request.metadata_mut().insert("authorization", text.parse().unwrap());
        }
        Ok(request)
    }
}

pub type Api = ManManApiClient<InterceptedService<Channel, Bearer>>;

impl Plain {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let broker = Arc::new(MemoryBroker::new());
        let blobs = MemoryBlobs::new();
        let mut config = ControlConfig::default();
        config.blob_limit_mib = BLOB_LIMIT_MIB;
        let plane = Plane::new(store.clone(), broker.clone(), config).with_blobs(Arc::new(blobs.clone()));
        let (shutdown, mut tasks, viewing) =
            (CancellationToken::new(), Tasks::default(), LateViewing::default());
        let token = Token::read_or_create(&dir.path().join("token")).unwrap();
        let api = plane
            .api(
                Arc::new(viewing.clone()),
                dir.path().to_owned(),
                Arc::new(AnyOf(vec![Arc::new(Local::new(&token)), Arc::new(Recorded::new(store.clone()))])),
                shutdown.clone(),
            )
            .await
            .unwrap();
        plane.spawn_processor(&mut tasks, shutdown.clone());
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap().to_string();
        let unix = listen_at(&Places(dir.path()).socket()).unwrap();
        let unix = tokio::net::UnixListener::from_std(unix).unwrap();
        let serving = api.clone();
        tasks.spawn("tcp", async move { serving.serve_tcp(tcp).await.map_err(|error| error.to_string()) });
        tasks.spawn("unix", async move { api.serve_unix(unix).await.map_err(|error| error.to_string()) });
        Self { dir, store, broker, blobs, plane, viewing, address, token, shutdown, tasks }
    }

    pub fn socket(&self) -> PathBuf {
        Places(self.dir.path()).socket()
    }

    pub async fn tcp(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn unix(&self) -> Channel {
        unix(&self.socket()).await
    }

    /// A client that is let in.
    pub async fn api(&self) -> Api {
        let bearer = Bearer(Some(format!("Bearer {}", self.token.reveal())));
        ManManApiClient::with_interceptor(self.tcp().await, bearer)
    }

    /// A token of this role, on record.
    pub async fn recorded(&self, role: Role) -> Token {
        let token = Token::random().unwrap();
        let digest = auth::digest(token.reveal().as_bytes());
        let new = NewToken { name: role.as_str().parse().unwrap(), role, digest, valid_for: None };
        self.store.token_create(&new, &Write::by(Actor("alice".into()))).await.unwrap();
        token
    }

    /// A server that has registered, as a host manager does.
    pub async fn server(&self, name: &str) -> i64 {
        let hello = Registration {
            name: name.parse().unwrap(),
            environment: "test".parse().unwrap(),
            machine_id: format!("machine of {name}"),
            engine_id: "engine".into(),
            capacity: Default::default(),
            public_address: None,
            take_over: false,
        };
        let stale_after = std::time::Duration::from_secs(10);
        self.store.server_register(&hello, stale_after).await.unwrap().server.0
    }

    /// A game, a config of it with one UDP port, and its deployment on `server`.
    pub async fn deployment(&self, server: i64, name: &str, port: i32) -> i64 {
        deploy(&mut self.api().await, server, name, port).await
    }
}

/// Connects to the API at a Unix socket.
pub async fn unix(socket: &std::path::Path) -> Channel {
    let socket = socket.to_owned();
    let connect = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move {
            let stream = tokio::net::UnixStream::connect(socket).await?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    Endpoint::from_static("http://manman.local").connect_with_connector(connect).await.unwrap()
}

/// A client of the API at a Unix socket.
pub async fn at(socket: &std::path::Path) -> Api {
    ManManApiClient::with_interceptor(unix(socket).await, Bearer(None))
}

/// A game, a config of it with one UDP port, and its deployment on `server`.
pub async fn deploy(api: &mut Api, server: i64, name: &str, port: i32) -> i64 {
    let game = v1::CreateGameRequest { name: format!("{name}-game"), ..Default::default() };
    let game = api.create_game(game).await.unwrap().into_inner().game.unwrap();
    let config = v1::CreateGameConfigRequest {
        game_id: game.game_id,
        name: format!("{name}-config"),
        body: Some(v1::ConfigBody {
            image: IMAGE.into(),
            ports: vec![v1::PortNeed { container_port: port, protocol: v1::Protocol::Udp.into() }],
            ..Default::default()
        }),
        idempotency_key: String::new(),
    };
    let config = api.create_game_config(config).await.unwrap().into_inner().config.unwrap();
    let deploy = v1::DeployGameConfigRequest {
        name: Some(name.into()),
        server_id: Some(server),
        game_config_id: config.config_id,
        ..Default::default()
    };
    api.deploy_game_config(deploy).await.unwrap().into_inner().config.unwrap().server_game_config_id
}
