//! `deployment …`.

use manman_core::model::PortAsk;

use super::{Context, find, names::Names, pages};
use crate::{
    api::v1::{self, port_request::Ask},
    cli::{
        client::new_key,
        failure::Failure,
        grammar::{DeploymentCommand, DeploymentCreate},
        output::{Facts, Table, host_ports, lower, moment, needed_port, since},
        parse::PortAsked,
    },
};

pub async fn run(context: &mut Context, command: DeploymentCommand) -> Result<(), Failure> {
    match command {
        DeploymentCommand::Create(args) => create(context, args).await,
        DeploymentCommand::List { server } => list(context, server).await,
        DeploymentCommand::Show { deployment } => show(context, &deployment).await,
        DeploymentCommand::Delete { deployment } => {
            let found = find(&context.client, v1::Noun::ServerGameConfig, &deployment).await?;
            let request = v1::DeleteServerGameConfigRequest {
                server_game_config_id: found.id,
                idempotency_key: new_key(),
            };
            let answer = context
                .client
                .call(request, async |mut api, request| api.delete_server_game_config(request).await)
                .await?;
            context.screen.message(&answer)?;
            context.screen.say(format!("deleted deployment {}; its files stay", found.name))
        }
    }
}

async fn create(context: &mut Context, args: DeploymentCreate) -> Result<(), Failure> {
    let config = find(&context.client, v1::Noun::GameConfig, &args.config).await?;
    let server_id = match &args.server {
        Some(server) => Some(find(&context.client, v1::Noun::Server, server).await?.id),
        // The only one there is.
        None => None,
    };
    let request = v1::DeployGameConfigRequest {
        name: Some(args.name.into()),
        server_id,
        game_config_id: config.id,
        ports: args.ports.iter().map(asked).collect(),
        labels: args.labels.into_iter().collect(),
        idempotency_key: new_key(),
    };
    let answer =
        context.client.call(request, async |mut api, request| api.deploy_game_config(request).await).await?;
    let made = answer.config.unwrap_or_default();
    context.screen.message(&made)?;
    let ports = host_ports(&made.port_bindings);
    let ports = if ports.is_empty() { ports } else { format!(", ports {ports}") };
    context
        .screen
        .say(format!("created deployment {} ({}){ports}", made.name, made.server_game_config_id))?;
    match unlimited(context, config.id).await {
        Some(text) => context.screen.say(text),
        None => Ok(()),
    }
}

/// What a game of this config may take all of, if it may.
async fn unlimited(context: &Context, config_id: i64) -> Option<String> {
    if context.screen.is_json() {
        return None;
    }
    let request = v1::GetGameConfigRequest { config_id };
    // The deployment is made: what cannot be told now is no failure.
    let answer = context.client.call(request, async |mut api, request| api.get_game_config(request).await);
    let limits = answer.await.ok()?.config?.body?.limits.unwrap_or_default();
    let free = [("memory", limits.memory_bytes.is_none()), ("processors", limits.cpu_millis.is_none())];
    let free: Vec<_> = free.iter().filter(|(_, is_free)| *is_free).map(|(what, _)| *what).collect();
    (!free.is_empty()).then(|| {
        format!("its config sets no limit for {}: a game may use all of the machine's", free.join(" and "))
    })
}

/// A port that is asked for, as a request has it.
pub fn asked(asked: &PortAsked) -> v1::PortRequest {
    let number = |port: manman_core::model::Port| i32::from(port.get());
    v1::PortRequest {
        container_port: number(asked.need.container_port),
        protocol: v1::Protocol::from(asked.need.protocol).into(),
        ask: Some(match asked.ask {
            PortAsk::Number(port) => Ask::HostPort(number(port)),
            PortAsk::AnyOf(first, last) => {
                Ask::Any(v1::PortRange { first: number(first), last: number(last) })
            }
        }),
    }
}

async fn list(context: &mut Context, server: Option<String>) -> Result<(), Failure> {
    let server = match server {
        Some(server) => Some(find(&context.client, v1::Noun::Server, &server).await?.id),
        None => None,
    };
    let configs = pages::deployments(&context.client, server).await?;
    if context.screen.is_json() {
        return context
            .screen
            .message(&v1::ListServerGameConfigsResponse { configs, next_page_token: String::new() });
    }
    let names = Names::configs(&context.client).await?;
    let servers = Names::servers(&context.client).await?;
    let mut table = Table::new(["ID", "NAME", "CONFIG", "SERVER", "PORTS", "STATUS", "AGE"]);
    for one in &configs {
        table.row([
            one.server_game_config_id.into(),
            (&one.name).into(),
            names.of(one.game_config_id).into(),
            servers.of(one.server_id).into(),
            host_ports(&one.port_bindings).into(),
            lower(one.status().as_str_name(), "DEPLOYMENT_STATUS_").into(),
            since(one.created_at.as_ref(), context.clock.now()).into(),
        ]);
    }
    let text = table
        .render(&context.screen, "no deployments; create one: manman deployment create NAME --config CONFIG");
    context.screen.print(text)
}

async fn show(context: &mut Context, deployment: &str) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::ServerGameConfig, deployment).await?;
    let request = v1::GetServerGameConfigRequest { server_game_config_id: found.id };
    let answer = context
        .client
        .call(request, async |mut api, request| api.get_server_game_config(request).await)
        .await?;
    let one = answer.config.unwrap_or_default();
    if context.screen.is_json() {
        return context.screen.message(&one);
    }
    let names = Names::configs(&context.client).await?;
    let servers = Names::servers(&context.client).await?;
    let binding = |binding: &v1::PortBinding| {
        let inside = needed_port(binding.container_port, binding.protocol());
        format!("{inside} at port {} of the machine", binding.host_port)
    };
    let mut facts = Facts::default();
    facts
        .fact("id", one.server_game_config_id)
        .fact("name", &one.name)
        .fact("config", names.of(one.game_config_id))
        .fact("server", servers.of(one.server_id))
        .fact("status", lower(one.status().as_str_name(), "DEPLOYMENT_STATUS_"))
        .each("port", one.port_bindings.iter().map(binding))
        .each("label", one.labels.iter().map(|(key, value)| format!("{key}={value}")))
        .maybe("created", moment(one.created_at.as_ref()));
    let latest = v1::ListSessionsRequest { server_game_config_id: Some(found.id), ..Default::default() };
    if let Some(session) = pages::sessions(&context.client, &latest, 1).await?.first() {
        facts.fact("session", session.session_id).fact("state", crate::cli::output::state_cell(session));
        facts.fact("reason", session.reason.clone().unwrap_or_default().text);
    }
    context.screen.print(facts.render(&context.screen))
}
