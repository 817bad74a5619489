//! The runtime in memory keeps to the contract of the runtime.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{
    any::Any,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use manman_core::{
    console::Channel,
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    memory::runtime::{Act, Engine, Image, OnSignal, Script},
    model::{EnvironmentName, ImageRef, Port, Protocol},
    runtime::{AttemptState, ContainerSpec, Owner, Runtime},
    testkit::runtime::{Game, Program, RuntimeFixture},
};

struct MemoryFixture {
    engine: Engine,
    owner: Owner,
    planted: Mutex<Vec<(Arc<dyn Runtime>, AttemptId)>>,
}

async fn fresh() -> MemoryFixture {
    let owner =
        Owner { cluster: ClusterId::random(), server: ServerId(1), environment: EnvironmentName::default() };
    MemoryFixture { engine: Engine::new(7), owner, planted: Mutex::default() }
}

impl MemoryFixture {
    fn image(&self, name: &str, image: Image) -> Program {
        let name: ImageRef = name.parse().unwrap();
        self.engine.image(&name, image);
        Program { image: name, entrypoint: Vec::new(), command: Vec::new() }
    }
}

#[async_trait]
impl RuntimeFixture for MemoryFixture {
    async fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.engine.runtime(self.owner.clone()))
    }

    fn program(&self, game: &Game) -> Program {
        let ready = Act::Print(Channel::Stdout, b"ready\n".to_vec());
        let script = match game {
            Game::Sleeper | Game::Echo => Script::of([ready]),
            Game::Stubborn => Script::of([ready]).on_signal(OnSignal::Ignore),
            &Game::Counter { lines, pause, same, exit } => {
                Script::of([Act::Count { lines, pause, same }, Act::Exit(exit)])
            }
            Game::Long { bytes } => {
                let line = format!("{}\n> ", "x".repeat(*bytes as usize));
                Script::of([ready, Act::Print(Channel::Stdout, line.into_bytes())])
            }
        };
        self.image("game", Image::of(script))
    }

    fn missing_command(&self) -> Program {
        self.image("without-command", Image::without_command())
    }

    fn missing_image(&self) -> ImageRef {
        "nobody/has-it:1".parse().unwrap()
    }

    async fn hold_port(&self) -> (Port, Box<dyn Any + Send>) {
        struct Held(Engine, Port);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.free_port(self.1, Protocol::Tcp);
            }
        }
        let port = Port::try_from(25565).unwrap();
        self.engine.hold_port(port, Protocol::Tcp, "java (pid 4711)");
        (port, Box::new(Held(self.engine.clone(), port)))
    }

    async fn plant_foreign(&self) -> Vec<String> {
        let other_cluster = Owner { cluster: ClusterId::random(), ..self.owner.clone() };
        let other_server = Owner { server: ServerId(2), ..self.owner.clone() };
        let mut names = vec!["gsc-prod-x".to_owned()];
        self.engine.plant_unreadable(&names[0]);
        for (owner, session) in [(other_cluster, 2), (other_server, 3)] {
            let runtime = self.engine.runtime(owner);
            let run = AttemptId::new(SessionId(session), 1);
            let Program { image, .. } = self.program(&Game::Sleeper);
            let spec = ContainerSpec { run, sgc: SgcId(session + 10), image, ..template() };
            runtime.prepare(&spec, None).await.unwrap();
            runtime.create(&spec).await.unwrap();
            runtime.start(run).await.unwrap();
            let ours = runtime.inspect(run).await.unwrap().unwrap();
            assert!(ours.state.is_alive());
            names.extend(self.engine.names(run).pop());
            self.planted.lock().unwrap().push((Arc::new(runtime), run));
        }
        names
    }

    async fn foreign_is_untouched(&self) -> bool {
        let planted = self.planted.lock().unwrap().clone();
        for (runtime, run) in planted {
            match runtime.inspect(run).await.unwrap() {
                Some(found) if matches!(found.state, AttemptState::Running { .. }) => {}
                _ => return false,
            }
            if runtime.list().await.unwrap().networks != [run.session] {
                return false;
            }
        }
        true
    }

    async fn plant_directory(&self, sgc: SgcId) {
        self.engine.plant_directory(self.owner.environment.clone(), sgc, ClusterId::random());
    }

    async fn finish(&self) {
        assert_eq!(self.engine.violations(), Vec::<String>::new());
        let planted = self.planted.lock().unwrap().len();
        assert_eq!(self.engine.holds(), (planted, planted), "nothing is left behind");
    }
}

fn template() -> ContainerSpec {
    ContainerSpec::new(AttemptId::new(SessionId(1), 1), SgcId(1), "game".parse().unwrap())
}

manman_core::runtime_conformance!(paused fresh);

/// Every call but the streams answers within ten seconds, or fails with `Timeout`.
#[tokio::test(start_paused = true)]
async fn calls_to_a_frozen_engine_time_out() {
    let fixture = fresh().await;
    let runtime = fixture.runtime().await;
    fixture.engine.freeze();
    let began = tokio::time::Instant::now();
    let error = runtime.list().await.unwrap_err();
    assert_eq!(error.kind(), manman_core::error::ErrorKind::Timeout);
    assert!(began.elapsed() <= Duration::from_secs(10));
    fixture.engine.thaw();
    runtime.list().await.unwrap();
}
