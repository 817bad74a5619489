//! A spec as the engine takes it.

use std::{collections::HashMap, net::IpAddr};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use manman_core::{
    model::{Limits, config::EngineLog},
    runtime::{ContainerSpec, Owner},
};

use crate::labels;

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
    let host_name = place.owner.deployment_name(spec.sgc);
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
