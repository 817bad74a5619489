//! Callers of the API.

use std::time::{Duration, Instant};

use manman_bins::api::{
    Token, auth,
    dial::{Address, Proof, endpoint},
    v1::{self, man_man_api_client::ManManApiClient},
};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::plane::PATIENCE;

pub type Api = ManManApiClient<InterceptedService<Channel, Proof>>;

/// Who calls with `token`, on a connection of its own.
pub fn caller(address: &str, token: &str) -> Api {
    let address: Address = address.parse().unwrap();
    let channel = endpoint(&address, None).unwrap().connect_lazy();
    ManManApiClient::with_interceptor(channel, Proof::token(token).unwrap())
}

/// A token on record; `join` names the host that it is to make.
pub async fn new_token(api: &mut Api, role: v1::TokenRole, name: &str, join: Option<&str>) -> Token {
    let token = Token::random().unwrap();
    let request = v1::CreateTokenRequest {
        name: name.to_owned(),
        role: role.into(),
        server_name: join.map(str::to_owned),
        token_digest: auth::digest(token.reveal().as_bytes()).to_vec(),
        ..Default::default()
    };
    api.create_token(request).await.unwrap();
    token
}

/// The answer to a call, which is made again while the API says that it cannot be answered
/// for now.
macro_rules! ask {
    ($api:expr, $call:ident, $request:expr) => {
        $crate::client::patiently(stringify!($call), || {
            let (mut api, request) = ($api.clone(), $request.clone());
            async move { api.$call(request).await }
        })
        .await
    };
}
pub(crate) use ask;

pub async fn patiently<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) if is_temporary(&status) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(status) => panic!("{what}: {status:?}"),
        }
    }
}

fn is_temporary(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Aborted)
}

/// All servers.
pub async fn servers(api: &Api) -> Vec<v1::Server> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListServersRequest { page_size: Some(200), page_token };
        let page = ask!(api, list_servers, request);
        all.extend(page.servers);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

/// All sessions that have not ended.
pub async fn live_sessions(api: &Api) -> Vec<v1::Session> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListSessionsRequest {
            live_only: true,
            page_size: Some(200),
            page_token,
            ..Default::default()
        };
        let page = ask!(api, list_sessions, request);
        all.extend(page.sessions);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}
