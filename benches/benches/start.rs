//! What does a start cost on top of the engine's own calls?
//!
//! From the wish, with an image that is here, to a host manager that says its game runs and
//! follows its console, with journal and spool on the disk. A socket in between notes when
//! each call is under way: what is left of the wall time is ours. Beside it the same calls
//! made by hand, one after the other. Needs an engine (feature `live`).
//! `cargo bench -p manman-benches --features live --bench start`; with `-- --gate` it fails
//! where the gate is missed.
#![expect(clippy::print_stdout, reason = "a bench reports to whoever ran it")]
#![allow(clippy::unwrap_used, reason = "without its engine a bench has nothing to say")]

use std::{
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{self, ContainerCreateBody, Ipam, IpamConfig, NetworkCreateRequest},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptionsBuilder,
    },
};
use futures::{StreamExt as _, stream::BoxStream};
use manman_benches::{
    Asked,
    stopwatch::{Call, Stopwatch, under_way},
};
use manman_core::{
    host::{
        HostConfig, HostEvent, Manager,
        journal::{FileDisk, Journal},
        spool::{FileSpool, SpoolConfig},
    },
    id::{ClusterId, ServerId, SgcId},
    memory::{MemoryBroker, MemoryUplink},
    model::{ConfigBody, StopMode},
    runtime::{Owner, Runtime},
    wire::SessionReport,
};
use manman_docker::{DockerConfig, DockerRuntime, testkit};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

const IMAGE: &str = "manman-fixture/busybox:1";
const GAME: [&str; 3] = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"];

/// In the middle, at most so much on top of the engine's calls.
const AT_MOST: Duration = Duration::from_millis(5);

#[tokio::main]
async fn main() -> ExitCode {
    let asked = Asked::from_arguments();
    let rounds = if asked.whole { 21 } else { 1 };
    let stopwatch = Stopwatch::new(&testkit::socket()).unwrap();
    let owner =
        Owner { cluster: ClusterId::random(), server: ServerId(1), environment: "bench".parse().unwrap() };
    let dir = tempfile::tempdir().unwrap();
    let _broom = testkit::Broom::new(testkit::socket(), owner.cluster);
    let mut config = DockerConfig::new(dir.path().join("data"));
    config.socket = stopwatch.socket();
    let mut host = Host::begin(owner, config, dir.path());
    let path = stopwatch.socket();
    let docker = Docker::connect_with_unix(&path.to_string_lossy(), 120, API_DEFAULT_VERSION).unwrap();
    let docker = docker.negotiate_version().await.unwrap();

    let (mut ours, mut by_hand) = (Costs::default(), Costs::default());
    for round in 0..rounds {
        // The first start of all opens connections and looks around: it is not counted.
        let warm = round > 0 || !asked.whole;
        for turn in 0..2 {
            if (turn + round) % 2 == 0 {
                host.start(&stopwatch, warm.then_some(&mut ours)).await;
            } else {
                start_by_hand(&docker, &stopwatch, warm.then_some(&mut by_hand)).await;
            }
        }
    }
    println!("{:8} {:>12} {:>12} {:>12} {:>8}", "", "on top, p50", "p90", "wall, p50", "calls");
    ours.print("ours");
    by_hand.print("by hand");
    println!("ours, besides:");
    for look in &ours.looks {
        println!("  {look}");
    }
    let missed = asked.whole && ours.on_top(50) > AT_MOST;
    if missed {
        println!("below the gate: {:?} on top of the engine's calls, not {AT_MOST:?}", ours.on_top(50));
    }
    if asked.gate && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[derive(Default)]
struct Costs {
    on_top: Vec<Duration>,
    wall: Vec<Duration>,
    calls: Vec<usize>,
    /// The looks of the last round, and how long each took.
    looks: Vec<String>,
}

impl Costs {
    fn note(&mut self, wall: Duration, calls: &[Call]) {
        // Only what nobody can do without counts as the engine's: looks that we take are ours.
        let needed = calls.iter().filter(|call| call.what.starts_with("POST "));
        self.on_top.push(wall.saturating_sub(under_way(needed)));
        self.wall.push(wall);
        self.calls.push(calls.len());
        let looks = calls.iter().filter(|call| !call.what.starts_with("POST "));
        self.looks = looks
            .map(|call| {
                let took = call.ended.unwrap_or(call.begun).duration_since(call.begun);
                format!("{:.2} ms {}", took.as_secs_f64() * 1e3, call.what)
            })
            .collect();
    }

    fn on_top(&self, percent: usize) -> Duration {
        at(&self.on_top, percent)
    }

    fn print(&self, name: &str) {
        let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        let (p50, p90) = (millis(self.on_top(50)), millis(self.on_top(90)));
        let (wall, calls) = (millis(at(&self.wall, 50)), self.calls.iter().max().unwrap());
        println!("{name:8} {p50:>12} {p90:>12} {wall:>12} {calls:>8}");
    }
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// A host manager at work.
struct Host {
    uplink: MemoryUplink,
    runtime: Arc<DockerRuntime>,
    events: BoxStream<'static, HostEvent>,
    _running: AbortOnDropHandle<()>,
}

impl Host {
    fn begin(owner: Owner, config: DockerConfig, dir: &Path) -> Self {
        let broker = Arc::new(MemoryBroker::new());
        let uplink = MemoryUplink::new(owner.clone(), broker.clone());
        let runtime = Arc::new(DockerRuntime::new(owner, config).unwrap());
        let disk = FileDisk::open(dir.join("journal")).unwrap();
        let spool = FileSpool::new(dir.join("spool"), SpoolConfig::default()).unwrap();
        let manager = Manager::builder(runtime.clone(), broker, Arc::new(uplink.clone()))
            .journal(Journal::open(disk).unwrap())
            .spool(Arc::new(spool))
            .build(HostConfig::default())
            .unwrap();
        let events = manager.events().boxed();
        let runs = manager.run(CancellationToken::new());
        let running = AbortOnDropHandle::new(tokio::spawn(async move { runs.await.unwrap() }));
        Self { uplink, runtime, events, _running: running }
    }

    async fn start(&mut self, stopwatch: &Stopwatch, costs: Option<&mut Costs>) {
        let mut body = ConfigBody::new(IMAGE.parse().unwrap());
        body.entrypoint = GAME.map(str::to_owned).to_vec();
        stopwatch.take();
        let begun = Instant::now();
        let session = self.uplink.run(SgcId(1), body, vec![]).await.unwrap();
        self.until(|report| matches!(report, SessionReport::Running { session: of, .. } if *of == session))
            .await;
        let wall = begun.elapsed();
        let calls = stopwatch.take();
        if let Some(costs) = costs {
            costs.note(wall, &calls);
        }
        self.uplink.stop(session, StopMode::Kill).await.unwrap();
        self.until(|report| matches!(report, SessionReport::Ended { session: of, .. } if *of == session))
            .await;
        while !self.runtime.list().await.unwrap().networks.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until(&mut self, wanted: impl Fn(&SessionReport) -> bool) {
        loop {
            let event = self.events.next().await.expect("it goes on");
            if matches!(&event, HostEvent::Session(report) if wanted(report)) {
                return;
            }
        }
    }
}

async fn start_by_hand(docker: &Docker, stopwatch: &Stopwatch, costs: Option<&mut Costs>) {
    let name = format!("manman-bench-{}", ClusterId::random().short());
    stopwatch.take();
    let begun = Instant::now();
    let subnet = IpamConfig { subnet: Some("10.214.255.0/28".to_owned()), ..IpamConfig::default() };
    let network = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { config: Some(vec![subnet]), ..Ipam::default() }),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(network).await.unwrap();
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        entrypoint: Some(GAME.map(str::to_owned).to_vec()),
        open_stdin: Some(true),
        host_config: Some(models::HostConfig {
            network_mode: Some(name.clone()),
            init: Some(true),
            ..models::HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let id = docker.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
    let options =
        AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
    let attached = docker.attach_container(&id, Some(options)).await.unwrap();
    docker.start_container(&id, None).await.unwrap();
    let wall = begun.elapsed();
    let calls = stopwatch.take();
    if let Some(costs) = costs {
        costs.note(wall, &calls);
    }
    drop(attached);
    let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
    docker.remove_container(&id, Some(options)).await.unwrap();
    docker.remove_network(&name).await.unwrap();
}
