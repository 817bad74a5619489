//! A host manager inside a program of yours: runs one game with Docker and tells what happens to it. Ctrl-C
//! stops it. `cargo run -p manman-examples --bin embed_host IMAGE [CLUSTER]`: yours once and for all, `uuidgen`
#![expect(clippy::print_stdout, reason = "an example shows what it sees")]

use std::{env, sync::Arc, time::Duration};

use futures::StreamExt as _;
use manman_core::host::{HostConfig, HostEvent, Manager};
use manman_core::memory::{MemoryBroker, MemoryUplink};
use manman_core::{id::ServerId, id::SgcId, model::ConfigBody, model::EnvironmentName, model::StopMode};
use manman_core::{runtime::Owner, runtime::Runtime as _, wire::SessionReport};
use manman_docker::{DockerConfig, DockerRuntime};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let image = env::args().nth(1).unwrap_or_default().parse()?;
    let cluster = env::args().nth(2).as_deref().unwrap_or("6f1f7c5e-3c43-4d0a-9a3b-2b6a1d1f0e57").parse()?;
    let owner = Owner { cluster, server: ServerId(1), environment: EnvironmentName::default() };
    let (broker, shutdown) = (Arc::new(MemoryBroker::new()), CancellationToken::new());
    let uplink = MemoryUplink::new(owner.clone(), broker.clone());
    let docker = Arc::new(DockerRuntime::new(owner, DockerConfig::new(env::temp_dir().join("embed-host")))?);
    let manager = Manager::builder(docker.clone(), broker, Arc::new(uplink.clone()));
    let manager = manager.build(HostConfig::default())?;
    let (mut events, mut ended) = (manager.events(), false);
    let running = tokio::spawn(manager.run(shutdown.clone()));
    let session = uplink.run(SgcId(1), ConfigBody::new(image), vec![]).await?;
    while !ended || !docker.list().await?.networks.is_empty() {
        tokio::select! {
            Some(event) = events.next() => {
                println!("{event:?}");
                ended |= matches!(event, HostEvent::Session(SessionReport::Ended { .. }));
            }
            _ = tokio::signal::ctrl_c() => uplink.stop(session, StopMode::Graceful).await?,
            () = tokio::time::sleep(Duration::from_millis(500)) => {} // Docker is still tidying up
        }
    }
    shutdown.cancel();
    Ok(running.await??)
}
