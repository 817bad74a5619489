//! What the made-up manman answers.

use futures::{StreamExt as _, stream, stream::BoxStream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::Fake;
use crate::api::{
    errors::{ApiError, ErrorCode},
    v1::{
        self, man_man_api_server::ManManApi, stream_session_logs_request::Begin,
        stream_session_logs_response::What,
    },
};

type Answer<T> = Result<Response<T>, Status>;

macro_rules! not_played {
    ($($name:ident($request:ident) -> $answer:ident;)*) => {$(
        fn $name<'a, 'b>(
            &'a self,
            _: Request<v1::$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Answer<v1::$answer>> + Send + 'b>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented(stringify!($name))) })
        }
    )*};
}

#[tonic::async_trait]
impl ManManApi for Fake {
    type StreamSessionLogsStream = BoxStream<'static, Result<v1::StreamSessionLogsResponse, Status>>;

    not_played! {
        abandon_server(AbandonServerRequest) -> AbandonServerResponse;
        get_game(GetGameRequest) -> GetGameResponse;
        delete_game(DeleteGameRequest) -> DeleteGameResponse;
        update_game(UpdateGameRequest) -> UpdateGameResponse;
        update_server_game_config(UpdateServerGameConfigRequest) -> UpdateServerGameConfigResponse;
        delete_game_config(DeleteGameConfigRequest) -> DeleteGameConfigResponse;
        delete_server_game_config(DeleteServerGameConfigRequest) -> DeleteServerGameConfigResponse;
        shutdown(ShutdownRequest) -> ShutdownResponse;
        create_token(CreateTokenRequest) -> CreateTokenResponse;
        list_tokens(ListTokensRequest) -> ListTokensResponse;
        revoke_token(RevokeTokenRequest) -> RevokeTokenResponse;
        list_dead_letters(ListDeadLettersRequest) -> ListDeadLettersResponse;
        requeue_dead_letter(RequeueDeadLetterRequest) -> RequeueDeadLetterResponse;
        drop_dead_letter(DropDeadLetterRequest) -> DropDeadLetterResponse;
    }

    async fn get_installation(&self, _: Request<v1::GetInstallationRequest>) -> Answer<v1::Installation> {
        Ok(Response::new(v1::Installation {
            cluster_id: "c".into(),
            version: "0".into(),
            pid: 1,
            started_at: Some(prost_types::Timestamp { seconds: 1_795_262_390, nanos: 0 }),
            data_dir: "/d".into(),
        }))
    }

    async fn resolve(&self, request: Request<v1::ResolveRequest>) -> Answer<v1::ResolveResponse> {
        let request = request.into_inner();
        if request.text == "nobody" {
            let error =
                ApiError::new(ErrorCode::NotFound, "there is no nobody").remedy("Did you mean somebody?");
            return Err(error.into());
        }
        Ok(Response::new(match request.noun() {
            v1::Noun::Session => v1::ResolveResponse { id: 7, name: String::new() },
            _ => v1::ResolveResponse { id: 3, name: request.text },
        }))
    }

    async fn list_servers(&self, _: Request<v1::ListServersRequest>) -> Answer<v1::ListServersResponse> {
        Ok(Response::new(v1::ListServersResponse {
            servers: self.script().servers.clone(),
            ..Default::default()
        }))
    }

    async fn get_server(&self, _: Request<v1::GetServerRequest>) -> Answer<v1::GetServerResponse> {
        let server = self.script().servers.first().cloned();
        Ok(Response::new(v1::GetServerResponse { server, ports: Vec::new() }))
    }

    async fn create_game(&self, request: Request<v1::CreateGameRequest>) -> Answer<v1::CreateGameResponse> {
        let request = request.into_inner();
        self.write("create_game", &request.idempotency_key)?;
        let game = v1::Game { game_id: 1, name: request.name, ..Default::default() };
        Ok(Response::new(v1::CreateGameResponse { game: Some(game) }))
    }

    async fn list_games(&self, request: Request<v1::ListGamesRequest>) -> Answer<v1::ListGamesResponse> {
        // Pages of one.
        let at: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let games = &self.script().games;
        Ok(Response::new(v1::ListGamesResponse {
            games: games.get(at).cloned().into_iter().collect(),
            next_page_token: if at + 1 < games.len() { (at + 1).to_string() } else { String::new() },
        }))
    }

    async fn list_game_configs(
        &self,
        _: Request<v1::ListGameConfigsRequest>,
    ) -> Answer<v1::ListGameConfigsResponse> {
        Ok(Response::new(v1::ListGameConfigsResponse {
            configs: self.script().configs.clone(),
            ..Default::default()
        }))
    }

    async fn get_game_config(
        &self,
        _: Request<v1::GetGameConfigRequest>,
    ) -> Answer<v1::GetGameConfigResponse> {
        let config = self.script().configs.first().cloned();
        Ok(Response::new(v1::GetGameConfigResponse { config }))
    }

    async fn create_game_config(
        &self,
        request: Request<v1::CreateGameConfigRequest>,
    ) -> Answer<v1::CreateGameConfigResponse> {
        let request = request.into_inner();
        self.write("create_game_config", &request.idempotency_key)?;
        let config = v1::GameConfig { config_id: 9, name: request.name, ..Default::default() };
        Ok(Response::new(v1::CreateGameConfigResponse { config: Some(config) }))
    }

    async fn update_game_config(
        &self,
        request: Request<v1::UpdateGameConfigRequest>,
    ) -> Answer<v1::UpdateGameConfigResponse> {
        self.write("update_game_config", &request.into_inner().idempotency_key)?;
        Err(ApiError::new(ErrorCode::ChangedMeanwhile, "config 2 was changed meanwhile").into())
    }

    async fn deploy_game_config(
        &self,
        request: Request<v1::DeployGameConfigRequest>,
    ) -> Answer<v1::DeployGameConfigResponse> {
        let request = request.into_inner();
        self.write("deploy", &request.idempotency_key)?;
        self.script().deployed = Some(request);
        let config = self.script().deployments.first().cloned();
        Ok(Response::new(v1::DeployGameConfigResponse { config }))
    }

    async fn get_server_game_config(
        &self,
        _: Request<v1::GetServerGameConfigRequest>,
    ) -> Answer<v1::GetServerGameConfigResponse> {
        let config = self.script().deployments.first().cloned();
        Ok(Response::new(v1::GetServerGameConfigResponse { config }))
    }

    async fn list_server_game_configs(
        &self,
        _: Request<v1::ListServerGameConfigsRequest>,
    ) -> Answer<v1::ListServerGameConfigsResponse> {
        let configs = self.script().deployments.clone();
        Ok(Response::new(v1::ListServerGameConfigsResponse { configs, ..Default::default() }))
    }

    async fn start_session(
        &self,
        request: Request<v1::StartSessionRequest>,
    ) -> Answer<v1::StartSessionResponse> {
        let repeated = self.write("start", &request.into_inner().idempotency_key)?;
        Ok(Response::new(v1::StartSessionResponse { session: Some(self.session()), repeated }))
    }

    async fn stop_session(
        &self,
        request: Request<v1::StopSessionRequest>,
    ) -> Answer<v1::StopSessionResponse> {
        let request = request.into_inner();
        let call = if request.mode() == v1::StopMode::Kill { "kill" } else { "stop" };
        self.write(call, &request.idempotency_key)?;
        Ok(Response::new(v1::StopSessionResponse { session: Some(self.session()) }))
    }

    async fn restart_session(
        &self,
        request: Request<v1::RestartSessionRequest>,
    ) -> Answer<v1::RestartSessionResponse> {
        self.write("restart", &request.into_inner().idempotency_key)?;
        Ok(Response::new(v1::RestartSessionResponse { session: Some(self.session()) }))
    }

    async fn get_session(&self, _: Request<v1::GetSessionRequest>) -> Answer<v1::GetSessionResponse> {
        let timeline = vec![v1::TimelineEntry {
            state: v1::SessionState::Running.into(),
            attempt: 1,
            not_seen: true,
            ..Default::default()
        }];
        let attempts = self.script().attempts.clone();
        Ok(Response::new(v1::GetSessionResponse { session: Some(self.session()), timeline, attempts }))
    }

    async fn get_session_status(
        &self,
        request: Request<v1::GetSessionStatusRequest>,
    ) -> Answer<v1::GetSessionStatusResponse> {
        let request = request.into_inner();
        if request.seen.is_none() {
            return Ok(Response::new(v1::GetSessionStatusResponse { session: Some(self.session()) }));
        }
        let next = self.script().sessions.pop_front();
        match next {
            // What a session of id 0 stands for here.
            Some(cut) if cut.session_id == 0 => {
                self.cut();
                return Err(Status::internal("nobody reads this"));
            }
            Some(next) => self.script().now = next,
            None => {
                let wait = u64::from(request.wait_millis.unwrap_or(0));
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            }
        }
        Ok(Response::new(v1::GetSessionStatusResponse { session: Some(self.session()) }))
    }

    async fn list_sessions(&self, _: Request<v1::ListSessionsRequest>) -> Answer<v1::ListSessionsResponse> {
        let now = self.session();
        let sessions = if now.session_id == 0 { Vec::new() } else { vec![now] };
        Ok(Response::new(v1::ListSessionsResponse { sessions, ..Default::default() }))
    }

    async fn send_input(&self, request: Request<v1::SendInputRequest>) -> Answer<v1::SendInputResponse> {
        let request = request.into_inner();
        let known = self.script().writes.iter().any(|(_, key)| *key == request.idempotency_key);
        if !known {
            let line = String::from_utf8(request.input).unwrap();
            self.script().lines.push(line);
        }
        self.write("input", &request.idempotency_key)?;
        let (outcome, reason) =
            self.script().outcomes.pop_front().unwrap_or((v1::InputOutcome::Done, String::new()));
        Ok(Response::new(v1::SendInputResponse { command_id: "c".into(), outcome: outcome.into(), reason }))
    }

    async fn stream_session_logs(
        &self,
        request: Request<v1::StreamSessionLogsRequest>,
    ) -> Answer<Self::StreamSessionLogsStream> {
        let request = request.into_inner();
        let after = match request.begin {
            Some(Begin::AfterSequenceNumber(after)) => after,
            _ => 0,
        };
        let (to, console) = mpsc::unbounded_channel();
        let steps = self.script().console.clone();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Some(what) if number(&what) > after => drop(to.send(what)),
                Some(_) => {}
                None => {
                    // Once: the next one who asks gets past it.
                    self.script().console.remove(at);
                    let fake = self.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                        fake.cut();
                        drop(to);
                    });
                    return Ok(Response::new(endless(console)));
                }
            }
        }
        if request.follow && self.session().state() == v1::SessionState::Running {
            tokio::spawn(async move { to.closed().await });
        }
        Ok(Response::new(endless(console)))
    }
}

fn endless(
    console: mpsc::UnboundedReceiver<What>,
) -> BoxStream<'static, Result<v1::StreamSessionLogsResponse, Status>> {
    stream::unfold(console, |mut console| async { Some((console.recv().await?, console)) })
        .map(|what| Ok(v1::StreamSessionLogsResponse { what: Some(what) }))
        .boxed()
}

/// The last sequence number of what a console has.
fn number(what: &What) -> u64 {
    match what {
        What::Output(output) => output.first_sequence_number + output.pieces.len() as u64 - 1,
        What::Gap(gap) => gap.sequence_number,
        What::Lagged(_) => u64::MAX,
    }
}
