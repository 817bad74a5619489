//! Commands against a made-up manman: what they ask, wait for, repeat and print.

mod apply;
mod console;
mod life;
mod lists;

use super::{
    exit::Exit,
    fake::{Fake, Ran, Script},
};
use crate::api::v1::{self, SessionState as State};

/// The session that the made-up manman has.
pub fn session(state: State) -> v1::Session {
    static REVISION: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(1);
    v1::Session {
        session_id: 7,
        server_game_config_id: 3,
        server_id: 1,
        state: state.into(),
        attempt: 1,
        revision: REVISION.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        reason: Some(v1::Reason { code: "asked".into(), text: "asked by me".into() }),
        ..Default::default()
    }
}

/// Stands for a cut of all connections in a row of sessions.
pub fn cut() -> v1::Session {
    v1::Session::default()
}

/// The one deployment there is.
pub fn deployment() -> v1::ServerGameConfig {
    v1::ServerGameConfig {
        server_game_config_id: 3,
        name: "trains".into(),
        server_id: 1,
        game_config_id: 2,
        port_bindings: vec![v1::PortBinding {
            container_port: 3979,
            host_port: 30000,
            protocol: v1::Protocol::Udp.into(),
        }],
        status: v1::DeploymentStatus::Active.into(),
        ..Default::default()
    }
}

/// A script in which a session goes through these.
pub fn script(sessions: impl IntoIterator<Item = v1::Session>) -> Script {
    Script {
        now: session(State::Pending),
        sessions: sessions.into_iter().collect(),
        deployments: vec![deployment()],
        ..Script::default()
    }
}

/// How a command ended.
pub fn exit(ran: &Ran) -> Exit {
    ran.result.as_ref().map_or_else(super::failure::Failure::exit, |()| Exit::Ok)
}

/// The keys with which a call came.
pub fn keys(fake: &Fake, call: &str) -> Vec<String> {
    fake.script().writes.iter().filter(|(name, _)| *name == call).map(|(_, key)| key.clone()).collect()
}
