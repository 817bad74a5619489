//! Whether a manman serves the installation, and what it says of itself.

use std::collections::BTreeMap;

use manman_core::model::{PortBinding, Protocol};

use super::report::{Check, Section};
use crate::{
    api::v1,
    cli::{
        client::Client,
        exit::Exit,
        failure::Failure,
        grammar::Common,
        look::{Look, blocking, holder, within},
        output::lower,
        place::Place,
        verbs::{degraded_by, live_sessions, servers},
    },
    config::{DEFAULT_LISTEN, Process},
};

/// The service.
pub async fn section(look: &Look, common: &Common) -> Section {
    let lock = look.places().lock();
    let lock = blocking(move || holder(&lock).map_err(|error| error.to_string())).await;
    let mut checks = vec![match &lock {
        Ok(None) => Check::ok("held", "nobody serves the data directory"),
        Ok(Some(pid)) => Check::ok("held", format!("process {pid} serves the data directory")),
        Err(why) => Check::unknown("held", why),
    }];
    let held = lock.ok().flatten();
    let answers = answers(common, held, &mut checks).await;
    checks.push(port(look, held, answers).await);
    Section { title: "service", checks }
}

/// Asks the manman that a client would ask; whether it answers.
async fn answers(common: &Common, held: Option<u32>, checks: &mut Vec<Check>) -> bool {
    let place = match Place::find(common, &Process) {
        Ok(place) => place,
        Err(failure) => {
            checks.push(told("API", &failure));
            return false;
        }
    };
    let at = place.to_string();
    let asked = within(async {
        let client = match Client::connect(place).await {
            Ok(client) => client,
            Err(failure) => return Ok(Err(failure)),
        };
        let call = async |mut api: crate::cli::client::Api, request| api.get_installation(request).await;
        let installation = client.call(v1::GetInstallationRequest {}, call).await;
        Ok(installation.map(|installation| (client, installation)))
    });
    let (client, installation) = match asked.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) if failure.exit() == Exit::Unreachable && held.is_none() => {
            checks.push(Check::note("API", format!("no manman answers at {at}: `manman up` starts it")));
            return false;
        }
        Ok(Err(failure)) if failure.exit() != Exit::Unreachable => {
            checks.push(told("API", &failure));
            return false;
        }
        Ok(Err(_)) => {
            checks.push(silent(&at, held, "it does not answer"));
            return false;
        }
        Err(why) => {
            checks.push(silent(&at, held, &why));
            return false;
        }
    };
    let own = env!("CARGO_PKG_VERSION");
    let text = format!("manman {} answers at {at}, process {}", installation.version, installation.pid);
    checks.push(if installation.version == own {
        Check::ok("API", text)
    } else {
        Check::note("API", format!("{text}; this program is {own}"))
    });
    let state = within(async { Ok((servers(&client).await, live_sessions(&client).await)) }).await;
    match state {
        Ok((Ok(servers), Ok(sessions))) => {
            checks.extend(servers.iter().map(server));
            checks.push(Check::ok("live", by_state(&sessions)));
        }
        Ok((Err(failure), _) | (_, Err(failure))) => checks.push(told("servers", &failure)),
        Err(why) => checks.push(Check::unknown("servers", why)),
    }
    true
}

fn silent(at: &str, held: Option<u32>, why: &str) -> Check {
    let remedy = match held {
        Some(pid) => {
            format!("see its log; `kill -9 {pid}` ends it (games go on), `manman up` takes them up again")
        }
        None => "see its log, and start it again; games go on meanwhile".to_owned(),
    };
    Check::problem("API", format!("a manman is there at {at}, but: {why}"), remedy)
}

/// A refusal, in the words in which a command would tell it.
fn told(name: &str, failure: &Failure) -> Check {
    match failure {
        Failure::Told(told) => {
            let remedy = told.remedy.as_deref().unwrap_or("see docs/errors.md");
            Check::problem(name, &told.message, remedy)
        }
        Failure::NobodyReads => Check::unknown(name, "it was broken off"),
    }
}

fn server(server: &v1::Server) -> Check {
    let status = lower(server.status().as_str_name(), "SERVER_STATUS_");
    let text = format!("{} is {status}", server.name);
    let wrong = degraded_by(server);
    match server.status() {
        v1::ServerStatus::Online if wrong.is_empty() => Check::ok("server", text),
        v1::ServerStatus::Online => {
            let remedy = "set right what it names; games go on meanwhile";
            Check::problem("server", format!("{text}, degraded: {}", wrong.join("; ")), remedy)
        }
        v1::ServerStatus::Stale => {
            let remedy =
                "see that its manman runs and is reached; if the machine is gone: manman server abandon";
            Check::problem("server", text, format!("{remedy} {}", server.name))
        }
        _ => Check::note("server", text),
    }
}

fn by_state(sessions: &[v1::Session]) -> String {
    let mut counts = BTreeMap::new();
    for session in sessions {
        *counts.entry(lower(session.state().as_str_name(), "SESSION_STATE_")).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if counts.is_empty() { "no session is live".to_owned() } else { counts.join(", ") }
}

/// The API's port: free, ours, or somebody else's.
async fn port(look: &Look, held: Option<u32>, answers: bool) -> Check {
    let listen = look.config.as_ref().map_or(DEFAULT_LISTEN, |config| config.listen);
    let Ok(number) = i64::from(listen.port()).try_into() else {
        return Check::ok("port", "any that is free (port 0)");
    };
    let port = PortBinding { container_port: number, host_port: number, protocol: Protocol::Tcp };
    let asked = blocking(move || Ok(manman_core::machine::held_by(&port, Some(listen.ip())))).await;
    match asked {
        Err(why) => Check::unknown("port", why),
        Ok(None) => Check::ok("port", format!("{listen} is free")),
        Ok(Some(holder)) if held.is_some_and(|pid| holder.ends_with(&format!("(pid {pid})"))) => {
            Check::ok("port", format!("{listen} is served by this installation"))
        }
        Ok(Some(holder)) if answers || held.is_some() => {
            Check::note("port", format!("{listen} is held by {holder}; this installation listens elsewhere"))
        }
        Ok(Some(holder)) => {
            let remedy = "end it, or choose another address with --listen or LISTEN";
            Check::problem("port", format!("{listen} is held by {holder}"), remedy)
        }
    }
}
