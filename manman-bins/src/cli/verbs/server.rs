//! `server …`.

use manman_core::model::Health;

use super::{Context, find, names::Names, pages};
use crate::{
    api::v1,
    cli::{
        client::new_key,
        failure::Failure,
        grammar::ServerCommand,
        output::{Cell, Colour, Facts, Table, ago, harmless, lower, moment, needed_port, size},
    },
};

pub async fn run(context: &mut Context, command: ServerCommand) -> Result<(), Failure> {
    match command {
        ServerCommand::List => list(context).await,
        ServerCommand::Show { server } => show(context, &server).await,
        ServerCommand::Abandon { server } => {
            let found = find(&context.client, v1::Noun::Server, &server).await?;
            let request = v1::AbandonServerRequest { server_id: found.id, idempotency_key: new_key() };
            let answer = context
                .client
                .call(request, async |mut api, request| api.abandon_server(request).await)
                .await?;
            context.screen.message(&answer)?;
            let ended: Vec<_> = answer.session_ids.iter().map(ToString::to_string).collect();
            context.screen.say(match ended.len() {
                0 => format!("server {} had no live sessions", found.name),
                1 => format!("gave up server {}: session {} has ended", found.name, ended[0]),
                _ => format!("gave up server {}: sessions {} have ended", found.name, ended.join(", ")),
            })
        }
    }
}

/// A server's status in its colour, and whether it serves as it should.
pub fn status_cell(server: &v1::Server) -> Cell {
    use v1::ServerStatus as Status;
    let mut text = lower(server.status().as_str_name(), "SERVER_STATUS_");
    let colour = match server.status() {
        Status::Online if !degraded_by(server).is_empty() => {
            text.push_str(", degraded");
            Some(Colour::Yellow)
        }
        Status::Online => Some(Colour::Green),
        Status::Stale => Some(Colour::Red),
        Status::Offline | Status::Unspecified => None,
    };
    Cell::coloured(text, colour)
}

/// What keeps a server that is heard from serving as it should. What one said that fell
/// silent since may be over.
pub fn degraded_by(server: &v1::Server) -> Vec<String> {
    match &server.health {
        Some(health) if server.status() == v1::ServerStatus::Online => {
            let v1::Health { engine_ok, warnings } = health.clone();
            Health { engine_ok, warnings }.degraded_by()
        }
        _ => Vec::new(),
    }
}

/// What keeps a server from doing what is asked of it, in a line; empty if nothing is known to.
pub fn trouble(server: &v1::Server) -> String {
    let status = lower(server.status().as_str_name(), "SERVER_STATUS_");
    match degraded_by(server).first() {
        _ if server.status() != v1::ServerStatus::Online => format!("server {} is {status}", server.name),
        Some(warning) => format!("server {}: {}", server.name, harmless(warning)),
        None => String::new(),
    }
}

/// What is wrong with servers, a line each; nothing if all is well.
pub fn complaints(servers: &[v1::Server]) -> String {
    let mut text = String::new();
    for server in servers {
        for warning in degraded_by(server) {
            text.push_str(&format!("{} is degraded: {}\n", server.name, harmless(&warning)));
        }
    }
    text
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let servers = pages::servers(&context.client).await?;
    let mut text = table(context, &servers).render(&context.screen, "no server has registered yet");
    text.push_str(&complaints(&servers));
    context.screen.message(&v1::ListServersResponse { servers, next_page_token: String::new() })?;
    context.screen.print(text)
}

/// Servers as a table.
pub fn table(context: &Context, servers: &[v1::Server]) -> Table {
    let mut table = Table::new(["ID", "SERVER", "STATUS", "SEEN", "ENGINE", "MACHINE"]);
    for server in servers {
        let capacity = server.capacity.clone().unwrap_or_default();
        let machine = match (capacity.cpus, capacity.memory_bytes) {
            (0, 0) => String::new(),
            (cpus, memory) => format!("{cpus} cores, {}", size(memory)),
        };
        table.row([
            server.server_id.into(),
            (&server.name).into(),
            status_cell(server),
            ago(server.last_seen.as_ref(), context.clock.now()).into(),
            capacity.engine.into(),
            machine.into(),
        ]);
    }
    table
}

async fn show(context: &mut Context, server: &str) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::Server, server).await?;
    let request = v1::GetServerRequest { server_id: found.id };
    let answer = context.client.call(request, async |mut api, request| api.get_server(request).await).await?;
    context.screen.message(&answer)?;
    if context.screen.is_json() {
        return Ok(());
    }
    let server = answer.server.unwrap_or_default();
    let capacity = server.capacity.clone().unwrap_or_default();
    let deployments = Names::deployments(&context.client).await?;
    let port = |port: &v1::ServerPort| {
        format!(
            "{} of {}",
            needed_port(port.port, port.protocol()),
            deployments.of(port.server_game_config_id)
        )
    };
    let mut facts = Facts::default();
    facts
        .fact("id", server.server_id)
        .fact("name", &server.name)
        .fact("status", status_cell(&server))
        .each("degraded", degraded_by(&server))
        .fact("seen", ago(server.last_seen.as_ref(), context.clock.now()))
        .fact("environment", &server.environment)
        .fact("engine", &capacity.engine)
        .fact(
            "engine restart",
            if capacity.survives_engine_restart {
                "games go on (live-restore)"
            } else {
                "games end with the engine"
            },
        )
        .fact("cores", capacity.cpus)
        .fact("memory", size(capacity.memory_bytes))
        .maybe("address", server.public_address.as_ref())
        .fact("machine", &server.machine_id)
        .each("port", answer.ports.iter().map(port))
        .each("label", server.labels.iter().map(|(key, value)| format!("{key}={value}")))
        .maybe("registered", moment(server.created_at.as_ref()));
    context.screen.print(facts.render(&context.screen))
}
