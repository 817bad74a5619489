//! A host manager inside a program of yours: runs one game with Docker and tells what
//! happens to it. Ctrl-C stops the game. `cargo run -p manman-examples --bin embed_host IMAGE`
#![expect(clippy::print_stdout, reason = "an example shows what it sees")]

use std::{env, sync::Arc};

use anyhow::Context as _;
use futures::StreamExt as _;
use manman_core::host::{HostConfig, HostEvent, Manager};
use manman_core::memory::{MemoryBroker, MemoryUplink};
use manman_core::{id::ServerId, id::SgcId, model::ConfigBody, model::StopMode, runtime::Owner};
use manman_core::{model::EnvironmentName, wire::SessionReport};
use manman_docker::{DockerConfig, DockerRuntime};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let image = env::args().nth(1).context("say which image to run")?;
    let cluster = "6f1f7c5e-3c43-4d0a-9a3b-2b6a1d1f0e57".parse()?; // yours, once and for all: `uuidgen`
    let owner = Owner { cluster, server: ServerId(1), environment: EnvironmentName::default() };
    let broker = Arc::new(MemoryBroker::new());
    let uplink = MemoryUplink::new(owner.clone(), broker.clone());
    let docker = DockerRuntime::new(owner, DockerConfig::new(env::temp_dir().join("embed-host")))?;
    let manager = Manager::builder(Arc::new(docker), broker, Arc::new(uplink.clone()));
    let manager = manager.build(HostConfig::default())?;
    let (mut events, shutdown) = (manager.events(), CancellationToken::new());
    let running = tokio::spawn(manager.run(shutdown.clone()));
    let session = uplink.run(SgcId(1), ConfigBody::new(image.parse()?), vec![]).await?;
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                println!("{event:?}");
                if matches!(event, HostEvent::Session(SessionReport::Ended { .. })) { break }
            }
            _ = tokio::signal::ctrl_c() => uplink.stop(session, StopMode::Graceful).await?,
        }
    }
    shutdown.cancel();
    Ok(running.await??)
}
