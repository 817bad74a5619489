//! Doing what is planned, one change after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Change, Deed, Plan, There};
use crate::{
    api::v1,
    cli::{
        client::{Client, new_key},
        failure::Failure,
        output::host_ports,
        verbs::{Context, Progress},
    },
};

/// Ids by name, of what there was and what was made.
struct Ids {
    games: BTreeMap<String, i64>,
    configs: BTreeMap<String, i64>,
    /// Configs that were changed: deployments of them may have other ports since.
    changed: BTreeSet<i64>,
}

/// Does it. Says each change once it is done.
pub async fn act(context: &mut Context, plan: Plan, there: &There) -> Result<Vec<String>, Failure> {
    let mut ids = Ids {
        games: there.games.iter().map(|game| (game.name.clone(), game.game_id)).collect(),
        configs: there.configs.iter().map(|it| (there.full_name(it), it.config_id)).collect(),
        changed: BTreeSet::new(),
    };
    let total = plan.changes.len();
    let mut done: Vec<String> = Vec::new();
    let mut progress = Progress::new("", "");
    for change in plan.changes {
        let what = format!("{} {}", change.noun, change.name);
        let did = if change.is_new { "created" } else { "changed" };
        progress.step(what.clone(), done.len(), total);
        progress.goes_on(
            format!("{} of {total} changes are done; whether {what} was {did} is not known", done.len()),
            "Applying again goes on from there.",
        );
        let Context { screen, client, .. } = context;
        match progress.during(screen, one(client, change, &mut ids)).await? {
            Ok(more) => {
                let line = format!("{did} {what}{more}");
                screen.say(&line)?;
                done.push(line);
            }
            Err(failure) => {
                let so_far = match done.len() {
                    0 => "nothing was done before it".to_owned(),
                    count => format!("{count} of {total} changes are done: {}", done.join("; ")),
                };
                let again = "applying again goes on from there, once this is settled".to_owned();
                return Err(failure
                    .about(&format!("{what} was not {did}"))
                    .problems(vec![so_far, again])
                    .detail("done", done));
            }
        }
    }
    Ok(done)
}

/// Does one change; returns what is worth to be said of it.
async fn one(client: &Client, change: Change, ids: &mut Ids) -> Result<String, Failure> {
    let idempotency_key = new_key();
    Ok(match change.deed {
        Deed::CreateGame(request) => {
            let request = v1::CreateGameRequest { idempotency_key, ..request };
            let answer =
                client.call(request, async |mut api, request| api.create_game(request).await).await?;
            let id = answer.game.unwrap_or_default().game_id;
            ids.games.insert(change.name, id);
            format!(" ({id})")
        }
        Deed::UpdateGame(request) => {
            let request = v1::UpdateGameRequest { idempotency_key, ..request };
            client.call(request, async |mut api, request| api.update_game(request).await).await?;
            String::new()
        }
        Deed::CreateConfig(game, request) => {
            let game_id = known(&ids.games, "game", &game)?;
            let request = v1::CreateGameConfigRequest { game_id, idempotency_key, ..*request };
            let answer =
                client.call(request, async |mut api, request| api.create_game_config(request).await).await?;
            let id = answer.config.unwrap_or_default().config_id;
            ids.configs.insert(change.name, id);
            format!(" ({id})")
        }
        Deed::UpdateConfig(request) => {
            ids.changed.insert(request.config_id);
            let request = v1::UpdateGameConfigRequest { idempotency_key, ..*request };
            client.call(request, async |mut api, request| api.update_game_config(request).await).await?;
            String::new()
        }
        Deed::Deploy(config, request) => {
            let game_config_id = known(&ids.configs, "config", &config)?;
            let request = v1::DeployGameConfigRequest { game_config_id, idempotency_key, ..request };
            let answer =
                client.call(request, async |mut api, request| api.deploy_game_config(request).await).await?;
            let made = answer.config.unwrap_or_default();
            format!(" ({}){}", made.server_game_config_id, ports(&made))
        }
        Deed::UpdateDeployment(config, request) => {
            let game_config_id = Some(known(&ids.configs, "config", &config)?);
            let seen = request.seen.clone().filter(|seen| !ids.changed.contains(&seen.game_config_id));
            let request =
                v1::UpdateServerGameConfigRequest { game_config_id, seen, idempotency_key, ..request };
            let answer = client
                .call(request, async |mut api, request| api.update_server_game_config(request).await)
                .await?;
            ports(&answer.config.unwrap_or_default())
        }
    })
}

fn known(ids: &BTreeMap<String, i64>, noun: &str, name: &str) -> Result<i64, Failure> {
    // The plan has what makes it before what needs it.
    ids.get(name).copied().ok_or_else(|| Failure::failed(format!("there is no {noun} {name}")))
}

fn ports(deployment: &v1::ServerGameConfig) -> String {
    match host_ports(&deployment.port_bindings) {
        ports if ports.is_empty() => ports,
        ports => format!(", ports {ports}"),
    }
}
