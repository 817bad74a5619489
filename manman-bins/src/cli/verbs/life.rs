//! `start`, `stop`, `kill`, `restart`.

use super::{
    Context, find,
    wait::{is_end, status_of, until},
};
use crate::{
    api::v1,
    cli::{
        client::new_key,
        failure::Failure,
        grammar::{RestartArgs, StartArgs, StopArgs},
        output::{Screen, harmless, host_ports, lower},
    },
};

/// How to stop.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// As the stop plan says.
    Gracefully,
    /// At once.
    AtOnce,
}

/// Starts a deployment and waits until its game runs.
pub async fn start(context: &mut Context, args: &StartArgs) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::ServerGameConfig, &args.deployment).await?;
    let request = v1::StartSessionRequest { server_game_config_id: found.id, idempotency_key: new_key() };
    let answer =
        context.client.call(request, async |mut api, request| api.start_session(request).await).await?;
    let session = answer.session.unwrap_or_default();
    if args.wait.no_wait {
        context.screen.message(&session)?;
        return context
            .screen
            .say(format!("start of session {} of {} requested", session.session_id, found.name));
    }
    let session = until(context, session, args.wait.timeout, |session| {
        session.state() == v1::SessionState::Running || is_end(session)
    })
    .await?;
    context.screen.message(&session)?;
    let ports = ports(context, found.id).await?;
    up(&mut context.screen, &session, &found.name, &ports)
}

/// Stops a session and waits until it has ended.
pub async fn stop(context: &mut Context, args: &StopArgs, how: How) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::Session, &args.session).await?;
    let mode = match how {
        How::Gracefully => v1::StopMode::Graceful,
        How::AtOnce => v1::StopMode::Kill,
    };
    let request =
        v1::StopSessionRequest { session_id: found.id, mode: mode.into(), idempotency_key: new_key() };
    let answer =
        context.client.call(request, async |mut api, request| api.stop_session(request).await).await?;
    let mut session = answer.session.unwrap_or_default();
    let ended_before = is_end(&session);
    if !args.wait.no_wait {
        session = until(context, session, args.wait.timeout, is_end).await?;
    }
    let name = called(found.id, &args.session);
    let text = match (ended_before, is_end(&session)) {
        (true, _) => format!("{name} had ended before: {}", ending(&session)),
        (false, true) => format!("{name} has ended: {}", ending(&session)),
        (false, false) => format!("stop of {name} requested"),
    };
    context.screen.message(&session)?;
    context.screen.say(text)
}

/// Restarts a session and waits until its next attempt runs.
pub async fn restart(context: &mut Context, args: &RestartArgs) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::Session, &args.session).await?;
    // The attempt that the next one has to be after; asked before, for the answer below
    // may come when the next one has begun.
    let before = status_of(&context.client, found.id).await?.attempt;
    let request = v1::RestartSessionRequest { session_id: found.id, idempotency_key: new_key() };
    let answer =
        context.client.call(request, async |mut api, request| api.restart_session(request).await).await?;
    let session = answer.session.unwrap_or_default();
    let name = called(found.id, &args.session);
    if args.wait.no_wait {
        context.screen.message(&session)?;
        return context.screen.say(format!("restart of {name} requested"));
    }
    let session = until(context, session, args.wait.timeout, |session| {
        is_end(session) || session.state() == v1::SessionState::Running && session.attempt > before
    })
    .await?;
    context.screen.message(&session)?;
    if session.state() == v1::SessionState::Running {
        return context.screen.say(format!("{name} is running again, attempt {}", session.attempt));
    }
    Err(not_up(&mut context.screen, &session, &name)?)
}

/// The ports at which players find it; only people are told.
async fn ports(context: &Context, deployment: i64) -> Result<String, Failure> {
    if context.screen.is_json() {
        return Ok(String::new());
    }
    let request = v1::GetServerGameConfigRequest { server_game_config_id: deployment };
    let call = async |mut api: crate::cli::client::Api, request| api.get_server_game_config(request).await;
    let answer = context.client.call(request, call).await?;
    Ok(host_ports(&answer.config.unwrap_or_default().port_bindings))
}

fn up(screen: &mut Screen, session: &v1::Session, deployment: &str, ports: &str) -> Result<(), Failure> {
    let name = called(session.session_id, deployment);
    match session.state() {
        v1::SessionState::Running if ports.is_empty() => screen.say(format!("{name} is running")),
        v1::SessionState::Running => screen.say(format!("{name} is running, ports {ports}")),
        v1::SessionState::Completed => screen.say(format!("{name} has ended: {}", ending(session))),
        _ => Err(not_up(screen, session, &name)?),
    }
}

/// Why a game did not come up. Its last lines say more than we know.
fn not_up(screen: &mut Screen, session: &v1::Session, name: &str) -> Result<Failure, Failure> {
    if !session.last_lines.is_empty() && !screen.is_json() {
        let mut text = "its last lines:\n".to_owned();
        for line in &session.last_lines {
            text.push_str(&format!("  {}\n", harmless(line)));
        }
        screen.write_err(text.as_bytes())?;
    }
    let reason = session.reason.clone().unwrap_or_default();
    let id = session.session_id;
    let remedy = match session.exit_code {
        Some(_) => format!("See what it printed: manman logs {id}."),
        None => format!("See how far it came: manman session show {id}."),
    };
    let mut failure = Failure::failed(format!("{name} did not come up: {}", ending(session)))
        .remedy(remedy)
        .detail("session", id)
        .detail("state", lower(session.state().as_str_name(), "SESSION_STATE_"))
        .detail("reason", reason.code);
    if let Some(code) = session.exit_code {
        failure = failure.detail("exit_code", code);
    }
    Ok(failure)
}

/// `session 7 of openttd`, or `session 7` where it was asked for by its id.
fn called(id: i64, text: &str) -> String {
    if text == id.to_string() { format!("session {id}") } else { format!("session {id} of {text}") }
}

/// `stopped, exit code 0: asked by root`.
fn ending(session: &v1::Session) -> String {
    let mut text = lower(session.state().as_str_name(), "SESSION_STATE_");
    let reason = session.reason.as_ref().map(|reason| harmless(&reason.text)).unwrap_or_default();
    if let Some(code) = session.exit_code {
        // Most reasons have it in them.
        let said = format!("code {code}");
        if !reason.ends_with(&said) && !reason.ends_with(&format!("{said})")) {
            text.push_str(&format!(", exit {said}"));
        }
    }
    if !reason.is_empty() {
        text.push_str(&format!(": {reason}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_said_once() {
        for (text, said) in [
            ("stopped as asked (exit code 0)", "stopped: stopped as asked (exit code 0)"),
            ("exited with code 0", "stopped: exited with code 0"),
            ("exited with code 10", "stopped, exit code 0: exited with code 10"),
            ("asked by me", "stopped, exit code 0: asked by me"),
            ("", "stopped, exit code 0"),
        ] {
            let session = v1::Session {
                state: v1::SessionState::Stopped.into(),
                exit_code: Some(0),
                reason: Some(v1::Reason { code: String::new(), text: text.into() }),
                ..Default::default()
            };
            assert_eq!(ending(&session), said);
        }
    }
}
