//! What does a start cost on top of the engine's own calls?
//!
//! From an image that is here to a process that runs and is followed. A socket in between
//! notes when each call is under way: what is left of the wall time is ours. Beside it the
//! same calls made by hand, one after the other. Needs an engine (feature `live`).
//! `cargo bench -p manman-benches --features live --bench start`; with `-- --gate` it fails
//! where the gate is missed.
#![expect(clippy::print_stdout, reason = "a bench reports to whoever ran it")]
#![allow(clippy::unwrap_used, reason = "without its engine a bench has nothing to say")]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{ContainerCreateBody, HostConfig, Ipam, IpamConfig, NetworkCreateRequest},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptionsBuilder,
    },
};
use manman_benches::{
    Asked,
    stopwatch::{Call, Stopwatch, under_way},
};
use manman_core::{
    clock::{Clock, SystemClock},
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    model::{CapProfile, ConfigBody, Limits, Signal, config::EngineLog},
    runtime::{ContainerSpec, Mount, NetworkSpec, Owner, Runtime},
};
use manman_docker::{DockerConfig, DockerRuntime, testkit};

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
    let runtime = DockerRuntime::new(owner, config).unwrap();
    let path = stopwatch.socket();
    let docker = Docker::connect_with_unix(&path.to_string_lossy(), 120, API_DEFAULT_VERSION).unwrap();
    let docker = docker.negotiate_version().await.unwrap();

    let (mut ours, mut by_hand) = (Costs::default(), Costs::default());
    for round in 0..rounds {
        // The first start of all opens connections and looks around: it is not counted.
        let warm = round > 0 || !asked.whole;
        for turn in 0..2 {
            if (turn + round) % 2 == 0 {
                our_start(&runtime, &stopwatch, round, warm.then_some(&mut ours)).await;
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

async fn our_start(runtime: &DockerRuntime, stopwatch: &Stopwatch, round: usize, costs: Option<&mut Costs>) {
    let session = i64::try_from(round).unwrap() + 1;
    let spec = spec(session);
    stopwatch.take();
    let begun = Instant::now();
    runtime.pull(&spec.image, Box::new(|_| {})).await.unwrap();
    runtime.prepare(&spec, None).await.unwrap();
    runtime.create(&spec).await.unwrap();
    let console = runtime.console(spec.run, None).await.unwrap();
    runtime.start(spec.run).await.unwrap();
    let wall = begun.elapsed();
    let calls = stopwatch.take();
    if let Some(costs) = costs {
        costs.note(wall, &calls);
    }
    drop(console);
    runtime.stop(spec.run, Duration::from_secs(5)).await.unwrap();
    runtime.remove(spec.run).await.unwrap();
    runtime.remove_network(spec.run.session).await.unwrap();
}

fn spec(session: i64) -> ContainerSpec {
    ContainerSpec {
        run: AttemptId::new(SessionId(session), 1),
        sgc: SgcId(1),
        image: IMAGE.parse().unwrap(),
        entrypoint: GAME.map(str::to_owned).to_vec(),
        command: vec![],
        env: Default::default(),
        mounts: vec![Mount { source: None, target: ConfigBody::data_path_default(), read_only: false }],
        ports: vec![],
        network: NetworkSpec::Session,
        limits: Limits::default(),
        capabilities: CapProfile::Strict,
        user: None,
        tty: false,
        stop_signal: Signal::Term,
        log: EngineLog::default(),
        spec_hash: format!("{session:032x}"),
        created_at: SystemClock.now(),
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
        host_config: Some(HostConfig {
            network_mode: Some(name.clone()),
            init: Some(true),
            ..HostConfig::default()
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
