//! What the tests of this module share.

use crate::{
    clock::Timestamp,
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    model::{CapProfile, Limits, PortBinding, Protocol, Signal, config::EngineLog},
    runtime::{ContainerSpec, Mount, NetworkSpec, Owner},
};

/// Whose things are made.
pub fn owner() -> Owner {
    let cluster: ClusterId = "0f3a91c2-5d7e-4b1a-9c3d-2e8f6a7b1c0d".parse().unwrap();
    Owner { cluster, server: ServerId(1), environment: "prod".parse().unwrap() }
}

/// A spec that asks for a bit of everything.
pub fn spec() -> ContainerSpec {
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
