//! The machines of a fleet: real host managers over engines in memory.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use manman_bins::{
    api::{Token, auth, v1},
    compose::Carrier,
    uplink::GrpcUplink,
};
use manman_core::{
    host::{
        HostConfig, Manager, join,
        journal::{Journal, MemoryDisk},
    },
    memory::runtime::{Act, Engine, Image, Script},
    runtime::Owner,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    LINES_EACH, Size,
    client::{Api, caller, new_token},
    plane::Plane,
};

/// The image of a game that prints numbered lines, and of one that waits.
pub const LOUD: &str = "fleet/loud:1";
pub const QUIET: &str = "fleet/quiet:1";

/// How many hosts come up at once.
const AT_ONCE: usize = 16;

/// One machine. Its games end with it.
pub struct Host {
    pub server: i64,
    pub engine: Engine,
    _manager: AbortOnDropHandle<manman_core::error::Result<()>>,
}

/// How many pairs of lines a loud game prints.
pub fn pairs(size: Size) -> u32 {
    (size.lasts.as_secs() as u32) * LINES_EACH / 2
}

/// The time between two pairs.
pub fn pause() -> std::time::Duration {
    std::time::Duration::from_secs(2) / LINES_EACH
}

/// All hosts, registered.
pub async fn up(plane: &Plane, size: Size) -> Vec<Host> {
    let api = caller(plane.api(), &plane.admin);
    let hosts = stream::iter(0..size.hosts).map(|number| one(plane, size, api.clone(), number));
    hosts.buffered(AT_ONCE).collect().await
}

async fn one(plane: &Plane, size: Size, mut api: Api, number: usize) -> Host {
    let name = format!("host-{number}");
    let join_token = new_token(&mut api, v1::TokenRole::Join, &format!("join-{number}"), Some(&name)).await;
    let own = Token::random().unwrap();
    let uplink = |token: &Token| GrpcUplink::new(plane.api().parse().unwrap(), None, token.reveal()).unwrap();
    let digest = auth::digest(own.reveal().as_bytes());
    uplink(&join_token).join(&name.parse().unwrap(), &digest).await.unwrap();

    let engine = Engine::new(number as u64);
    let count = Act::Count { lines: pairs(size), pause: pause(), same: false };
    engine.image(&LOUD.parse().unwrap(), Image::of(Script::of([count])));
    engine.image(&QUIET.parse().unwrap(), Image::of(Script::default()));

    let mut config = HostConfig::default();
    config.name = name.parse().unwrap();
    config.environment = "fleet".parse().unwrap();
    config.machine_id = format!("machine-{number}");
    let (uplink, journal) = (Arc::new(uplink(&own)), Journal::open(MemoryDisk::new()).unwrap());
    let shutdown = CancellationToken::new();
    let identity = join(&*uplink, &journal, &config, &shutdown).await.unwrap();
    let owner =
        Owner { cluster: identity.cluster, server: identity.server, environment: config.environment.clone() };
    let broker = Carrier::open(&plane.broker()).await.unwrap().broker();
    let manager = Manager::builder(Arc::new(engine.runtime(owner)), broker, uplink).journal(journal);
    let manager = manager.build(config).unwrap();
    let manager = AbortOnDropHandle::new(tokio::spawn(manager.run(shutdown)));
    Host { server: identity.server.0, engine, _manager: manager }
}
