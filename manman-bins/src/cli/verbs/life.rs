//! `start`, `stop`, `kill`, `restart`.

use super::{
    Context, find,
    progress::Progress,
    wait::{is_end, status_of, until},
};
use crate::{
    api::v1,
    cli::{
        client::{Client, new_key},
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
    let mut progress = asking("start", &args.deployment);
    let Context { screen, client, .. } = context;
    let look = find(client, v1::Noun::ServerGameConfig, &args.deployment);
    let found = progress.during(screen, look).await??;
    let request = v1::StartSessionRequest { server_game_config_id: found.id, idempotency_key: new_key() };
    asked(&mut progress, "start", &found.name);
    let call = client.call(request, async |mut api, request| api.start_session(request).await);
    let answer = progress.during(screen, call).await??;
    let session = answer.session.unwrap_or_default();
    if args.wait.no_wait {
        screen.message(&session)?;
        return screen.say(format!("start of session {} of {} requested", session.session_id, found.name));
    }
    going_on(&mut progress, "start", &session);
    let session = until(context, &mut progress, session, args.wait.timeout, |session| {
        session.state() == v1::SessionState::Running || is_end(session)
    })
    .await?;
    let Context { screen, client, .. } = context;
    screen.message(&session)?;
    let ports = if screen.is_json() {
        // Only people are told.
        String::new()
    } else {
        progress.during(screen, ports(client, found.id)).await??
    };
    up(screen, &session, &found.name, &ports)
}

/// Stops a session and waits until it has ended.
pub async fn stop(context: &mut Context, args: &StopArgs, how: How) -> Result<(), Failure> {
    let (mode, deed) = match how {
        How::Gracefully => (v1::StopMode::Graceful, "stop"),
        How::AtOnce => (v1::StopMode::Kill, "kill"),
    };
    let mut progress = asking(deed, &args.session);
    let Context { screen, client, .. } = context;
    let found = progress.during(screen, find(client, v1::Noun::Session, &args.session)).await??;
    let request =
        v1::StopSessionRequest { session_id: found.id, mode: mode.into(), idempotency_key: new_key() };
    asked(&mut progress, deed, &args.session);
    let call = client.call(request, async |mut api, request| api.stop_session(request).await);
    let answer = progress.during(screen, call).await??;
    let mut session = answer.session.unwrap_or_default();
    let ended_before = is_end(&session);
    if !args.wait.no_wait {
        going_on(&mut progress, deed, &session);
        session = until(context, &mut progress, session, args.wait.timeout, is_end).await?;
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
    let mut progress = asking("restart", &args.session);
    let Context { screen, client, .. } = context;
    let found = progress.during(screen, find(client, v1::Noun::Session, &args.session)).await??;
    // The attempt that the next one has to be after; asked before, for the answer below
    // may come when the next one has begun.
    let before = progress.during(screen, status_of(client, found.id)).await??.attempt;
    let request = v1::RestartSessionRequest { session_id: found.id, idempotency_key: new_key() };
    asked(&mut progress, "restart", &args.session);
    let call = client.call(request, async |mut api, request| api.restart_session(request).await);
    let answer = progress.during(screen, call).await??;
    let session = answer.session.unwrap_or_default();
    let name = called(found.id, &args.session);
    if args.wait.no_wait {
        screen.message(&session)?;
        return screen.say(format!("restart of {name} requested"));
    }
    going_on(&mut progress, "restart", &session);
    let session = until(context, &mut progress, session, args.wait.timeout, |session| {
        is_end(session) || session.state() == v1::SessionState::Running && session.attempt > before
    })
    .await?;
    context.screen.message(&session)?;
    if session.state() == v1::SessionState::Running {
        return context.screen.say(format!("{name} is running again, attempt {}", session.attempt));
    }
    Err(not_up(&mut context.screen, &session, &name)?)
}

/// A wait in which nothing was asked for yet.
fn asking(deed: &str, name: &str) -> Progress {
    Progress::new(format!("{deed} of {}", harmless(name)), format!("no {deed} was asked for"))
}

/// From here on it may have been.
fn asked(progress: &mut Progress, deed: &str, name: &str) {
    progress.goes_on(
        format!("whether the {deed} of {name} was asked for is not known"),
        format!("Look again: manman session show {name}."),
    );
}

/// From here on it goes on without us.
fn going_on(progress: &mut Progress, deed: &str, session: &v1::Session) {
    let id = session.session_id;
    progress.goes_on(
        format!("the {deed} of session {id} goes on"),
        format!("Look again: manman session show {id}."),
    );
}

/// The ports at which players find it.
async fn ports(client: &Client, deployment: i64) -> Result<String, Failure> {
    let request = v1::GetServerGameConfigRequest { server_game_config_id: deployment };
    let call = async |mut api: crate::cli::client::Api, request| api.get_server_game_config(request).await;
    let answer = client.call(request, call).await?;
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
