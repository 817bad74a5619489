//! A spec goes over whole, and what comes back is understood.

use bollard::models::ContainerCreateBody;
use manman_core::{
    clock::Timestamp,
    id::{AttemptId, SessionId, SgcId},
    model::{CapProfile, Limits, PortBinding, Protocol, Signal, config::EngineLog},
    runtime::{AttemptState, ContainerSpec, Exit, Mount, NetworkSpec},
};

use super::*;
use crate::labels::tests::owner;

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
            Mount { source: None, target: "/data/game".parse().unwrap(), read_only: false },
            Mount {
                source: Some("mods".parse().unwrap()),
                target: "/mods".parse().unwrap(),
                read_only: true,
            },
        ],
        ports: vec![PortBinding {
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
    assert_eq!(inspected(serde_json::json!({"Status": "created", "ExitCode": 128})), AttemptState::Created);
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
        let state = serde_json::json!({"Status": status, "FinishedAt": "0001-01-01T00:00:00Z"});
        assert_eq!(inspected(state), AttemptState::Removing);
    }
}

#[test]
fn one_that_could_not_be_removed_in_full_still_tells_its_exit() {
    let state = inspected(serde_json::json!({
        "Status": "dead", "Dead": true, "ExitCode": 3, "FinishedAt": "2026-11-21T09:00:01Z",
    }));
    let AttemptState::Exited(exit) = state else { panic!("{state:?}") };
    assert_eq!(exit.code, 3);
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
    assert_eq!((good.warnings.len(), good.survives_restart, good.cpus, good.memory_bytes), (0, true, 2, 5));
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
