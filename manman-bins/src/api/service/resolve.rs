//! What a name, or an id in text, means.

use manman_core::{
    control::Control,
    id::SessionId,
    model::text,
    store::{DeedError, Page},
};

use super::Api;
use crate::api::{
    auth::Caller,
    errors::ApiError,
    near::near,
    v1::{self, Noun},
};

/// The longest text that may mean something: `game/config`.
const LONGEST: usize = 127;

pub(super) async fn resolve(
    api: &Api,
    _: &Caller,
    request: v1::ResolveRequest,
) -> Result<v1::ResolveResponse, ApiError> {
    let asked = request.text.as_str();
    if asked.is_empty() {
        return Err(ApiError::invalid("text", "is empty"));
    }
    text::check("text", asked, LONGEST)?;
    let control = api.control();
    let noun = Noun::try_from(request.noun).unwrap_or(Noun::Unspecified);
    let found = match noun {
        Noun::Server => control.server_find(asked).await.map(|it| (it.id.0, it.name.to_string())),
        Noun::Game => control.game_find(asked).await.map(|it| (it.id.0, it.name.to_string())),
        Noun::GameConfig => control.config_find(asked).await.map(|it| (it.id.0, it.name.to_string())),
        Noun::ServerGameConfig => {
            control.deployment_find(asked).await.map(|it| (it.id.0, it.name.to_string()))
        }
        Noun::Session => session(control, asked).await.map(|id| (id, String::new())),
        Noun::Unspecified => {
            return Err(ApiError::invalid("noun", "is not one that this version knows"));
        }
    };
    match found {
        Ok((id, name)) => Ok(v1::ResolveResponse { id, name }),
        Err(DeedError::NotFound { noun: word, id }) => {
            let error = ApiError::not_found(word, id);
            let names = names(control, noun, asked).await.unwrap_or_default();
            let hits = near(asked, names.iter().map(String::as_str));
            if hits.is_empty() {
                return Err(error);
            }
            Err(error.remedy(format!("Did you mean {}?", hits.join(", "))).with("near", hits.join(",")))
        }
        Err(error) => Err(error.into()),
    }
}

async fn session(control: &Control, asked: &str) -> Result<i64, DeedError> {
    if let Ok(id) = asked.parse::<SessionId>() {
        return control.session_get(id).await.map(|session| session.id.0);
    }
    let deployment = control.deployment_find(asked).await?;
    match control.session_latest(deployment.id).await? {
        Some(session) => Ok(session.id.0),
        None => Err(DeedError::NotFound { noun: "session of", id: asked.to_owned() }),
    }
}

/// The names that there are, as many as one page holds: enough for a hint.
async fn names(control: &Control, noun: Noun, asked: &str) -> Result<Vec<String>, DeedError> {
    let most = Control::PAGE_MOST;
    Ok(match noun {
        Noun::Server => named(control.server_list(Page::first(most)).await?, |it| it.name.to_string()),
        Noun::Game => named(control.game_list(Page::first(most)).await?, |it| it.name.to_string()),
        Noun::GameConfig if asked.contains('/') => {
            let games = control.game_list(Page::first(most)).await?;
            let configs = control.config_list(None, Page::first(most)).await?;
            let whole = configs.iter().filter_map(|config| {
                let game = games.iter().find(|game| game.id == config.game)?;
                Some(format!("{}/{}", game.name, config.name))
            });
            whole.collect()
        }
        Noun::GameConfig => {
            named(control.config_list(None, Page::first(most)).await?, |it| it.name.to_string())
        }
        Noun::ServerGameConfig | Noun::Session => {
            let deployments = control.deployment_list(None, Page::first(most)).await?;
            // One that exists and never had a session is no hint at itself.
            named(deployments, |it| it.name.to_string()).into_iter().filter(|name| name != asked).collect()
        }
        Noun::Unspecified => Vec::new(),
    })
}

fn named<T>(things: Vec<T>, name: fn(&T) -> String) -> Vec<String> {
    things.iter().map(name).collect()
}
