//! `game …`.

use super::{Context, find, pages};
use crate::{
    api::v1,
    cli::{
        client::new_key,
        failure::Failure,
        grammar::GameCommand,
        output::{Facts, Table, moment, since},
    },
};

pub async fn run(context: &mut Context, command: GameCommand) -> Result<(), Failure> {
    match command {
        GameCommand::Create { name, steam_app_id, metadata } => {
            let request = v1::CreateGameRequest {
                name: name.into(),
                steam_app_id,
                metadata: metadata.into_iter().collect(),
                idempotency_key: new_key(),
            };
            let answer =
                context.client.call(request, async |mut api, request| api.create_game(request).await).await?;
            let game = answer.game.unwrap_or_default();
            context.screen.message(&game)?;
            context.screen.say(format!("created game {} ({})", game.name, game.game_id))
        }
        GameCommand::List => list(context).await,
        GameCommand::Show { game } => {
            let found = find(&context.client, v1::Noun::Game, &game).await?;
            let request = v1::GetGameRequest { game_id: found.id };
            let answer =
                context.client.call(request, async |mut api, request| api.get_game(request).await).await?;
            let game = answer.game.unwrap_or_default();
            context.screen.message(&game)?;
            let mut facts = Facts::default();
            facts
                .fact("id", game.game_id)
                .fact("name", game.name)
                .maybe("steam app", game.steam_app_id)
                .maybe("created", moment(game.created_at.as_ref()))
                .each("metadata", game.metadata.iter().map(|(key, value)| format!("{key}={value}")));
            context.screen.print(facts.render(&context.screen))
        }
        GameCommand::Delete { game } => {
            let found = find(&context.client, v1::Noun::Game, &game).await?;
            let request = v1::DeleteGameRequest { game_id: found.id, idempotency_key: new_key() };
            let answer =
                context.client.call(request, async |mut api, request| api.delete_game(request).await).await?;
            context.screen.message(&answer)?;
            context.screen.say(format!("deleted game {}", found.name))
        }
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let games = pages::games(&context.client).await?;
    let mut table = Table::new(["ID", "NAME", "STEAM", "AGE"]);
    for game in &games {
        table.row([
            game.game_id.into(),
            (&game.name).into(),
            game.steam_app_id().into(),
            since(game.created_at.as_ref(), context.clock.now()).into(),
        ]);
    }
    context.screen.message(&v1::ListGamesResponse { games, next_page_token: String::new() })?;
    let text = table.render(&context.screen, "no games; create one: manman game create NAME");
    context.screen.print(text)
}
