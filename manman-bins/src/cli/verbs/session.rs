//! `session …`.

use super::{Context, find, names::Names, pages};
use crate::{
    api::v1,
    cli::{
        failure::Failure,
        grammar::{SessionCommand, StateWord},
        output::{Facts, Table, lower, moment, since, state_cell},
    },
};

pub async fn run(context: &mut Context, command: SessionCommand) -> Result<(), Failure> {
    match command {
        SessionCommand::List { deployment, server, live, state, limit } => {
            let mut filter = v1::ListSessionsRequest { live_only: live, ..Default::default() };
            filter.states =
                state.into_iter().map(|word: StateWord| v1::SessionState::from(word).into()).collect();
            if let Some(deployment) = deployment {
                let found = find(&context.client, v1::Noun::ServerGameConfig, &deployment).await?;
                filter.server_game_config_id = Some(found.id);
            }
            if let Some(server) = server {
                filter.server_id = Some(find(&context.client, v1::Noun::Server, &server).await?.id);
            }
            list(context, &filter, if limit == 0 { usize::MAX } else { limit }).await
        }
        SessionCommand::Show { session } => show(context, &session).await,
    }
}

async fn list(context: &mut Context, filter: &v1::ListSessionsRequest, limit: usize) -> Result<(), Failure> {
    let sessions = pages::sessions(&context.client, filter, limit).await?;
    if context.screen.is_json() {
        return context
            .screen
            .message(&v1::ListSessionsResponse { sessions, next_page_token: String::new() });
    }
    let deployments = Names::deployments(&context.client).await?;
    let mut table =
        Table::new(["ID", "DEPLOYMENT", "STATE", "ATTEMPT", "STARTED", "ENDED", "EXIT", "REASON"]);
    let now = context.clock.now();
    for session in &sessions {
        table.row([
            session.session_id.into(),
            deployments.of(session.server_game_config_id).into(),
            state_cell(session),
            session.attempt.into(),
            since(session.started_at.as_ref(), now).into(),
            since(session.ended_at.as_ref(), now).into(),
            session.exit_code.map(|code| code.to_string()).unwrap_or_default().into(),
            session.reason.clone().unwrap_or_default().text.into(),
        ]);
    }
    let text = table.render(&context.screen, "no sessions");
    context.screen.print(text)
}

async fn show(context: &mut Context, session: &str) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::Session, session).await?;
    let request = v1::GetSessionRequest { session_id: found.id };
    let answer =
        context.client.call(request, async |mut api, request| api.get_session(request).await).await?;
    context.screen.message(&answer)?;
    if context.screen.is_json() {
        return Ok(());
    }
    let session = answer.session.unwrap_or_default();
    let deployments = Names::deployments(&context.client).await?;
    let mut facts = Facts::default();
    facts
        .fact("id", session.session_id)
        .fact("deployment", deployments.of(session.server_game_config_id))
        .fact("state", state_cell(&session))
        .maybe("progress", session.progress.as_ref())
        .fact("reason", session.reason.clone().unwrap_or_default().text)
        .fact("attempt", session.attempt)
        .maybe("exit code", session.exit_code)
        .maybe("out of memory", session.out_of_memory.then_some("yes"))
        .maybe("asked for", moment(session.created_at.as_ref()))
        .maybe("started", moment(session.started_at.as_ref()))
        .maybe("ready", moment(session.ready_at.as_ref()))
        .maybe("ended", moment(session.ended_at.as_ref()))
        .each("last lines", &session.last_lines);
    context.screen.print(facts.render(&context.screen))?;
    let attempts = attempts(&answer.attempts);
    if !attempts.is_empty() {
        let text = attempts.render(&context.screen, "");
        context.screen.print(format!("\n{text}"))?;
    }
    let mut table = Table::new(["WHEN", "STATE", "ATTEMPT", "WHY"]);
    for entry in &answer.timeline {
        table.row([
            moment(entry.at.as_ref()).unwrap_or_default().into(),
            timeline_state(entry).into(),
            entry.attempt.into(),
            entry.reason.clone().unwrap_or_default().text.into(),
        ]);
    }
    if table.is_empty() {
        return Ok(());
    }
    let text = table.render(&context.screen, "");
    context.screen.print(format!("\n{text}"))
}

/// What ran, container by container.
fn attempts(attempts: &[v1::Attempt]) -> Table {
    let mut table = Table::new(["ATTEMPT", "STARTED", "ENDED", "EXIT", "IMAGE", "MANAGER", "WHY"]);
    for attempt in attempts {
        let when = |at| moment(at).unwrap_or_else(|| "-".to_owned());
        let image = attempt.image_digest.as_deref().unwrap_or("-");
        table.row([
            attempt.attempt.into(),
            when(attempt.started_at.as_ref()).into(),
            when(attempt.ended_at.as_ref()).into(),
            attempt.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string()).into(),
            short(image).into(),
            attempt.manager_version.as_deref().unwrap_or("-").into(),
            attempt.reason.clone().unwrap_or_default().text.into(),
        ]);
    }
    table
}

/// The beginning of a digest, as far as people compare it; JSON has all of it.
fn short(digest: &str) -> &str {
    let longest = "sha256:".len() + 12;
    &digest[..digest.floor_char_boundary(longest)]
}

fn timeline_state(entry: &v1::TimelineEntry) -> String {
    let mut text = lower(entry.state().as_str_name(), "SESSION_STATE_");
    if entry.phase.is_some() {
        text.push_str(&format!(" ({})", lower(entry.phase().as_str_name(), "SESSION_PHASE_")));
    }
    if entry.not_seen {
        text.push_str(" (not seen)");
    }
    text
}
