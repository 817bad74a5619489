//! `config …`.

use super::{Context, body::body, find, names::Names, pages};
use crate::{
    api::v1,
    cli::{
        client::new_key,
        failure::Failure,
        grammar::{ConfigCommand, ConfigCreate},
        output::{Facts, Table, lower, moment, needed_port, since, size, span},
    },
};

pub async fn run(context: &mut Context, command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Create(args) => create(context, *args).await,
        ConfigCommand::List { game } => list(context, game).await,
        ConfigCommand::Show { config } => {
            let found = find(&context.client, v1::Noun::GameConfig, &config).await?;
            let request = v1::GetGameConfigRequest { config_id: found.id };
            let answer = context
                .client
                .call(request, async |mut api, request| api.get_game_config(request).await)
                .await?;
            let config = answer.config.unwrap_or_default();
            if context.screen.is_json() {
                return context.screen.message(&config);
            }
            let games = Names::games(&context.client).await?;
            context.screen.print(facts(&config, &games.of(config.game_id)).render(&context.screen))
        }
        ConfigCommand::Delete { config } => {
            let found = find(&context.client, v1::Noun::GameConfig, &config).await?;
            let request = v1::DeleteGameConfigRequest { config_id: found.id, idempotency_key: new_key() };
            let answer = context
                .client
                .call(request, async |mut api, request| api.delete_game_config(request).await)
                .await?;
            context.screen.message(&answer)?;
            context.screen.say(format!("deleted config {}", found.name))
        }
    }
}

async fn create(context: &mut Context, args: ConfigCreate) -> Result<(), Failure> {
    let name = args.name.to_string();
    let game = args.game.clone();
    let body = body(args)?;
    let found = find(&context.client, v1::Noun::Game, &game).await?;
    let request = v1::CreateGameConfigRequest {
        game_id: found.id,
        name,
        body: Some(body.into()),
        idempotency_key: new_key(),
    };
    let answer =
        context.client.call(request, async |mut api, request| api.create_game_config(request).await).await?;
    let config = answer.config.unwrap_or_default();
    context.screen.message(&config)?;
    context.screen.say(format!("created config {}/{} ({})", found.name, config.name, config.config_id))
}

async fn list(context: &mut Context, game: Option<String>) -> Result<(), Failure> {
    let game = match game {
        Some(game) => Some(find(&context.client, v1::Noun::Game, &game).await?.id),
        None => None,
    };
    let configs = pages::configs(&context.client, game).await?;
    if context.screen.is_json() {
        return context
            .screen
            .message(&v1::ListGameConfigsResponse { configs, next_page_token: String::new() });
    }
    let games = Names::games(&context.client).await?;
    let mut table = Table::new(["ID", "NAME", "IMAGE", "PORTS", "AGE"]);
    for config in &configs {
        let body = config.body.clone().unwrap_or_default();
        table.row([
            config.config_id.into(),
            format!("{}/{}", games.of(config.game_id), config.name).into(),
            body.image.into(),
            ports(&body.ports).join(" ").into(),
            since(config.created_at.as_ref(), context.clock.now()).into(),
        ]);
    }
    let text = table.render(
        &context.screen,
        "no configs; create one: manman config create NAME --game GAME --image IMAGE",
    );
    context.screen.print(text)
}

fn ports(needs: &[v1::PortNeed]) -> Vec<String> {
    needs.iter().map(|need| needed_port(need.container_port, need.protocol())).collect()
}

fn facts(config: &v1::GameConfig, game: &str) -> Facts {
    let millis = |millis: u32| {
        let whole = std::time::Duration::from_millis(millis.into());
        if millis.is_multiple_of(1000) { span(whole) } else { format!("{millis}ms") }
    };
    let body = config.body.clone().unwrap_or_default();
    let stop = body.stop.clone().unwrap_or_default();
    let limits = body.limits.unwrap_or_default();
    let log = body.log.clone().unwrap_or_default();
    let mut facts = Facts::default();
    facts
        .fact("id", config.config_id)
        .fact("name", format!("{game}/{}", config.name))
        .fact("image", &body.image)
        .each("entrypoint", &body.entrypoint)
        .each("command", &body.command)
        .each("env", body.env_template.iter().map(|(key, value)| format!("{key}={value}")))
        .each("port", ports(&body.ports))
        .maybe("data path", body.data_path.as_ref())
        .each(
            "volume",
            body.volumes.iter().map(|volume| {
                format!(
                    "{}:{}{}",
                    volume.name,
                    volume.container_path,
                    if volume.read_only { ":ro" } else { "" }
                )
            }),
        )
        .each(
            "stop",
            stop.steps.iter().map(|step| format!("{:?}, wait {}", step.command, millis(step.wait_millis))),
        )
        .fact(
            "then",
            format!(
                "SIG{}, kill after {}",
                stop.signal().as_str_name().trim_start_matches("SIGNAL_"),
                millis(stop.grace_millis())
            ),
        )
        .fact("memory", limits.memory_bytes.map_or_else(|| "not limited".to_owned(), size))
        .fact(
            "cpus",
            limits
                .cpu_millis
                .map_or_else(|| "not limited".to_owned(), |cpu| (f64::from(cpu) / 1000.0).to_string()),
        )
        .maybe("pids", limits.pids)
        .maybe("user", body.user.as_ref())
        .fact("capabilities", lower(body.capabilities().as_str_name(), "CAP_PROFILE_"))
        .fact(
            "network",
            match body.network.as_ref().and_then(|network| network.shared.as_ref()) {
                Some(name) => format!("shared:{name}"),
                None => "session".to_owned(),
            },
        )
        .fact("console", lower(body.console().as_str_name(), "CONSOLE_POLICY_").replace('_', "-"))
        .fact("log", format!("{}, {} x {}", log.driver(), size(log.max_size_bytes()), log.max_files()))
        .maybe("tty", body.tty.then_some("yes"))
        .each("label", body.labels.iter().map(|(key, value)| format!("{key}={value}")))
        .maybe("created", moment(config.created_at.as_ref()));
    facts
}
