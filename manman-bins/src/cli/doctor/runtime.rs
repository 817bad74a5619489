//! What runs games here: one function for each runtime.

use manman_core::{
    error::{Chain, ErrorKind},
    id::ClusterId,
};
use manman_docker::{Examination, Thing};
use manman_process::{Attempt, ProcessConfig};

use super::report::{Check, Section};
use crate::{
    cli::look::{LIMIT, Look, blocking, within},
    compose::RuntimeKind,
};

/// The Docker Engine.
pub async fn docker(look: &Look, cluster: Option<ClusterId>) -> Section {
    let socket = look.docker_socket();
    let shown = socket.display().to_string();
    let asked = within(async { Ok(manman_docker::examine(&socket, LIMIT).await) }).await;
    let checks = match asked {
        Ok(Ok(found)) => {
            let mut checks = vec![Check::ok("socket", format!("{shown} answers"))];
            checks.extend(engine(&found));
            checks.extend(ours(&found, cluster));
            checks
        }
        Ok(Err(error)) => {
            let remedy = match error.kind() {
                ErrorKind::Denied => {
                    "let this user use it: `sudo usermod -aG docker $USER`, then log in again (that is root's power)"
                }
                ErrorKind::Timeout => "see its log (`journalctl -u docker`), and restart it",
                _ => "install or start Docker, or say where it is with --docker-socket or DOCKER_SOCKET",
            };
            vec![away(look, format!("{shown}: {}", Chain(&error)), remedy)]
        }
        Err(why) => {
            let remedy = "see its log (`journalctl -u docker`), and restart it";
            vec![away(look, format!("{shown}: {why}"), remedy)]
        }
    };
    Section { title: "docker", checks }
}

/// An engine that does not answer is in the way only of who wants one.
fn away(look: &Look, text: String, remedy: &str) -> Check {
    match look.runtime() {
        Some(RuntimeKind::Docker) => Check::problem("socket", text, remedy),
        Some(RuntimeKind::Process) | None => Check::note("socket", text).remedy(remedy),
    }
}

/// Plain processes.
pub async fn process(look: &Look, cluster: Option<ClusterId>) -> Section {
    let chosen = match look.runtime() {
        Some(kind) => Check::ok("runtime", format!("{kind} runs the games")),
        None => Check::ok("runtime", "not chosen yet: docker if it answers, else process"),
    };
    let mut process = ProcessConfig::new(&look.data_dir);
    process.cgroup = look.config.as_ref().ok().and_then(|config| config.machine.process_cgroup.clone());
    let asked =
        blocking(move || manman_process::examine(&process).map_err(|error| Chain(&error).to_string()));
    let mut checks = vec![chosen];
    match asked.await {
        Ok(found) => {
            checks.push(Check::ok("system", &found.system));
            checks.push(match found.unlimited {
                None => Check::ok("limits", "hold: a cgroup is delegated"),
                Some(why) => Check::note("limits", format!("do not hold for plain processes: {why}")),
            });
            checks.push(match found.unbounded {
                None => Check::ok("output", "is bounded, as far as that can be told"),
                Some(why) => Check::note("output", format!("of plain processes is kept as a whole: {why}"))
                    .remedy("keep the data directory on one that does: --data-dir"),
            });
            let named = |attempt: &Attempt| {
                let state = if attempt.alive { "alive" } else { "ended or never started" };
                let whose = match (attempt.cluster, cluster) {
                    (Some(theirs), Some(ours)) if theirs == ours => "",
                    (Some(_), _) => ", of another installation",
                    (None, _) => ", unreadable",
                };
                format!("{} ({state}{whose})", attempt.name)
            };
            let names: Vec<_> = found.attempts.iter().map(named).collect();
            checks.push(Check::ok(
                "attempts",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
            ));
        }
        Err(why) => checks.push(Check::unknown("attempts", why)),
    }
    Section { title: "plain processes", checks }
}

fn engine(found: &Examination) -> Vec<Check> {
    let engine = &found.engine;
    let mut checks = vec![
        Check::ok("engine", format!("{}, {} cores, API {}", engine.version, engine.cpus, found.api)),
        if engine.survives_restart {
            Check::ok("live-restore", "on: games outlive a restart of the engine")
        } else {
            Check::note("live-restore", "off: games end when the engine does")
                .remedy("set \"live-restore\": true in /etc/docker/daemon.json, and reload the engine")
        },
        Check::ok("log driver", format!("{}; games have their own", found.log_driver)),
        match found.cgroup_version.as_str() {
            "2" => Check::ok("cgroup", "version 2"),
            version => Check::note("cgroup", format!("version {version}")),
        },
    ];
    let others = engine.warnings.iter().filter(|warning| !warning.contains("live-restore"));
    checks.extend(others.map(|warning| Check::note("warning", warning)));
    checks
}

fn ours(found: &Examination, cluster: Option<ClusterId>) -> Vec<Check> {
    let of = |things: &[Thing]| {
        let (ours, theirs): (Vec<_>, Vec<_>) = things
            .iter()
            .cloned()
            .partition(|thing| cluster.is_some_and(|it| thing.cluster == it.to_string()));
        (ours, theirs.len())
    };
    let named = |things: &[Thing]| {
        let name =
            |thing: &Thing| if thing.alive { format!("{} (alive)", thing.name) } else { thing.name.clone() };
        let names: Vec<_> = things.iter().map(name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let ((containers, other_containers), (networks, other_networks)) =
        (of(&found.containers), of(&found.networks));
    let mut checks =
        vec![Check::ok("containers", named(&containers)), Check::ok("networks", named(&networks))];
    if other_containers + other_networks > 0 {
        let text = format!("{other_containers} containers, {other_networks} networks of other installations");
        checks.push(Check::ok("others", text));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_never_answers_is_a_problem_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let frozen = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let given = crate::config::UpGiven {
            data_dir: Some(dir.path().display().to_string()),
            docker_socket: Some(socket.display().to_string()),
            runtime: Some("docker".to_owned()),
            ..Default::default()
        };
        let config = crate::config::UpConfig::read(&given, &crate::config::tests::Fixed::default()).unwrap();
        let look = Look { data_dir: dir.path().to_owned(), config: Ok(config) };
        tokio::time::pause();
        let section = docker(&look, None).await;
        assert!(format!("{section:?}").contains("Problem"), "{section:?}");
        assert_eq!(section.checks.len(), 1);
        drop(frozen);
        let section = docker(&look, None).await;
        assert!(format!("{section:?}").contains("install or start Docker"), "{section:?}");
    }
}
