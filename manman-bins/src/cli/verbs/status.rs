//! `status`: what runs here, on one screen.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use manman_core::clock::Timestamp;
use serde_json::json;

use super::{Context, names::Names, pages, server};
use crate::{
    api::{convert::timestamp_in, v1},
    cli::{
        failure::Failure,
        json,
        output::{Table, host_ports, lower, since, span, state_cell},
    },
};

/// How many deployments are asked about at a time.
const AT_A_TIME: usize = 8;

/// Prints the installation, its servers, and its deployments with their latest sessions.
pub async fn status(context: &mut Context) -> Result<(), Failure> {
    let client = &context.client;
    let installation = client
        .call(v1::GetInstallationRequest {}, async |mut api, request| api.get_installation(request).await)
        .await?;
    let servers = pages::servers(client).await?;
    let deployments = pages::deployments(client, None).await?;
    let rows: Vec<(v1::ServerGameConfig, Option<v1::Session>)> = stream::iter(deployments)
        .map(|deployment| async move {
            let latest = v1::ListSessionsRequest {
                server_game_config_id: Some(deployment.server_game_config_id),
                ..Default::default()
            };
            let session = pages::sessions(client, &latest, 1).await?.pop();
            Ok::<_, Failure>((deployment, session))
        })
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    if context.screen.is_json() {
        let row = |(deployment, session): &(v1::ServerGameConfig, Option<v1::Session>)| {
            let mut row = json!({ "deployment": json::write(deployment) });
            if let Some(session) = session {
                row["session"] = json::write(session);
            }
            row
        };
        return context.screen.value(&json!({
            "installation": json::write(&installation),
            "servers": servers.iter().map(json::write).collect::<Vec<_>>(),
            "deployments": rows.iter().map(row).collect::<Vec<_>>(),
        }));
    }
    let now = context.clock.now();
    let head = headline(&installation, now);
    let mut servers_text =
        server::table(context, &servers).render(&context.screen, "no server has registered yet");
    servers_text.push_str(&server::complaints(&servers));
    let deployments_text = table(&rows, &servers, now)
        .render(&context.screen, "no deployments; create one: manman deployment create NAME --config CONFIG");
    context.screen.print(format!("{head}\n\n{servers_text}\n{deployments_text}"))
}

fn headline(installation: &v1::Installation, now: Timestamp) -> String {
    let up = installation
        .started_at
        .map_or_else(String::new, |at| format!(", up {}", span(now.since(timestamp_in(at)))));
    // A replica of the API has none.
    let place = match installation.data_dir.as_str() {
        "" => String::new(),
        dir => format!(" in {dir}"),
    };
    format!(
        "manman {}{place}, process {}{up}, cluster {}",
        installation.version, installation.pid, installation.cluster_id
    )
}

fn table(
    rows: &[(v1::ServerGameConfig, Option<v1::Session>)],
    servers: &[v1::Server],
    now: Timestamp,
) -> Table {
    let servers: Names = servers.iter().map(|server| (server.server_id, server.name.clone())).collect();
    let mut table = Table::new(["DEPLOYMENT", "SERVER", "STATE", "SINCE", "SESSION", "PORTS", "REASON"]);
    for (deployment, session) in rows {
        let name = match deployment.status() {
            v1::DeploymentStatus::Active => deployment.name.clone(),
            status => {
                format!("{} ({})", deployment.name, lower(status.as_str_name(), "DEPLOYMENT_STATUS_"))
            }
        };
        let mut row = vec![name.into(), servers.of(deployment.server_id).into()];
        match session {
            None => row.extend(["never started".into(), "".into(), "".into()]),
            Some(session) => row.extend([
                state_cell(session),
                since(last_change(session), now).into(),
                session.session_id.into(),
            ]),
        }
        row.push(host_ports(&deployment.port_bindings).into());
        let reason = session.as_ref().and_then(|session| session.reason.as_ref());
        row.push(reason.map(|reason| reason.text.clone()).unwrap_or_default().into());
        table.row(row);
    }
    table
}

/// When a session last got somewhere.
fn last_change(session: &v1::Session) -> Option<&prost_types::Timestamp> {
    session.ended_at.as_ref().or(session.started_at.as_ref()).or(session.created_at.as_ref())
}
