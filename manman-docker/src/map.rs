//! Our types to the engine's and back.

use std::{collections::HashMap, net::IpAddr};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status,
    ContainerStatsResponse, ContainerSummary, ContainerSummaryStateEnum as SummaryStatus, EndpointSettings,
    HostConfig, HostConfigLogConfig, Mount, MountType, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum, SystemInfo,
};
use manman_core::{
    clock::Timestamp,
    model::{Limits, config::EngineLog},
    runtime::{AttemptState, ContainerSpec, EngineInfo, Exit, Owner, Stats},
};

use crate::{labels, names};

/// What a container is put together from beside its spec.
pub(crate) struct Place<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// The engine's id of its network.
    pub network: &'a str,
    /// Where the engine sees the directory of each of the spec's mounts, in their order.
    pub sources: Vec<String>,
    /// The address that ports are published on; all of them if absent.
    pub publish: Option<IpAddr>,
}

/// The body of a create: everything that the engine is told about a game.
pub(crate) fn create_body(spec: &ContainerSpec, place: &Place<'_>) -> ContainerCreateBody {
    let host_name = names::deployment(&place.owner.environment, spec.sgc);
    let endpoint = EndpointSettings { aliases: Some(vec![host_name.clone()]), ..Default::default() };
    let unless_empty = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    ContainerCreateBody {
        hostname: Some(host_name),
        image: Some(spec.image.as_str().to_owned()),
        entrypoint: unless_empty(&spec.entrypoint),
        cmd: unless_empty(&spec.command),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        user: spec.user.clone(),
        tty: Some(spec.tty),
        // Kept open for attaches to come and go: with StdinOnce the first one to leave
        // would end the game's stdin.
        open_stdin: Some(true),
        stdin_once: Some(false),
        stop_signal: Some(spec.stop_signal.name().to_owned()),
        exposed_ports: Some(spec.ports.iter().map(inside).collect()),
        labels: Some(labels::game(place.owner, spec)),
        host_config: Some(host_config(spec, place)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(place.network.to_owned(), endpoint)])),
        }),
        ..Default::default()
    }
}

fn host_config(spec: &ContainerSpec, place: &Place<'_>) -> HostConfig {
    // A limit with swap beside it would be twice the limit (Docker's default).
    let memory = spec.limits.memory_bytes.map(whole);
    let address = place.publish.map(|address| address.to_string());
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for binding in &spec.ports {
        let host = PortBinding { host_ip: address.clone(), host_port: Some(binding.host_port.to_string()) };
        ports.entry(inside(binding)).or_default().get_or_insert_default().push(host);
    }
    HostConfig {
        network_mode: Some(place.network.to_owned()),
        port_bindings: Some(ports),
        // Never `binds`: they create a missing source on the host, as root.
        mounts: Some(mounts(spec, &place.sources)),
        memory,
        memory_swap: memory,
        nano_cpus: spec.limits.cpu_millis.map(|millis| i64::from(millis) * 1_000_000),
        pids_limit: Some(i64::from(spec.limits.pids.unwrap_or(Limits::DEFAULT_PIDS))),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(spec.capabilities.added().iter().map(|&name| name.to_owned()).collect()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        publish_all_ports: Some(false),
        // As PID 1 a game would not see signals that it has no handler for.
        init: Some(true),
        // The exit and the log stay until they were read.
        auto_remove: Some(false),
        // The control plane decides about restarts.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(log_config(&spec.log)),
        ..Default::default()
    }
}

fn mounts(spec: &ContainerSpec, sources: &[String]) -> Vec<Mount> {
    let mount = |(mount, source): (&manman_core::runtime::Mount, &String)| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.clone()),
        target: Some(mount.target.as_str().to_owned()),
        read_only: Some(mount.read_only),
        ..Default::default()
    };
    spec.mounts.iter().zip(sources).map(mount).collect()
}

fn log_config(log: &EngineLog) -> HostConfigLogConfig {
    let bounds = || {
        HashMap::from([
            ("max-size".to_owned(), log.max_size_bytes.to_string()),
            ("max-file".to_owned(), log.max_files.to_string()),
        ])
    };
    // Other drivers refuse options that they do not know.
    HostConfigLogConfig { typ: Some(log.driver.clone()), config: log.can_be_read_back().then(bounds) }
}

fn inside(binding: &manman_core::model::PortBinding) -> String {
    format!("{}/{}", binding.container_port, binding.protocol.lower())
}

fn whole(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

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
        // A dead container could not be removed in full; the engine takes another remove.
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
pub(crate) fn ports(container: &ContainerInspectResponse) -> Vec<manman_core::model::PortBinding> {
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
                Some(manman_core::model::PortBinding { container_port, host_port, protocol })
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
        cpu: std::time::Duration::from_nanos(cpu.unwrap_or_default()),
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::labels::tests::owner;
    use manman_core::{
        id::{AttemptId, SessionId, SgcId},
        model::{CapProfile, Protocol, Signal},
        runtime::{Mount as SpecMount, NetworkSpec},
    };

    /// A spec that asks for a bit of everything.
    pub(crate) fn spec() -> ContainerSpec {
        ContainerSpec {
            run: AttemptId::new(SessionId(7), 2),
            sgc: SgcId(3),
            image: "manman-fixture/testgame:1".parse().unwrap(),
            entrypoint: vec![],
            command: vec!["--world".into(), "one".into()],
            env: [("MOTD".to_owned(), "hello = world".to_owned())].into(),
            mounts: vec![
                SpecMount { source: None, target: "/data/game".parse().unwrap(), read_only: false },
                SpecMount {
                    source: Some("mods".parse().unwrap()),
                    target: "/mods".parse().unwrap(),
                    read_only: true,
                },
            ],
            ports: vec![manman_core::model::PortBinding {
                container_port: 7777.try_into().unwrap(),
                host_port: 27777.try_into().unwrap(),
                protocol: Protocol::Udp,
            }],
            network: NetworkSpec::Session,
            limits: Limits { memory_bytes: Some(128 << 20), cpu_millis: Some(1500), pids: None },
            capabilities: CapProfile::Strict,
            user: None,
            tty: false,
            stop_signal: Signal::Int,
            log: EngineLog::default(),
            spec_hash: "00112233445566778899aabbccddeeff".into(),
            created_at: Timestamp::from_micros(1_763_715_600_000_000),
        }
    }

    fn body(spec: &ContainerSpec) -> ContainerCreateBody {
        let sources = vec!["/srv/gsc-prod-3".to_owned(), "/srv/gsc-prod-3/mods".to_owned()];
        create_body(spec, &Place { owner: &owner(), network: "net1", sources, publish: None })
    }

    #[test]
    fn a_game_is_locked_down_unless_its_spec_says_otherwise() {
        let body = serde_json::to_value(body(&spec())).unwrap();
        let host = &body["HostConfig"];
        assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
        assert_eq!(host["CapAdd"], serde_json::json!([]));
        assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges"]));
        assert_eq!(host["Privileged"], false);
        assert_eq!(host["Init"], true);
        assert_eq!(host["AutoRemove"], false);
        assert_eq!(host["RestartPolicy"]["Name"], "no");
        assert_eq!(host["PidsLimit"], 512);
        assert_eq!(host["Memory"], 128 << 20);
        assert_eq!(host["MemorySwap"], 128 << 20);
        assert_eq!(host["NanoCpus"], 1_500_000_000i64);
        assert_eq!(host["LogConfig"]["Type"], "local");
        assert_eq!(host["LogConfig"]["Config"]["max-size"], "20000000");
        assert_eq!(host["LogConfig"]["Config"]["max-file"], "5");
        assert_eq!(host["NetworkMode"], "net1");
        for absent in ["Binds", "Devices", "PidMode", "IpcMode", "UTSMode", "UsernsMode", "VolumesFrom"] {
            assert!(host.get(absent).is_none_or(serde_json::Value::is_null), "{absent}");
        }
        assert_eq!((&body["OpenStdin"], &body["StdinOnce"]), (&true.into(), &false.into()));
        assert_eq!(body["StopSignal"], "SIGINT");
    }

    #[test]
    fn a_game_is_found_by_its_predictable_name() {
        let body = serde_json::to_value(body(&spec())).unwrap();
        assert_eq!(body["Hostname"], "gsc-prod-3");
        let endpoint = &body["NetworkingConfig"]["EndpointsConfig"]["net1"];
        assert_eq!(endpoint["Aliases"], serde_json::json!(["gsc-prod-3"]));
        assert_eq!(body["ExposedPorts"].to_string().matches("7777/udp").count(), 1);
        let bound = &body["HostConfig"]["PortBindings"]["7777/udp"];
        assert_eq!(bound[0]["HostPort"], "27777");
    }

    #[test]
    fn directories_are_mounted_never_bound() {
        let body = serde_json::to_value(body(&spec())).unwrap();
        let mounts = &body["HostConfig"]["Mounts"];
        assert_eq!(mounts[0]["Type"], "bind");
        assert_eq!(mounts[0]["Source"], "/srv/gsc-prod-3");
        assert_eq!(mounts[0]["Target"], "/data/game");
        assert_eq!(mounts[1]["ReadOnly"], true);
    }

    #[test]
    fn the_profile_image_adds_back_what_stepping_down_needs() {
        let mut spec = spec();
        spec.capabilities = CapProfile::Image;
        let host = body(&spec).host_config.unwrap();
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.cap_add.unwrap(), ["CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER", "KILL"]);
    }

    #[test]
    fn a_driver_of_another_kind_gets_no_options_of_ours() {
        let mut spec = spec();
        spec.log.driver = "journald".into();
        assert_eq!(body(&spec).host_config.unwrap().log_config.unwrap().config, None);
    }

    #[test]
    fn ports_are_read_back() {
        let body = serde_json::to_value(body(&spec())).unwrap();
        let inspected = serde_json::json!({"HostConfig": body["HostConfig"]});
        assert_eq!(super::ports(&serde_json::from_value(inspected).unwrap()), spec().ports);
    }

    fn inspected(state: serde_json::Value) -> AttemptState {
        super::state(&serde_json::from_value(serde_json::json!({ "State": state })).unwrap())
    }

    #[test]
    fn every_state_of_the_engine_is_one_of_ours() {
        let at = |text: &str| Timestamp::parse(text);
        assert_eq!(
            inspected(serde_json::json!({"Status": "created", "ExitCode": 128})),
            AttemptState::Created
        );
        assert_eq!(
            inspected(serde_json::json!({
                "Status": "paused", "Running": true, "Paused": true, "Pid": 12,
                "StartedAt": "2026-11-21T09:00:00.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
            })),
            AttemptState::Running { started_at: at("2026-11-21T09:00:00.5Z"), pid: Some(12), paused: true }
        );
        assert_eq!(
            inspected(serde_json::json!({
                "Status": "exited", "ExitCode": 137, "OOMKilled": true, "FinishedAt": "2026-11-21T09:00:01Z",
                "Error": "",
            })),
            AttemptState::Exited(Exit {
                code: 137,
                out_of_memory: true,
                at: at("2026-11-21T09:00:01Z"),
                error: String::new()
            })
        );
        for status in ["removing", "dead"] {
            assert_eq!(inspected(serde_json::json!({"Status": status})), AttemptState::Removing);
        }
    }

    #[test]
    fn a_list_alone_tells_the_exit_code() {
        let summary = |state: &str, status: &str| {
            let container = serde_json::json!({"State": state, "Status": status});
            state_of_summary(&serde_json::from_value(container).unwrap())
        };
        let AttemptState::Exited(exit) = summary("exited", "Exited (137) 2 seconds ago") else { panic!() };
        assert_eq!(exit.code, 137);
        assert!(summary("running", "Up 2 minutes").is_alive());
        assert_eq!(summary("created", "Created"), AttemptState::Created);
        assert_eq!(summary("dead", "Dead"), AttemptState::Removing);
    }

    #[test]
    fn an_operator_is_told_what_the_engine_cannot_do() {
        let info = |value| engine(&serde_json::from_value(value).unwrap(), Some("1.40"), String::new());
        let poor = info(serde_json::json!({"ID": "x", "ServerVersion": "19.03.1", "MemoryLimit": false}));
        for text in ["seccomp", "live-restore", "limit memory", "older than Docker 20.10"] {
            assert!(poor.warnings.iter().any(|warning| warning.contains(text)), "{text}");
        }
        let good = serde_json::json!({
            "LiveRestoreEnabled": true, "SecurityOptions": ["name=seccomp,profile=default"], "NCPU": 2, "MemTotal": 5,
        });
        let good = engine(&serde_json::from_value(good).unwrap(), Some("1.41"), String::new());
        assert_eq!(
            (good.warnings.len(), good.survives_restart, good.cpus, good.memory_bytes),
            (0, true, 2, 5)
        );
    }

    #[test]
    fn cache_is_not_memory_that_a_game_needs() {
        let used = |stats: serde_json::Value| {
            let sample = serde_json::json!({
                "memory_stats": {"usage": 100, "stats": stats},
                "cpu_stats": {"cpu_usage": {"total_usage": 2_000_000_000u64}},
                "pids_stats": {"current": 3},
            });
            super::stats(&serde_json::from_value(sample).unwrap())
        };
        assert_eq!(used(serde_json::json!({"total_inactive_file": 40, "inactive_file": 1})).memory_bytes, 60);
        assert_eq!(used(serde_json::json!({"inactive_file": 30})).memory_bytes, 70);
        let plain = used(serde_json::json!({}));
        assert_eq!((plain.memory_bytes, plain.cpu.as_secs(), plain.pids), (100, 2, 3));
    }
}
