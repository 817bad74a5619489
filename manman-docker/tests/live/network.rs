//! Networks: apart from each other, found by label, and no more of them than needed.

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use manman_core::{
    error::ErrorKind,
    id::SessionId,
    runtime::{ContainerSpec, NetworkSpec, Runtime},
};
use manman_docker::{
    DockerRuntime,
    testkit::{Fault, Proxy, socket},
};

use crate::support::{Ground, SLEEPER, clear, create, eventually, file, refused, shell, start};

async fn network_of(ground: &Ground, sgc: i64) -> NetworkInspect {
    let container = ground.docker.inspect_container(&ground.name(sgc), None).await.unwrap();
    let id = container.host_config.unwrap().network_mode.unwrap();
    ground.docker.inspect_network(&id, None).await.unwrap()
}

fn subnet(network: &NetworkInspect) -> String {
    network.ipam.as_ref().unwrap().config.as_ref().unwrap()[0].subnet.clone().unwrap()
}

#[tokio::test]
async fn sessions_are_apart_in_small_subnets_of_our_pool() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let first = shell(1, 1, SLEEPER);
    start(&runtime, &first).await;
    let network = network_of(&ground, 1).await;
    assert_eq!(network.name, Some(format!("session-1-{}", ground.owner.cluster.short())));
    assert!(
        subnet(&network).starts_with("10.213.") && subnet(&network).ends_with("/28"),
        "{}",
        subnet(&network)
    );
    let labels = network.labels.as_ref().unwrap();
    assert_eq!((labels["manman.type"].as_str(), labels["manman.session_id"].as_str()), ("network", "1"));
    assert_eq!(network.options.as_ref().unwrap()["com.docker.network.bridge.enable_icc"], "false");
    let address = network.containers.as_ref().unwrap().values().next().unwrap().ipv4_address.clone().unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    // Who is reached refuses the connection; who is not reached says nothing. An engine 20.10
    // takes its rule out and puts it in again whenever it makes a network, also another
    // test's (`EnsureJumpRule`): once is no proof.
    let probe = format!(
        "found=reached
         for try in 1 2 3 4 5; do
             nc -w 1 {address} 9 < /dev/null 2> /data/game/why
             grep -q refused /data/game/why || found=apart
         done
         echo $found > /data/game/out; {SLEEPER}"
    );
    let second = shell(2, 1, &probe);
    start(&runtime, &second).await;
    assert_eq!(file(&ground, 2, "out").await, "apart\n");
    assert_ne!(subnet(&network_of(&ground, 2).await), subnet(&network));
    for spec in [&first, &second] {
        clear(&runtime, spec).await;
    }
    assert_eq!(ground.left().await, (0, 0));
}

fn in_shared(session: i64, name: &str, script: &str) -> ContainerSpec {
    ContainerSpec { network: NetworkSpec::Shared(name.parse().unwrap()), ..shell(session, 1, script) }
}

#[tokio::test]
async fn a_shared_network_is_made_once_and_never_removed() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let name = format!("manman-shared-{}", ground.owner.cluster.short());
    // The name of a deployment finds its container there.
    let server = in_shared(1, &name, "while :; do echo hello from $(hostname) | nc -l -p 7777; done");
    let client = in_shared(
        2,
        &name,
        &format!(
            "until nc gsc-test-1 7777 < /dev/null > /data/game/try && grep -q hello /data/game/try; do sleep 0.2; done
             cp /data/game/try /data/game/out; {SLEEPER}"
        ),
    );
    start(&runtime, &server).await;
    let network = network_of(&ground, 1).await;
    assert_eq!(network.name.as_deref(), Some(name.as_str()));
    assert!(subnet(&network).starts_with("10.213.") && subnet(&network).ends_with("/24"));
    start(&runtime, &client).await;
    assert_eq!(file(&ground, 2, "out").await, "hello from gsc-test-1\n");
    assert_eq!(runtime.list().await.unwrap().networks, []);
    for spec in [&server, &client] {
        clear(&runtime, spec).await;
    }
    assert_eq!(ground.left().await, (0, 1), "the shared network stays");
    ground.docker.remove_network(&name).await.unwrap();
}

/// Games that come at once, to managers of one machine, find themselves in one network.
#[tokio::test]
async fn games_that_come_at_once_share_one_network() {
    let ground = Ground::new().await;
    let name = format!("manman-rush-{}", ground.owner.cluster.short());
    let runtimes = [ground.runtime(), ground.runtime()];
    let specs: Vec<_> = (1..=4).map(|session| in_shared(session, &name, SLEEPER)).collect();
    let made = specs.iter().zip(runtimes.iter().cycle()).map(|(spec, runtime)| create(runtime, spec));
    futures::future::join_all(made).await;
    for spec in &specs {
        runtimes[0].start(spec.run).await.unwrap();
        assert_eq!(network_of(&ground, spec.sgc.0).await.name.as_deref(), Some(name.as_str()));
    }
    assert_eq!(ground.left().await, (4, 1));
    for spec in &specs {
        clear(&runtimes[1], spec).await;
    }
    ground.docker.remove_network(&name).await.unwrap();
}

/// `host`, `none` and `bridge` mean something else to Docker; another's network is
/// another's.
#[tokio::test]
async fn not_every_network_can_be_shared() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    for name in ["host", "none", "bridge", "default", "session-1"] {
        let spec = in_shared(1, name, SLEEPER);
        assert_eq!(refused(runtime.prepare(&spec, None).await).kind(), ErrorKind::Denied, "{name}");
        assert_eq!(refused(runtime.create(&spec).await).kind(), ErrorKind::Denied, "{name}");
    }
    // A network of the host's driver cannot have another name, but one of another installation can.
    let other = Ground::new().await;
    let name = format!("manman-theirs-{}", other.owner.cluster.short());
    let labels = [("manman.type", "network".to_owned()), ("manman.cluster", other.owner.cluster.to_string())];
    let request = NetworkCreateRequest {
        name: name.clone(),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
        ipam: Some(ipam(own_subnet(&other, "0/28"))),
        ..Default::default()
    };
    ground.docker.create_network(request).await.unwrap();
    let spec = in_shared(1, &name, SLEEPER);
    runtime.prepare(&spec, None).await.unwrap();
    let error = refused(runtime.create(&spec).await);
    ground.docker.remove_network(&name).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(ground.left().await, (0, 0));
}

/// A subnet outside of the pool that no other test or run has, apart from one that asks for the same
/// `part` and is one of 4096.
fn own_subnet(ground: &Ground, part: &str) -> String {
    let [first, second, ..] = ground.owner.cluster.0.into_bytes();
    format!("10.{}.{second}.{part}", 215 + first % 16)
}

fn ipam(subnet: String) -> Ipam {
    let config = IpamConfig { subnet: Some(subnet), ..Default::default() };
    Ipam { config: Some(vec![config]), ..Default::default() }
}

/// Two installations on one engine count their sessions for themselves.
#[tokio::test]
async fn two_installations_may_have_a_session_of_one_number() {
    let (one, other) = (Ground::new().await, Ground::new().await);
    let (ours, theirs) = (one.runtime(), other.runtime());
    let spec = shell(4242, 1, SLEEPER);
    start(&ours, &spec).await;
    start(&theirs, &spec).await;
    assert_ne!(network_of(&one, 4242).await.id, network_of(&other, 4242).await.id);
    clear(&ours, &spec).await;
    assert_eq!(other.left().await, (1, 1), "what is theirs stays");
    assert!(theirs.inspect(spec.run).await.unwrap().unwrap().state.is_alive());
    clear(&theirs, &spec).await;
}

/// A pool of two: the third session is told what to do, and nothing of it stays.
#[tokio::test]
async fn an_exhausted_pool_is_said() {
    let ground = Ground::new().await;
    let pool = own_subnet(&ground, "32/27");
    let runtime = ground.runtime_with(|config| {
        config.address_pool = pool.parse().unwrap();
        config.shared_prefix = 28;
    });
    let specs = [shell(1, 1, SLEEPER), shell(2, 1, SLEEPER)];
    for spec in &specs {
        create(&runtime, spec).await;
    }
    let third = shell(3, 1, SLEEPER);
    runtime.prepare(&third, None).await.unwrap();
    let error = refused(runtime.create(&third).await);
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Busy, true));
    assert!(error.message().contains(&pool), "{error}");
    assert_eq!(ground.left().await, (2, 2));
    clear(&runtime, &specs[0]).await;
    runtime.create(&third).await.unwrap();
    for spec in [&specs[1], &third] {
        clear(&runtime, spec).await;
    }
}

/// More than the engine's own pools hold, all at once.
#[tokio::test]
async fn many_sessions_get_a_network_each() {
    let full = std::env::var("MANMAN_TESTS").as_deref() == Ok("full");
    let count = if full { 200 } else { 33 };
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let specs: Vec<_> = (1..=count).map(|session| shell(session, 1, SLEEPER)).collect();
    runtime.prepare(&specs[0], None).await.unwrap();
    runtime.create(&specs[0]).await.unwrap();
    for some in specs[1..].chunks(4) {
        let made = some.iter().map(|spec| create(&runtime, spec));
        futures::future::join_all(made).await;
    }
    assert_eq!(ground.left().await, (specs.len(), specs.len()));
    let inventory = runtime.list().await.unwrap();
    assert_eq!(inventory.found.len(), specs.len());
    let sessions: Vec<_> = (1..=count).map(SessionId).collect();
    assert_eq!(inventory.networks, sessions);
    for some in specs.chunks(4) {
        futures::future::join_all(some.iter().map(|spec| clear(&runtime, spec))).await;
    }
    assert_eq!(ground.left().await, (0, 0));
}

/// A second network of a session, as a race of two managers leaves it, goes with the first.
#[tokio::test]
async fn duplicates_of_a_network_go_together() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let spec = shell(5, 1, SLEEPER);
    create(&runtime, &spec).await;
    let network = network_of(&ground, 5).await;
    let twin = NetworkCreateRequest {
        name: network.name.clone().unwrap(),
        labels: network.labels.clone(),
        ipam: Some(ipam(own_subnet(&ground, "64/28"))),
        ..Default::default()
    };
    ground.docker.create_network(twin).await.unwrap();
    assert_eq!(runtime.list().await.unwrap().networks, [SessionId(5)]);
    clear(&runtime, &spec).await;
    assert_eq!(ground.left().await, (0, 0));
}

/// A network that another manager of ours made in the meantime is used as it is.
#[tokio::test]
async fn managers_that_race_share_a_network() {
    let ground = Ground::new().await;
    let runtimes: Vec<DockerRuntime> = (0..4).map(|_| ground.runtime()).collect();
    let spec = shell(6, 1, SLEEPER);
    runtimes[0].prepare(&spec, None).await.unwrap();
    let all = futures::future::join_all(runtimes.iter().map(|runtime| runtime.create(&spec))).await;
    let made: HashMap<_, _> =
        all.into_iter().map(|result| (result.as_ref().err().map(|e| e.kind()), result)).collect();
    assert!(made.contains_key(&None), "{made:?}");
    eventually("it can be started", || async { runtimes[1].start(spec.run).await.ok() }).await;
    clear(&runtimes[2], &spec).await;
    assert_eq!(ground.left().await, (0, 0));
}

/// Who finds the name taken leaves the network, also one that it made, to whoever has the name.
#[tokio::test]
async fn who_loses_the_race_leaves_the_network_to_the_winner() {
    let ground = Ground::new().await;
    let proxy = Proxy::new(&socket()).unwrap();
    let (loser, winner) = (ground.runtime_with(|config| config.socket = proxy.socket()), ground.runtime());
    let (spec, name) = (shell(7, 1, SLEEPER), ground.name(7));
    winner.prepare(&spec, None).await.unwrap();
    // The engine holds the name for the winner's container before it shows that.
    let taken = format!("Conflict. The container name \"/{name}\" is already in use by container \"1f\".");
    proxy.set("POST", "/containers/create?name=gsc-", Fault::Refuse(409, taken));
    proxy.set("GET", format!("/containers/{name}/json"), Fault::Refuse(404, "No such container".into()));
    let (lost, ()) = tokio::join!(loser.create(&spec), async {
        eventually("the loser makes the network", || async { (ground.left().await.1 == 1).then_some(()) })
            .await;
        winner.create(&spec).await.unwrap();
    });
    assert_eq!(refused(lost).kind(), ErrorKind::Busy);
    winner.start(spec.run).await.unwrap();
    clear(&winner, &spec).await;
    assert_eq!(ground.left().await, (0, 0));
}
