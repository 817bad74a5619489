//! What the engine shows, in our words.

use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, ContainerStatsResponse,
    ContainerSummary, ContainerSummaryStateEnum as SummaryStatus, SystemInfo,
};
use manman_core::{
    clock::Timestamp,
    model::PortBinding,
    runtime::{AttemptState, EngineInfo, Exit, Stats},
};

/// What an attempt is at, by a look at its container.
pub(crate) fn state(container: &ContainerInspectResponse) -> AttemptState {
    let Some(state) = &container.state else { return AttemptState::Removing };
    match state.status {
        Some(Status::CREATED) => AttemptState::Created,
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => {
            AttemptState::Running {
                started_at: moment(state.started_at.as_deref()),
                pid: state.pid.filter(|&pid| pid > 0),
                paused: state.paused == Some(true),
            }
        }
        Some(Status::EXITED) => AttemptState::Exited(exit(state)),
        // A dead container could not be removed in full. The engine still knows how it ended,
        // unless it never ran, and takes another remove.
        Some(Status::DEAD) if moment(state.finished_at.as_deref()).is_some() => {
            AttemptState::Exited(exit(state))
        }
        Some(Status::REMOVING | Status::DEAD) => AttemptState::Removing,
        Some(Status::EMPTY) | None if state.running == Some(true) => AttemptState::Running {
            started_at: moment(state.started_at.as_deref()),
            pid: state.pid,
            paused: false,
        },
        Some(Status::EMPTY) | None => AttemptState::Removing,
    }
}

fn exit(state: &ContainerState) -> Exit {
    Exit {
        code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
        out_of_memory: state.oom_killed == Some(true),
        at: moment(state.finished_at.as_deref()),
        error: state.error.clone().unwrap_or_default(),
    }
}

/// How a container that is not running ended, whatever it is at now.
pub(crate) fn last_exit(container: &ContainerInspectResponse) -> Exit {
    exit(container.state.as_ref().unwrap_or(&ContainerState::default()))
}

/// The engine's stamp; it writes the year 1 for never.
fn moment(text: Option<&str>) -> Option<Timestamp> {
    text.filter(|text| !text.starts_with("0001-")).and_then(Timestamp::parse)
}

/// What a list alone tells of an attempt, for a container that does not let itself be
/// inspected.
pub(crate) fn state_of_summary(container: &ContainerSummary) -> AttemptState {
    match container.state {
        Some(SummaryStatus::CREATED) => AttemptState::Created,
        Some(SummaryStatus::EXITED) => AttemptState::Exited(Exit {
            code: container.status.as_deref().and_then(code_of_status).unwrap_or(-1),
            out_of_memory: false,
            at: None,
            error: String::new(),
        }),
        Some(SummaryStatus::REMOVING | SummaryStatus::DEAD) => AttemptState::Removing,
        _ => AttemptState::Running {
            started_at: None,
            pid: None,
            paused: container.state == Some(SummaryStatus::PAUSED),
        },
    }
}

/// The code of `Exited (137) 2 seconds ago`.
fn code_of_status(status: &str) -> Option<i32> {
    status.strip_prefix("Exited (")?.split(')').next()?.parse().ok()
}

/// The name of a container without the engine's leading slash.
pub(crate) fn name(name: Option<&str>) -> String {
    name.unwrap_or_default().trim_start_matches('/').to_owned()
}

/// The ports of the machine that a container is to have.
pub(crate) fn ports(container: &ContainerInspectResponse) -> Vec<PortBinding> {
    let bindings = container.host_config.as_ref().and_then(|host| host.port_bindings.as_ref());
    let bindings = bindings.into_iter().flatten();
    bindings
        .flat_map(|(inside, outside)| {
            let inside = inside.split_once('/').and_then(|(port, protocol)| {
                Some((port.parse::<i64>().ok()?.try_into().ok()?, protocol.parse().ok()?))
            });
            let outside =
                outside.iter().flatten().filter_map(|port| port.host_port.as_ref()?.parse::<i64>().ok());
            outside.filter_map(move |port| {
                let (container_port, protocol) = inside?;
                let host_port = port.try_into().ok()?;
                Some(PortBinding { container_port, host_port, protocol })
            })
        })
        .collect()
}

/// What drives the games, and what an operator should know of it.
pub(crate) fn engine(info: &SystemInfo, api: Option<&str>, boot: String) -> EngineInfo {
    let mut warnings = info.warnings.clone().unwrap_or_default();
    let mut warn = |when: bool, text: &str| {
        if when {
            warnings.push(text.to_owned());
        }
    };
    let options = info.security_options.as_deref().unwrap_or_default();
    let offers = |name: &str| options.iter().any(|option| option.split(',').any(|part| part == name));
    warn(!offers("name=seccomp"), "the engine has no seccomp: games may make every system call");
    warn(
        options.iter().any(|option| option.contains("name=seccomp") && option.contains("profile=unconfined")),
        "the engine's seccomp profile is unconfined: games may make every system call",
    );
    warn(
        info.live_restore_enabled != Some(true),
        "the engine is not set to live-restore: games end when it stops; set \"live-restore\": true in daemon.json",
    );
    warn(info.memory_limit == Some(false), "the engine cannot limit memory");
    warn(info.swap_limit == Some(false), "the engine cannot limit swap: a memory limit leaves swap out");
    warn(info.cpu_cfs_quota == Some(false), "the engine cannot limit processor time");
    warn(info.pids_limit == Some(false), "the engine cannot limit the number of processes");
    let old = api.and_then(minor).is_some_and(|minor| minor < crate::client::API.minor_version);
    warn(offers("name=rootless"), "the engine is rootless: it maps users, and games may be unable to write");
    warn(offers("name=userns"), "the engine maps users (userns-remap), and games may be unable to write");
    warn(old, "the engine is older than Docker 20.10 (API 1.41), with which nothing here was tried");
    let version = info.server_version.as_deref().unwrap_or("of unknown version");
    EngineInfo {
        id: info.id.clone().unwrap_or_default(),
        boot,
        version: format!("Docker {version}"),
        survives_restart: info.live_restore_enabled == Some(true),
        cpus: info.ncpu.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        warnings,
    }
}

fn minor(api: &str) -> Option<usize> {
    api.strip_prefix("1.")?.parse().ok()
}

/// What a container uses.
pub(crate) fn stats(stats: &ContainerStatsResponse) -> Stats {
    let memory = stats.memory_stats.as_ref();
    let used = memory.and_then(|memory| memory.usage).unwrap_or_default();
    // As `docker stats` does: cgroup v1 and v2 name the cache that can be had back differently.
    let details = memory.and_then(|memory| memory.stats.as_ref());
    let cache = details.and_then(|map| map.get("total_inactive_file").or_else(|| map.get("inactive_file")));
    let cpu = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    Stats {
        memory_bytes: used.saturating_sub(cache.copied().unwrap_or_default()),
        cpu: Duration::from_nanos(cpu.unwrap_or_default()),
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default(),
    }
}
