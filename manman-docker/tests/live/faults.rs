//! Bad days: answers get lost, the engine refuses what it should do, or does not answer.

use std::time::{Duration, Instant};

use manman_core::{
    error::{Error, ErrorKind},
    id::{AttemptId, SessionId},
    machine::first_held,
    model::{PortBinding, Protocol},
    runtime::{AttemptState, Runtime},
};
use manman_docker::{
    DockerRuntime, import_image,
    testkit::{Fault, Proxy, socket},
};

use crate::support::{Ground, SLEEPER, clear, create, ended, refused, shell, start};

struct Bad {
    ground: Ground,
    proxy: Proxy,
    runtime: DockerRuntime,
}

/// A manager whose way to the engine can be made bad.
async fn bad(call_timeout: Duration) -> Bad {
    let ground = Ground::new().await;
    let proxy = Proxy::new(&socket()).unwrap();
    let runtime = over(&ground, &proxy, call_timeout);
    Bad { ground, proxy, runtime }
}

/// A manager on this way, which knows nothing of those before it.
fn over(ground: &Ground, proxy: &Proxy, call_timeout: Duration) -> DockerRuntime {
    ground.runtime_with(|config| {
        config.socket = proxy.socket();
        config.call_timeout_millis = u32::try_from(call_timeout.as_millis()).unwrap();
        config.stop_margin_millis = config.call_timeout_millis;
    })
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_adopted() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let spec = shell(1, 1, SLEEPER);
    runtime.prepare(&spec, None).await.unwrap();
    proxy.set("POST", "/containers/create?name=gsc-", Fault::LoseAnswer);
    let error = refused(runtime.create(&spec).await);
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Unavailable, true));
    proxy.clear();
    runtime.create(&spec).await.unwrap();
    runtime.start(spec.run).await.unwrap();
    assert_eq!(ground.left().await, (1, 1), "one effect");
    // The same for a start.
    proxy.set("POST", "/start", Fault::LoseAnswer);
    let second = shell(2, 1, SLEEPER);
    create(&runtime, &second).await;
    refused(runtime.start(second.run).await);
    proxy.clear();
    runtime.start(second.run).await.unwrap();
    for spec in [&spec, &second] {
        clear(&runtime, spec).await;
    }
}

#[tokio::test]
async fn a_create_that_fails_halfway_takes_its_network_back() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let spec = shell(1, 1, SLEEPER);
    runtime.prepare(&spec, None).await.unwrap();
    proxy.set("POST", "/containers/create?name=gsc-", Fault::Refuse(500, "layer does not exist".into()));
    let error = refused(runtime.create(&spec).await);
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(error.message().contains("layer does not exist"), "{error}");
    assert_eq!(ground.left().await, (0, 0));
    // Somebody else's container of the session keeps the network.
    proxy.clear();
    runtime.create(&spec).await.unwrap();
    runtime.retire(spec.run).await.unwrap();
    proxy.set("POST", "/containers/create?name=gsc-", Fault::Refuse(500, "layer does not exist".into()));
    let second = shell(1, 2, SLEEPER);
    refused(runtime.create(&second).await);
    assert_eq!(ground.left().await, (1, 1));
    proxy.clear();
    clear(&runtime, &spec).await;
}

/// What overlaps with something that the engine's list does not show is tried elsewhere,
/// and not for ever.
#[tokio::test]
async fn a_subnet_that_overlaps_is_tried_elsewhere() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let spec = shell(1, 1, SLEEPER);
    runtime.prepare(&spec, None).await.unwrap();
    let overlap = "Pool overlaps with other one on this address space";
    proxy.set("POST", "/networks/create", Fault::Refuse(403, overlap.into()));
    let error = refused(runtime.create(&spec).await);
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("16 subnets of 10.213.0.0/16 overlap"), "{error}");
    assert_eq!(ground.left().await, (0, 0));
    proxy.clear();
    runtime.create(&spec).await.unwrap();
    clear(&runtime, &spec).await;
}

/// "If the engine refuses and the process is proven gone, the next attempt takes a suffix
/// and the stuck one is reported."
#[tokio::test]
async fn a_container_that_clings_to_its_name_is_worked_around() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let first = shell(1, 1, "exit 1");
    start(&runtime, &first).await;
    ended(&runtime, first.run).await;
    proxy.set("POST", "/rename", Fault::Refuse(500, "driver failed".into()));
    runtime.retire(first.run).await.unwrap();
    let second = shell(1, 2, SLEEPER);
    // That is known as long as the manager lives: the one after it asks the engine again.
    let runtime = over(&ground, &proxy, LONG);
    assert_eq!(refused(runtime.create(&second).await).kind(), ErrorKind::Conflict);
    runtime.retire(first.run).await.unwrap();
    start(&runtime, &second).await;
    let container = ground.docker.inspect_container(&format!("{}-2", ground.name(1)), None).await.unwrap();
    assert_eq!(container.config.unwrap().hostname.as_deref(), Some("gsc-test-1"));
    let inventory = runtime.list().await.unwrap();
    assert_eq!(inventory.found.len(), 2);
    let stuck = inventory.foreign.iter().find(|foreign| foreign.name == ground.name(1)).unwrap();
    assert!(stuck.why.contains("driver failed"), "{}", stuck.why);
    // Still one alive at a time.
    let third = shell(1, 3, SLEEPER);
    assert_eq!(refused(runtime.create(&third).await).kind(), ErrorKind::Conflict);
    proxy.clear();
    runtime.retire(first.run).await.unwrap();
    assert!(runtime.list().await.unwrap().foreign.iter().all(|foreign| foreign.name != ground.name(1)));
    assert_eq!(refused(runtime.create(&third).await).kind(), ErrorKind::Conflict);
    runtime.remove(first.run).await.unwrap();
    clear(&runtime, &second).await;
    assert_eq!(ground.left().await, (0, 0));
}

#[tokio::test]
async fn a_container_that_cannot_be_removed_is_reported() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let spec = shell(1, 1, "exit 0");
    start(&runtime, &spec).await;
    ended(&runtime, spec.run).await;
    proxy.set(
        "DELETE",
        "/containers/",
        Fault::Refuse(409, "removal of container x is already in progress".into()),
    );
    let error = refused(runtime.remove(spec.run).await);
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Busy, true));
    proxy.clear();
    let refusal = "driver \"overlay2\" failed to remove root filesystem: device or resource busy";
    proxy.set("DELETE", "/containers/", Fault::Refuse(500, refusal.into()));
    assert_eq!(refused(runtime.remove(spec.run).await).kind(), ErrorKind::Unexpected);
    let foreign = runtime.list().await.unwrap().foreign;
    let stuck = foreign.iter().find(|foreign| foreign.name == ground.name(1)).unwrap();
    assert!(stuck.why.contains("device or resource busy"), "{}", stuck.why);
    proxy.clear();
    clear(&runtime, &spec).await;
}

/// The engine says that a game was stopped, shows it running, and does not let anybody wait.
#[tokio::test]
async fn an_engine_that_refuses_to_wait_is_not_asked_in_a_hurry() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let spec = shell(1, 1, SLEEPER);
    start(&runtime, &spec).await;
    proxy.set("POST", "/stop", Fault::Refuse(304, String::new()));
    proxy.set("POST", "/wait", Fault::Refuse(500, "cannot wait".into()));
    let error = refused(runtime.stop(spec.run, Duration::ZERO).await);
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    assert!(error.message().contains("cannot wait"), "{error}");
    proxy.clear();
    clear(&ground.runtime(), &spec).await;
}

/// Engines hold a name a little longer than they show its container.
#[tokio::test]
async fn a_name_that_nobody_is_seen_to_hold_is_waited_for() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let spec = shell(1, 1, SLEEPER);
    runtime.prepare(&spec, None).await.unwrap();
    let taken = format!(
        "Conflict. The container name \"/{}\" is already in use by container \"1f\".",
        ground.name(1)
    );
    proxy.set("POST", "/containers/create?name=gsc-", Fault::Refuse(409, taken));
    let began = Instant::now();
    let error = refused(runtime.create(&spec).await);
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Busy, true), "{error}");
    assert!(error.message().contains(&ground.name(1)), "{error}");
    assert!(began.elapsed() > Duration::from_millis(500), "with pauses");
    // Whoever holds the name may count on the network.
    assert_eq!(ground.left().await, (0, 1));
    proxy.clear();
    runtime.create(&spec).await.unwrap();
    clear(&runtime, &spec).await;
    assert_eq!(ground.left().await, (0, 0));
}

/// A number that is a part of another one is another port.
#[tokio::test]
async fn the_port_that_the_engine_refuses_is_the_one_named() {
    let Bad { proxy, runtime, .. } = bad(LONG).await;
    let mut spec = shell(1, 1, SLEEPER);
    let free = loop {
        let free = manman_services::free_port();
        spec.ports = [free / 10, free]
            .map(|number| {
                let number = i64::from(number).try_into().unwrap();
                PortBinding { container_port: number, host_port: number, protocol: Protocol::Tcp }
            })
            .into();
        // Somebody may listen on the shorter one.
        if first_held(&spec.ports, None).is_none() {
            break free;
        }
    };
    create(&runtime, &spec).await;
    let answer = format!("driver failed: Bind for 0.0.0.0:{free} failed: port is already allocated");
    proxy.set("POST", "/start", Fault::Refuse(500, answer));
    let error = refused(runtime.start(spec.run).await);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.message().starts_with(&format!("port {free}/tcp is held by")), "{error}");
    proxy.clear();
    clear(&runtime, &spec).await;
}

/// One container that does not let itself be looked at hides no other, and the list's own
/// word stands for it.
#[tokio::test]
async fn a_container_that_hangs_hides_no_other() {
    let Bad { ground, proxy, runtime } = bad(LONG).await;
    let hurried = ground.runtime_with(|config| {
        config.socket = proxy.socket();
        config.call_timeout_millis = 4_000;
    });
    let good = ground.runtime();
    let specs = [shell(1, 1, SLEEPER), shell(2, 1, "exit 7")];
    for spec in &specs {
        start(&good, spec).await;
    }
    ended(&good, specs[1].run).await;
    for spec in &specs {
        let found = good.inspect(spec.run).await.unwrap().unwrap();
        proxy.set("GET", format!("/containers/{}/json", found.engine_id), Fault::Hang);
    }
    let mut found = runtime.list().await.unwrap().found;
    found.sort_by_key(|found| found.run);
    assert!(found[0].state.is_alive());
    assert!(matches!(&found[1].state, AttemptState::Exited(exit) if exit.code == 7), "{:?}", found[1].state);
    assert_eq!(refused(hurried.inspect(specs[0].run).await).kind(), ErrorKind::Timeout);
    for spec in &specs {
        clear(&good, spec).await;
    }
}

/// "Every call but `pull`, `stop` and the streams answers within ten seconds, or fails
/// with `Timeout`", here within one second.
#[tokio::test]
async fn an_engine_that_does_not_answer_holds_nobody_up() {
    let Bad { ground, proxy, runtime } = bad(Duration::from_secs(1)).await;
    let spec = shell(1, 1, SLEEPER);
    ground.runtime().prepare(&spec, None).await.unwrap();
    for method in ["GET", "POST", "DELETE", "HEAD"] {
        proxy.set(method, "/", Fault::Hang);
    }
    let run = AttemptId::new(SessionId(1), 1);
    let began = Instant::now();
    let errors = tokio::join!(
        async { refused(runtime.engine().await) },
        async { refused(runtime.create(&spec).await) },
        async { refused(runtime.start(run).await) },
        async { refused(runtime.stop(run, Duration::ZERO).await) },
        async { refused(runtime.kill(run).await) },
        async { refused(runtime.retire(run).await) },
        async { refused(runtime.remove(run).await) },
        async { refused(runtime.remove_network(run.session).await) },
        async { refused(runtime.list().await) },
        async { refused(runtime.inspect(run).await) },
        async { refused(runtime.stats(run).await) },
        async { refused(runtime.console(run, None).await) },
        async { runtime.events().await.map(|_| ()).unwrap_err() },
        async { refused(runtime.pull(&spec.image, Box::new(|_| {})).await) },
    );
    let elapsed = began.elapsed();
    let errors = [
        errors.0, errors.1, errors.2, errors.3, errors.4, errors.5, errors.6, errors.7, errors.8, errors.9,
        errors.10, errors.11, errors.12, errors.13,
    ];
    for error in errors {
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Timeout, true), "{error:?}");
    }
    // By the ground's own bound it would be a minute.
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
}

/// The console's own calls are calls like the others.
#[tokio::test]
async fn an_attach_that_hangs_ends_with_the_time_of_a_call() {
    let Bad { ground, proxy, runtime } = bad(Duration::from_secs(2)).await;
    let spec = shell(1, 1, SLEEPER);
    start(&ground.runtime(), &spec).await;
    proxy.set("POST", "/attach", Fault::Hang);
    let began = Instant::now();
    let error = refused(runtime.console(spec.run, None).await);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    clear(&ground.runtime(), &spec).await;
}

#[tokio::test]
async fn an_import_ends_though_the_engine_does_not_answer() {
    let ground = Ground::new().await;
    let proxy = Proxy::new(&socket()).unwrap();
    let mut config = ground.config.clone();
    config.socket = proxy.socket();
    config.call_timeout_millis = 200;
    let image = format!("manman-import-{}:1", ground.owner.cluster.short()).parse().unwrap();
    let import =
        || import_image::<Error>(&config, &image, async || Ok(bytes::Bytes::from_static(&[0; 1024])));
    for (method, path) in [("POST", "/images/create"), ("GET", "/images/")] {
        proxy.set(method, path, Fault::Hang);
        let error = tokio::time::timeout(Duration::from_secs(60), import()).await.expect("it ends");
        assert_eq!(refused(error).kind(), ErrorKind::Timeout, "{method} {path}");
    }
}

/// What nobody asked the engine for is not made up: an engine without a socket.
#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable() {
    let ground = Ground::new().await;
    let runtime = ground.runtime_with(|config| config.socket = ground.dir.path().join("no.sock"));
    let error = refused(runtime.engine().await);
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Unavailable, true));
    assert!(error.message().contains("there is no engine"), "{error}");
    assert!(runtime.events().await.is_err());
}
