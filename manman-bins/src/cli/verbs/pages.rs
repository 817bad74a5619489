//! Lists, all pages of them.

use crate::{
    api::v1,
    cli::{client::Client, failure::Failure},
};

/// Gathers pages: `page` gets a token and answers with entries and the next token, which
/// is empty when there is nothing more. Stops at `most` entries.
pub async fn all<T>(
    most: usize,
    page: impl AsyncFn(String, usize) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let (entries, next) = page(token, most - all.len()).await?;
        all.extend(entries);
        if next.is_empty() || all.len() >= most {
            all.truncate(most);
            return Ok(all);
        }
        token = next;
    }
}

/// The most entries of a page.
const PAGE: usize = 200;

fn size(most: usize) -> Option<i32> {
    i32::try_from(most.clamp(1, PAGE)).ok()
}

/// All tokens.
pub async fn tokens(client: &Client) -> Result<Vec<v1::Token>, Failure> {
    all(usize::MAX, async |page_token, most| {
        let request = v1::ListTokensRequest { page_size: size(most), page_token };
        let answer = client.call(request, async |mut api, request| api.list_tokens(request).await).await?;
        Ok((answer.tokens, answer.next_page_token))
    })
    .await
}

/// All games.
pub async fn games(client: &Client) -> Result<Vec<v1::Game>, Failure> {
    all(usize::MAX, async |page_token, most| {
        let request = v1::ListGamesRequest { page_size: size(most), page_token };
        let answer = client.call(request, async |mut api, request| api.list_games(request).await).await?;
        Ok((answer.games, answer.next_page_token))
    })
    .await
}

/// All configs, or those of a game.
pub async fn configs(client: &Client, game_id: Option<i64>) -> Result<Vec<v1::GameConfig>, Failure> {
    all(usize::MAX, async |page_token, most| {
        let request = v1::ListGameConfigsRequest { game_id, page_size: size(most), page_token };
        let answer =
            client.call(request, async |mut api, request| api.list_game_configs(request).await).await?;
        Ok((answer.configs, answer.next_page_token))
    })
    .await
}

/// All deployments, or those of a server.
pub async fn deployments(
    client: &Client,
    server_id: Option<i64>,
) -> Result<Vec<v1::ServerGameConfig>, Failure> {
    all(usize::MAX, async |page_token, most| {
        let request = v1::ListServerGameConfigsRequest { server_id, page_size: size(most), page_token };
        let answer = client
            .call(request, async |mut api, request| api.list_server_game_configs(request).await)
            .await?;
        Ok((answer.configs, answer.next_page_token))
    })
    .await
}

/// All servers.
pub async fn servers(client: &Client) -> Result<Vec<v1::Server>, Failure> {
    all(usize::MAX, async |page_token, most| {
        let request = v1::ListServersRequest { page_size: size(most), page_token };
        let answer = client.call(request, async |mut api, request| api.list_servers(request).await).await?;
        Ok((answer.servers, answer.next_page_token))
    })
    .await
}

/// Sessions that have not ended.
pub async fn live_sessions(client: &Client) -> Result<Vec<v1::Session>, Failure> {
    let live = v1::ListSessionsRequest { live_only: true, ..Default::default() };
    sessions(client, &live, usize::MAX).await
}

/// The newest sessions, as many as `most`, that `filter` lets pass.
pub async fn sessions(
    client: &Client,
    filter: &v1::ListSessionsRequest,
    most: usize,
) -> Result<Vec<v1::Session>, Failure> {
    all(most, async |page_token, most| {
        let request = v1::ListSessionsRequest { page_size: size(most), page_token, ..filter.clone() };
        let answer = client.call(request, async |mut api, request| api.list_sessions(request).await).await?;
        Ok((answer.sessions, answer.next_page_token))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_gathered_until_there_is_no_token() {
        let page = async |token: String, _: usize| {
            Ok(match token.as_str() {
                "" => (vec![1, 2], "a".to_owned()),
                // A page may be empty and not the last one.
                "a" => (vec![], "b".to_owned()),
                _ => (vec![3], String::new()),
            })
        };
        assert_eq!(all(usize::MAX, page).await.unwrap(), [1, 2, 3]);
        assert_eq!(all(1, page).await.unwrap(), [1]);
    }
}
