//! Plain processes keep to the contract of the runtime.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::{
    any::Any,
    fs,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use manman_core::{
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    model::{ImageRef, Port},
    runtime::{Owner, Runtime},
    testkit::runtime::{Game, Program, RuntimeFixture},
};
use support::{Ground, SLEEPER, game, script, spec, started};

struct ProcessFixture {
    ground: Ground,
    planted: Mutex<Vec<(Arc<dyn Runtime>, AttemptId)>>,
}

async fn fresh() -> ProcessFixture {
    ProcessFixture { ground: Ground::new(), planted: Mutex::default() }
}

const UNREADABLE: &str = "{\"version\":1,\"session\":\"seven\"}";

#[async_trait]
impl RuntimeFixture for ProcessFixture {
    async fn runtime(&self) -> Arc<dyn Runtime> {
        self.ground.runtime()
    }

    fn program(&self, wanted: &Game) -> Program {
        game(wanted)
    }

    fn missing_command(&self) -> Program {
        Program { entrypoint: vec!["/no/such/game".into()], ..script("") }
    }

    fn missing_image(&self) -> ImageRef {
        "nobody/has:1".parse().unwrap()
    }

    async fn hold_port(&self) -> (Port, Box<dyn Any + Send>) {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = i64::from(listener.local_addr().unwrap().port());
        (port.try_into().unwrap(), Box::new(listener))
    }

    async fn plant_foreign(&self) -> Vec<String> {
        let owner = &self.ground.owner;
        let other_cluster = Owner { cluster: ClusterId::random(), ..owner.clone() };
        let other_server = Owner { server: ServerId(2), ..owner.clone() };
        let mut names = Vec::new();
        for (owner, session) in [(other_cluster, 2), (other_server, 3)] {
            names.push(format!("run-{}-{}-{session}-1", owner.cluster.short(), owner.server));
            let environment = format!("test{session}").parse().unwrap();
            let runtime = self.ground.runtime_of(Owner { environment, ..owner });
            let spec = spec(session, 1, script(SLEEPER));
            started(&runtime, &spec).await;
            self.planted.lock().unwrap().push((runtime, spec.run));
        }
        let unreadable = self.ground.run(AttemptId::new(SessionId(4), 1));
        fs::create_dir(&unreadable).unwrap();
        fs::write(unreadable.join("plan.json"), UNREADABLE).unwrap();
        names.push(unreadable.file_name().unwrap().to_string_lossy().into_owned());
        names
    }

    async fn foreign_is_untouched(&self) -> bool {
        let planted = self.planted.lock().unwrap().clone();
        for (runtime, run) in planted {
            if !runtime.inspect(run).await.unwrap().is_some_and(|found| found.state.is_alive()) {
                return false;
            }
        }
        let unreadable = self.ground.run(AttemptId::new(SessionId(4), 1)).join("plan.json");
        fs::read_to_string(unreadable).unwrap() == UNREADABLE
    }

    async fn plant_directory(&self, sgc: SgcId) {
        let other = Owner { cluster: ClusterId::random(), ..self.ground.owner.clone() };
        let mut spec = spec(1, 1, script(""));
        spec.sgc = sgc;
        self.ground.runtime_of(other).prepare(&spec, None).await.unwrap();
    }

    async fn finish(&self) {
        let planted = self.planted.lock().unwrap().split_off(0);
        let left = planted.len() + usize::from(!planted.is_empty());
        assert_eq!(self.ground.left().len(), left, "nothing is left behind: {:?}", self.ground.left());
    }
}

manman_core::runtime_conformance!(fresh);
