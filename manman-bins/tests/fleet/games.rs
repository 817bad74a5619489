//! The games of a fleet: deployed, started, stopped through the API.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use manman_bins::api::v1;

use crate::{
    Size,
    client::{Api, ask},
    hosts::{Host, LOUD, QUIET},
    plane::PATIENCE,
};

/// How many calls are made at once.
const AT_ONCE: usize = 32;

/// How many games are on their way up at once.
const WAVE: usize = 200;

/// How long a status call waits for a change.
const WAIT_MILLIS: u32 = 5_000;

/// A game that runs.
#[derive(Clone, Copy, Debug)]
pub struct Game {
    pub sgc: i64,
    pub session: i64,
    /// Whether it prints lines that are followed.
    pub loud: bool,
}

/// Deploys all games; nothing runs yet.
pub async fn deploy(api: &Api, hosts: &[Host], size: Size) -> Vec<Game> {
    let (quiet, loud) = (config(api.clone(), "quiet", QUIET).await, config(api.clone(), "loud", LOUD).await);
    let all = (0..size.sessions).flat_map(|slot| (0..size.hosts).map(move |host| (slot, host)));
    let deployed = stream::iter(all).map(|(slot, host)| {
        let api = api.clone();
        let loud_one = slot * size.hosts + host < size.followed;
        let request = v1::DeployGameConfigRequest {
            name: Some(format!("game-{host}-{slot}")),
            server_id: Some(hosts[host].server),
            game_config_id: if loud_one { loud } else { quiet },
            idempotency_key: format!("deploy-{host}-{slot}"),
            ..Default::default()
        };
        async move {
            let answer = ask!(api, deploy_game_config, request);
            let sgc = answer.config.unwrap().server_game_config_id;
            Game { sgc, session: 0, loud: loud_one }
        }
    });
    deployed.buffer_unordered(AT_ONCE).collect().await
}

async fn config(mut api: Api, name: &str, image: &str) -> i64 {
    let game = v1::CreateGameRequest { name: name.to_owned(), ..Default::default() };
    let game_id = api.create_game(game).await.unwrap().into_inner().game.unwrap().game_id;
    let request = v1::CreateGameConfigRequest {
        game_id,
        name: name.to_owned(),
        body: Some(v1::ConfigBody { image: image.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    api.create_game_config(request).await.unwrap().into_inner().config.unwrap().config_id
}

/// Starts games, many at once, and waits until all run.
pub async fn start_all(api: &Api, games: Vec<Game>) -> Vec<Game> {
    let mut running = Vec::with_capacity(games.len());
    for wave in games.chunks(WAVE) {
        let started = stream::iter(wave).map(|game| async move {
            let session = started(api, *game).await.session_id;
            Game { session, ..*game }
        });
        running.extend(started.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        let begun = Instant::now();
        while let Some(session) = on_their_way(api).await.pop() {
            assert!(begun.elapsed() < PATIENCE, "it was to run by now: {session:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    running
}

/// Some of the sessions that do not run yet.
async fn on_their_way(api: &Api) -> Vec<v1::Session> {
    let request = v1::ListSessionsRequest {
        states: vec![v1::SessionState::Pending.into(), v1::SessionState::Starting.into()],
        page_size: Some(1),
        ..Default::default()
    };
    ask!(api, list_sessions, request).sessions
}

async fn started(api: &Api, game: Game) -> v1::Session {
    let request = v1::StartSessionRequest {
        server_game_config_id: game.sgc,
        idempotency_key: format!("start-{}-after-{}", game.sgc, game.session),
    };
    ask!(api, start_session, request).session.unwrap()
}

/// Starts a game and waits until it runs.
pub async fn start(api: &Api, game: Game) -> Game {
    let session = started(api, game).await;
    let id = session.session_id;
    awaited(api, session, v1::SessionState::Running).await;
    Game { session: id, ..game }
}

/// Stops a game and waits until it has ended.
pub async fn stop(api: &Api, game: Game) {
    let request = v1::StopSessionRequest {
        session_id: game.session,
        mode: v1::StopMode::Graceful.into(),
        idempotency_key: format!("stop-{}", game.session),
    };
    let answer = ask!(api, stop_session, request);
    awaited(api, answer.session.unwrap(), v1::SessionState::Stopped).await;
}

/// Waits until a session has that state; no other end will do.
async fn awaited(api: &Api, mut session: v1::Session, state: v1::SessionState) {
    let begun = Instant::now();
    while session.state() != state {
        let ended = session.ended_at.is_some();
        assert!(!ended && begun.elapsed() < PATIENCE, "it was to be {state:?} and is {session:?}");
        let request = v1::GetSessionStatusRequest {
            session_id: session.session_id,
            wait_millis: Some(WAIT_MILLIS),
            seen: Some(v1::SessionStatus {
                revision: session.revision,
                phase: session.phase,
                progress: session.progress.clone(),
            }),
        };
        let status = ask!(api, get_session_status, request);
        session = status.session.unwrap();
    }
}
