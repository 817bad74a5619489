//! From create to remove, where there is more to Docker than the contract says.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use manman_core::{
    error::ErrorKind,
    model::{CapProfile, PortBinding, Protocol},
    runtime::{AttemptState, ContainerSpec, Runtime},
};
use manman_services::free_port;

use crate::support::{
    Ground, SLEEPER, clear, create, ended, eventually, file, hinted, refused, shell, start,
};

async fn inspect(ground: &Ground, name: &str) -> ContainerInspectResponse {
    ground.docker.inspect_container(name, None).await.unwrap()
}

#[tokio::test]
async fn a_container_is_known_by_its_name_and_labels() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let spec = shell(31, 2, SLEEPER);
    start(&runtime, &spec).await;
    let container = inspect(&ground, &ground.name(31)).await;
    let config = container.config.unwrap();
    assert_eq!(config.hostname.as_deref(), Some("gsc-test-31"));
    let labels = config.labels.unwrap();
    for (key, value) in [
        ("manman.type", "game".to_owned()),
        ("manman.cluster", ground.owner.cluster.to_string()),
        ("manman.environment", "test".to_owned()),
        ("manman.server_id", "1".to_owned()),
        ("manman.sgc_id", "31".to_owned()),
        ("manman.session_id", "31".to_owned()),
        ("manman.attempt", "2".to_owned()),
        ("manman.spec", spec.spec_hash.clone()),
        ("manman.created_at", spec.created_at.to_string()),
    ] {
        assert_eq!(labels.get(key), Some(&value), "{key}");
    }
    let networks = container.network_settings.unwrap().networks.unwrap();
    let aliases = networks.into_values().next().unwrap().aliases.unwrap();
    assert!(aliases.contains(&"gsc-test-31".to_owned()), "{aliases:?}");
    clear(&runtime, &spec).await;
}

/// The next attempt takes over name, host name and directory; the ended one is kept.
#[tokio::test]
async fn a_retired_attempt_gives_its_name_up() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let first = shell(1, 1, "echo from $(hostname) > /data/game/first; exit 3");
    start(&runtime, &first).await;
    assert_eq!(ended(&runtime, first.run).await.code, 3);
    runtime.retire(first.run).await.unwrap();
    let second = shell(1, 2, &format!("cat /data/game/first; {SLEEPER}"));
    start(&runtime, &second).await;
    assert_eq!(file(&ground, 1, "first").await, "from gsc-test-1\n");
    let name = ground.name(1);
    let kept = inspect(&ground, &format!("{name}-ended-1-1")).await;
    assert_eq!(kept.state.unwrap().exit_code, Some(3));
    assert_eq!(inspect(&ground, &name).await.config.unwrap().labels.unwrap()["manman.attempt"], "2");
    clear(&runtime, &second).await;
    clear(&runtime, &first).await;
    assert_eq!(ground.left().await, (0, 0));
}

/// What the request asks for is what the kernel does.
#[tokio::test]
async fn a_game_has_no_powers_that_it_was_not_given() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let look = "cat /proc/self/status > /data/game/status; tr '\\0' ' ' < /proc/1/cmdline > /data/game/init
        echo >> /data/game/init; exec sleep 3600";
    let mut strict = shell(1, 1, look);
    strict.limits.memory_bytes = Some(64 << 20);
    strict.limits.cpu_millis = Some(500);
    let mut image = shell(2, 1, look);
    image.capabilities = CapProfile::Image;
    for (spec, capabilities) in [(&strict, 0), (&image, 0b1110_1011)] {
        start(&runtime, spec).await;
        let status = file(&ground, spec.sgc.0, "status").await;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().to_owned()
        };
        let effective = u64::from_str_radix(&field("CapEff"), 16).unwrap();
        // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7 (linux/capability.h).
        assert_eq!(effective, capabilities);
        assert_eq!(field("NoNewPrivs"), "1");
        assert!(file(&ground, spec.sgc.0, "init").await.contains("docker-init"));
    }
    let host = inspect(&ground, &ground.name(1)).await.host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
    assert_eq!((host.nano_cpus, host.pids_limit), (Some(500_000_000), Some(512)));
    assert_eq!((host.privileged, host.init, host.auto_remove), (Some(false), Some(true), Some(false)));
    let log = host.log_config.unwrap();
    assert_eq!((log.typ.as_deref(), log.config.unwrap()["max-file"].as_str()), (Some("local"), "5"));
    for spec in [&strict, &image] {
        clear(&runtime, spec).await;
    }
}

/// Out of memory is a note beside the code: of a child it comes with whatever the parent
/// makes of it.
#[tokio::test]
async fn running_out_of_memory_is_said() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let whole = ContainerSpec {
        entrypoint: ["/bin/sh", "-c", "exec tail /dev/zero"].map(str::to_owned).into(),
        ..shell(1, 1, "")
    };
    let child = shell(2, 1, "tail /dev/zero; exit 0");
    for (mut spec, code) in [(whole, 137), (child, 0)] {
        spec.limits.memory_bytes = Some(16 << 20);
        let mut said = false;
        // Docker 20.10 hears of the memory and of the exit apart. On a busy machine, where the
        // exit comes first, it never says that it was the memory: one time in 25.
        for _ in 0..5 {
            start(&runtime, &spec).await;
            let exit = ended(&runtime, spec.run).await;
            clear(&runtime, &spec).await;
            assert_eq!(exit.code, code, "{exit:?}");
            assert!(exit.at.is_some());
            said = exit.out_of_memory;
            if said {
                break;
            }
        }
        assert!(said, "the engine never says that it was the memory");
    }
}

#[tokio::test]
async fn a_missing_command_is_named() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    for (session, command) in [(1, "/no/such/game"), (2, "no-such-game"), (3, "./no-such-game")] {
        let mut spec = shell(session, 1, "");
        spec.entrypoint = vec![command.to_owned()];
        create(&runtime, &spec).await;
        let error = refused(runtime.start(spec.run).await);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.message(), format!("the image has no such command: {command:?}"));
        assert_eq!(runtime.inspect(spec.run).await.unwrap().unwrap().state, AttemptState::Created);
        clear(&runtime, &spec).await;
    }
    assert_eq!(ground.left().await, (0, 0));
}

/// A command that the game's own directory has is no business of the image.
#[tokio::test]
async fn a_command_may_lie_in_the_data_directory() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let mut spec = shell(1, 1, "");
    spec.entrypoint = vec!["/data/game/run".to_owned()];
    runtime.prepare(&spec, None).await.unwrap();
    let path = ground.config.data_dir.join("gsc-test-1/run");
    std::fs::write(&path, "#!/bin/sh\nexit 5\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    start(&runtime, &spec).await;
    assert_eq!(ended(&runtime, spec.run).await.code, 5);
    clear(&runtime, &spec).await;
}

fn port(number: u16, protocol: Protocol) -> PortBinding {
    let number = i64::from(number).try_into().unwrap();
    PortBinding { container_port: number, host_port: number, protocol }
}

#[tokio::test]
async fn whoever_holds_a_port_is_named() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut spec = shell(1, 1, SLEEPER);
    spec.ports = vec![port(socket.local_addr().unwrap().port(), Protocol::Udp)];
    create(&runtime, &spec).await;
    let error = refused(runtime.start(spec.run).await);
    let we = format!("(pid {})", std::process::id());
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains(&we), "{error}");
    clear(&runtime, &spec).await;

    // Another game's port, found by the engine.
    let number = free_port();
    let mut holder = shell(2, 1, SLEEPER);
    holder.ports = vec![port(number, Protocol::Tcp)];
    start(&runtime, &holder).await;
    let mut late = shell(3, 1, SLEEPER);
    late.ports = vec![port(number, Protocol::Tcp)];
    create(&runtime, &late).await;
    let error = refused(runtime.start(late.run).await);
    let wanted = format!("port {number}/tcp is held by the container {}", ground.name(2));
    assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, wanted.as_str()));
    for spec in [&holder, &late] {
        clear(&runtime, spec).await;
    }
}

/// Where our probe cannot see the port (the manager in a container of its own), the
/// engine's answer to the start names it.
#[tokio::test]
async fn a_port_that_the_engine_refuses_is_named_too() {
    let ground = Ground::new().await;
    // Probing another address than the one that is held finds nothing.
    let runtime = ground.runtime_with(|config| config.publish_address = Some("127.0.0.1".parse().unwrap()));
    let number = free_port();
    let mut holder = shell(1, 1, SLEEPER);
    holder.ports = vec![port(number, Protocol::Tcp)];
    start(&runtime, &holder).await;
    let mut late = shell(2, 1, SLEEPER);
    late.ports = vec![port(number, Protocol::Tcp)];
    create(&runtime, &late).await;
    let docker = ground.docker.start_container(&ground.name(2), None).await.unwrap_err();
    assert!(docker.to_string().contains("port is already allocated"), "{docker}");
    let error = refused(runtime.start(late.run).await);
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains(&number.to_string()), "{error}");
    // A failed start leaves it created, and it can go.
    assert_eq!(runtime.inspect(late.run).await.unwrap().unwrap().state, AttemptState::Created);
    for spec in [&holder, &late] {
        clear(&runtime, spec).await;
    }
}

#[tokio::test]
async fn a_suspended_game_is_told_and_can_be_stopped() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let spec = shell(1, 1, SLEEPER);
    start(&runtime, &spec).await;
    ground.docker.pause_container(&ground.name(1)).await.unwrap();
    let found = runtime.inspect(spec.run).await.unwrap().unwrap();
    assert!(matches!(found.state, AttemptState::Running { paused: true, .. }), "{found:?}");
    assert!(found.state.is_alive());
    runtime.stop(spec.run, Duration::from_secs(10)).await.unwrap();
    assert!(matches!(runtime.inspect(spec.run).await.unwrap().unwrap().state, AttemptState::Exited(_)));
    clear(&runtime, &spec).await;
}

/// An image with a `VOLUME` leaves one behind for each container unless told otherwise.
#[tokio::test]
async fn anonymous_volumes_go_with_their_container() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let mut spec = shell(1, 1, "exit 0");
    spec.image = "manman-fixture/testgame:1".parse().unwrap();
    spec.mounts[0].target = "/elsewhere".parse().unwrap();
    start(&runtime, &spec).await;
    ended(&runtime, spec.run).await;
    let mounts = inspect(&ground, &ground.name(1)).await.mounts.unwrap();
    let volume = mounts.into_iter().find_map(|mount| mount.name).unwrap();
    ground.docker.inspect_volume(&volume).await.unwrap();
    clear(&runtime, &spec).await;
    ground.docker.inspect_volume(&volume).await.unwrap_err();
}

/// What somebody else did to a game is seen as what it is.
#[tokio::test]
async fn what_others_do_is_seen() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let (killed, removed) = (shell(1, 1, SLEEPER), shell(2, 1, SLEEPER));
    for spec in [&killed, &removed] {
        start(&runtime, spec).await;
    }
    let mut events = runtime.events().await.unwrap();
    ground.docker.kill_container(&ground.name(1), None).await.unwrap();
    let options = bollard::query_parameters::RemoveContainerOptionsBuilder::new().force(true).build();
    ground.docker.remove_container(&ground.name(2), Some(options)).await.unwrap();
    assert_eq!(ended(&runtime, killed.run).await.code, 137);
    eventually("it is gone", || async {
        runtime.inspect(removed.run).await.unwrap().is_none().then_some(())
    })
    .await;
    hinted(&mut events, killed.run).await;
    hinted(&mut events, removed.run).await;
    for spec in [&killed, &removed] {
        clear(&runtime, spec).await;
    }
    assert_eq!(ground.left().await, (0, 0));
}

/// Start, stop, remove: nothing stays, whatever the number.
#[tokio::test]
async fn cycles_leave_nothing_behind() {
    let rounds = if std::env::var("MANMAN_TESTS").as_deref() == Ok("full") { 1000 } else { 10 };
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut before = None;
    for attempt in 1..=rounds {
        let spec = shell(1, attempt, SLEEPER);
        start(&runtime, &spec).await;
        runtime.stop(spec.run, Duration::from_secs(60)).await.unwrap();
        clear(&runtime, &spec).await;
        // After the first round every connection that is kept has been made.
        before.get_or_insert_with(descriptors);
    }
    assert_eq!(ground.left().await, (0, 0));
    // Other tests of this process open some too.
    assert!(descriptors() < before.unwrap() + 100);
}
