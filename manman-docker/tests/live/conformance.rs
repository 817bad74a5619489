//! The runtime contract.

use std::{any::Any, net::TcpListener, sync::Arc};

use async_trait::async_trait;
use bollard::{models::ContainerCreateBody, query_parameters::CreateContainerOptionsBuilder};
use manman_core::{
    id::{ClusterId, SgcId},
    model::{ImageRef, Port},
    runtime::Runtime,
    testkit::runtime::{Game, Program, RuntimeFixture},
};
use tokio::sync::Mutex;

use crate::support::{BUSYBOX, Ground, SLEEPER, shared, shell};

struct DockerFixture {
    ground: Ground,
    planted: Mutex<Vec<String>>,
}

async fn fresh() -> DockerFixture {
    DockerFixture { ground: Ground::new().await, planted: Mutex::default() }
}

fn program(script: &str) -> Program {
    let spec = shell(1, 1, script);
    Program { image: spec.image, entrypoint: spec.entrypoint, command: spec.command }
}

#[async_trait]
impl RuntimeFixture for DockerFixture {
    async fn runtime(&self) -> Arc<dyn Runtime> {
        shared(self.ground.runtime())
    }

    fn program(&self, game: &Game) -> Program {
        program(&match game {
            Game::Sleeper => SLEEPER.to_owned(),
            Game::Stubborn => "trap '' TERM; echo ready; while :; do sleep 3600; done".to_owned(),
            Game::Echo => "trap 'exit 0' TERM; echo ready
                while read -r word rest; do
                    case $word in
                        err) echo \"$rest\" >&2 ;;
                        exit) exit \"$rest\" ;;
                        *) echo \"$word${rest:+ $rest}\" ;;
                    esac
                done
                while :; do sleep 3600 & wait $!; done"
                .to_owned(),
            Game::Counter { lines, pause, same, exit } => {
                let pause =
                    if pause.is_zero() { String::new() } else { format!("usleep {}", pause.as_micros()) };
                let (out, err) = if *same { ("tick", "tick") } else { ("out $i", "err $i") };
                format!(
                    "i=1; while [ $i -le {lines} ]; do echo {out}; echo {err} >&2; i=$((i+1)); {pause}
                    done; exit {exit}"
                )
            }
            Game::Long { bytes } => format!(
                "trap 'exit 0' TERM; echo ready; head -c {bytes} /dev/zero | tr '\\0' x; echo; printf '> '
                while :; do sleep 3600 & wait $!; done"
            ),
        })
    }

    fn missing_command(&self) -> Program {
        Program { entrypoint: vec!["/no/such/game".into()], ..program("") }
    }

    fn missing_image(&self) -> ImageRef {
        "127.0.0.1:1/nobody/has:1".parse().unwrap()
    }

    async fn hold_port(&self) -> (Port, Box<dyn Any + Send>) {
        let port = manman_services::free_port();
        let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
        (i64::from(port).try_into().unwrap(), Box::new(listener))
    }

    async fn plant_foreign(&self) -> Vec<String> {
        let owner = &self.ground.owner;
        let labels = [
            (ClusterId::random().to_string(), "1", "2"),
            (owner.cluster.to_string(), "2", "3"),
            (owner.cluster.to_string(), "1", "seven"),
        ];
        let mut planted = self.planted.lock().await;
        for (index, (cluster, server, session)) in labels.into_iter().enumerate() {
            let name = format!("manman-foreign-{index}-{}", owner.cluster.short());
            let labels = [
                ("manman.type", "game"),
                ("manman.cluster", cluster.as_str()),
                ("manman.environment", "test"),
                ("manman.server_id", server),
                ("manman.sgc_id", "9"),
                ("manman.session_id", session),
                ("manman.attempt", "1"),
                ("manman.spec", "00"),
            ];
            let body = ContainerCreateBody {
                image: Some(BUSYBOX.to_owned()),
                cmd: Some(vec!["/bin/sh".into(), "-c".into(), SLEEPER.into()]),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                ..Default::default()
            };
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            self.ground.docker.create_container(Some(options), body).await.unwrap();
            self.ground.docker.start_container(&name, None).await.unwrap();
            planted.push(name);
        }
        planted.clone()
    }

    async fn foreign_is_untouched(&self) -> bool {
        for name in self.planted.lock().await.iter() {
            let Ok(container) = self.ground.docker.inspect_container(name, None).await else { return false };
            if container.state.and_then(|state| state.running) != Some(true) {
                return false;
            }
        }
        true
    }

    async fn plant_directory(&self, sgc: SgcId) {
        let mut owner = self.ground.owner.clone();
        owner.cluster = ClusterId::random();
        let stranger = manman_docker::DockerRuntime::new(owner, self.ground.config.clone()).unwrap();
        stranger.prepare(&shell(sgc.0, 1, ""), None).await.unwrap();
    }

    async fn finish(&self) {
        self.remove_planted().await;
        assert_eq!(self.ground.left().await, (0, 0), "nothing is left behind");
    }
}

impl DockerFixture {
    async fn remove_planted(&self) {
        use bollard::query_parameters::RemoveContainerOptionsBuilder;
        for name in self.planted.lock().await.drain(..) {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            self.ground.docker.remove_container(&name, Some(options)).await.unwrap();
        }
    }
}

impl Drop for DockerFixture {
    fn drop(&mut self) {
        // Those of our own cluster go with the broom; the one of another cluster here.
        let planted = std::mem::take(self.planted.get_mut());
        for name in planted {
            let _ = std::process::Command::new("docker").args(["rm", "-f", "-v", &name]).output();
        }
    }
}

manman_core::runtime_conformance!(fresh);
