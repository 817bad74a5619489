//! The API's calls: what comes in is made our words, decided by the control plane, and
//! what it says made messages again.

mod console;
mod deployments;
mod games;
mod installation;
mod letters;
mod resolve;
mod servers;
mod sessions;
mod tokens;
mod write;

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use manman_core::{
    clock::Timestamp, control::Control, error::Error, id::ClusterId, store::Store, viewing::Viewing,
};

use super::{
    auth::Caller,
    errors::{ApiError, ErrorCode},
    page::Pages,
    v1,
};

/// The most streams of one caller at a time.
pub const MOST_STREAMS: usize = 20;

/// The API of one process.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    control: Control,
    viewing: Arc<dyn Viewing>,
    pages: Pages,
    cluster: ClusterId,
    started_at: Timestamp,
    data_dir: PathBuf,
    shutdown: CancellationToken,
    streams: Mutex<HashMap<Caller, Arc<Semaphore>>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("control", &self.0.control).finish_non_exhaustive()
    }
}

impl Api {
    /// An API over `control`, whose store is `store`; `viewing` shows consoles. A client's
    /// `Shutdown` cancels `shutdown`, and so may anybody: streams end with it.
    ///
    /// # Errors
    /// What the store says to its identity.
    pub async fn new(
        control: Control,
        store: &dyn Store,
        viewing: Arc<dyn Viewing>,
        data_dir: PathBuf,
        shutdown: CancellationToken,
    ) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            control,
            viewing,
            pages: Pages::new(store.cluster_secret().await?),
            cluster: store.cluster().await?,
            started_at: store.now().await?,
            data_dir,
            shutdown,
            streams: Mutex::default(),
        })))
    }

    /// Ends what serves.
    pub fn shutdown_token(&self) -> CancellationToken {
        self.0.shutdown.clone()
    }

    fn control(&self) -> &Control {
        &self.0.control
    }

    /// A place among the streams of this caller.
    fn stream_permit(&self, caller: &Caller) -> Result<OwnedSemaphorePermit, ApiError> {
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|_, open| open.available_permits() < MOST_STREAMS);
        let open = streams.entry(caller.clone()).or_insert_with(|| Arc::new(Semaphore::new(MOST_STREAMS)));
        open.clone().try_acquire_owned().map_err(|_| {
            ApiError::new(
                ErrorCode::TooManyStreams,
                format!("{} has {MOST_STREAMS} streams open", caller.name()),
            )
        })
    }
}

/// Each call of the definition, and what answers it.
macro_rules! calls {
    (
        unary { $($name:ident: $request:ident => $reply:ident, $answer:path;)* }
        stream { $($stream:ident ($stream_type:ident): $stream_request:ident => $item:ident, $stream_answer:path;)* }
    ) => {
        #[tonic::async_trait]
        impl v1::man_man_api_server::ManManApi for Api {
            $(
                async fn $name(&self, request: Request<v1::$request>) -> Result<Response<v1::$reply>, Status> {
                    let caller = caller(&request)?;
                    Ok(Response::new($answer(self, &caller, request.into_inner()).await?))
                }
            )*
            $(
                type $stream_type = BoxStream<'static, Result<v1::$item, Status>>;

                async fn $stream(
                    &self,
                    request: Request<v1::$stream_request>,
                ) -> Result<Response<Self::$stream_type>, Status> {
                    let caller = caller(&request)?;
                    Ok(Response::new($stream_answer(self, &caller, request.into_inner()).await?))
                }
            )*
        }
    };
}

calls! {
    unary {
        get_installation: GetInstallationRequest => Installation, installation::get;
        shutdown: ShutdownRequest => ShutdownResponse, installation::shutdown;
        resolve: ResolveRequest => ResolveResponse, resolve::resolve;

        list_servers: ListServersRequest => ListServersResponse, servers::list;
        get_server: GetServerRequest => GetServerResponse, servers::get;
        abandon_server: AbandonServerRequest => AbandonServerResponse, servers::abandon;

        create_token: CreateTokenRequest => CreateTokenResponse, tokens::create;
        list_tokens: ListTokensRequest => ListTokensResponse, tokens::list;
        revoke_token: RevokeTokenRequest => RevokeTokenResponse, tokens::revoke;

        list_dead_letters: ListDeadLettersRequest => ListDeadLettersResponse, letters::list;
        requeue_dead_letter: RequeueDeadLetterRequest => RequeueDeadLetterResponse, letters::requeue;
        drop_dead_letter: DropDeadLetterRequest => DropDeadLetterResponse, letters::discard;

        create_game: CreateGameRequest => CreateGameResponse, games::create;
        get_game: GetGameRequest => GetGameResponse, games::get;
        list_games: ListGamesRequest => ListGamesResponse, games::list;
        update_game: UpdateGameRequest => UpdateGameResponse, games::update;
        delete_game: DeleteGameRequest => DeleteGameResponse, games::delete;

        create_game_config: CreateGameConfigRequest => CreateGameConfigResponse, games::create_config;
        get_game_config: GetGameConfigRequest => GetGameConfigResponse, games::get_config;
        list_game_configs: ListGameConfigsRequest => ListGameConfigsResponse, games::list_configs;
        update_game_config: UpdateGameConfigRequest => UpdateGameConfigResponse, games::update_config;
        delete_game_config: DeleteGameConfigRequest => DeleteGameConfigResponse, games::delete_config;

        deploy_game_config: DeployGameConfigRequest => DeployGameConfigResponse, deployments::create;
        get_server_game_config: GetServerGameConfigRequest => GetServerGameConfigResponse, deployments::get;
        list_server_game_configs:
            ListServerGameConfigsRequest => ListServerGameConfigsResponse, deployments::list;
        update_server_game_config:
            UpdateServerGameConfigRequest => UpdateServerGameConfigResponse, deployments::update;
        delete_server_game_config:
            DeleteServerGameConfigRequest => DeleteServerGameConfigResponse, deployments::delete;

        start_session: StartSessionRequest => StartSessionResponse, sessions::start;
        stop_session: StopSessionRequest => StopSessionResponse, sessions::stop;
        restart_session: RestartSessionRequest => RestartSessionResponse, sessions::restart;
        get_session: GetSessionRequest => GetSessionResponse, sessions::get;
        get_session_status: GetSessionStatusRequest => GetSessionStatusResponse, sessions::status;
        list_sessions: ListSessionsRequest => ListSessionsResponse, sessions::list;

        send_input: SendInputRequest => SendInputResponse, console::send;
    }
    stream {
        stream_session_logs(StreamSessionLogsStream):
            StreamSessionLogsRequest => StreamSessionLogsResponse, console::stream;
    }
}

/// Who calls, as the gate found out.
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, ApiError> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| ApiError::new(ErrorCode::Unauthenticated, "a valid token is needed"))
}
