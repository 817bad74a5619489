//! A look at an engine and at what manman has there, by whoever it was made; changes
//! nothing.

use std::{collections::HashMap, path::Path, time::Duration};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder,
};
use manman_core::{error::Result, runtime::EngineInfo};

use crate::{
    client::{Client, within},
    config::DockerConfig,
    labels, map,
    translate::translate,
};

const OPERATION: &str = "examine the engine";

/// The images of the demo game.
const DEMO: &str = "manman-demo";

/// What an engine says of itself, and what manman has there.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Examination {
    /// The engine, with what an operator should know of it.
    pub engine: EngineInfo,
    /// The newest API that it speaks.
    pub api: String,
    /// The log driver of containers that ask for none.
    pub log_driver: String,
    /// The version of control groups, `1` or `2`.
    pub cgroup_version: String,
    /// Containers of any installation.
    pub containers: Vec<Thing>,
    /// Networks of any installation.
    pub networks: Vec<Thing>,
    /// Volumes of any installation. manman makes none; an operator may have labelled one.
    pub volumes: Vec<Thing>,
    /// Images of the demo game with their sizes in bytes.
    pub demo_images: Vec<(String, u64)>,
}

/// Something that carries manman's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thing {
    /// Its name.
    pub name: String,
    /// The installation that it belongs to, as its label says.
    pub cluster: String,
    /// Of a container: whether it is alive.
    pub alive: bool,
}

/// Looks at the engine at `socket`; each call may take `limit`.
///
/// # Errors
/// `Unavailable` if nobody answers there, `Denied` if we may not ask, `Timeout`.
pub async fn examine(socket: &Path, limit: Duration) -> Result<Examination> {
    let config = DockerConfig { socket: socket.to_owned(), ..DockerConfig::default() };
    let client = Client::new(&config)?;
    within(OPERATION, limit, look(&client)).await
}

async fn look(client: &Client) -> Result<Examination> {
    let docker = client.docker(OPERATION).await?;
    let marked = HashMap::from([("label".to_owned(), vec![labels::CLUSTER.to_owned()])]);
    let demo = HashMap::from([("reference".to_owned(), vec![DEMO.to_owned()])]);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&marked).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&marked).build();
    let volumes = ListVolumesOptionsBuilder::new().filters(&marked).build();
    let images = ListImagesOptionsBuilder::new().filters(&demo).build();
    let (info, version, containers, networks, volumes, images) = tokio::try_join!(
        docker.info(),
        docker.version(),
        docker.list_containers(Some(containers)),
        docker.list_networks(Some(networks)),
        docker.list_volumes(Some(volumes)),
        docker.list_images(Some(images)),
    )
    .map_err(|error| translate(OPERATION, error))?;
    let api = version.api_version.unwrap_or_default();
    let tags = images.into_iter().flat_map(|image| {
        let size = u64::try_from(image.size).unwrap_or_default();
        image.repo_tags.into_iter().map(move |tag| (tag, size))
    });
    Ok(Examination {
        engine: map::engine(&info, Some(&api), String::new()),
        api,
        log_driver: info.logging_driver.unwrap_or_default(),
        cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
        containers: containers
            .into_iter()
            .map(|container| {
                let alive = map::state_of_summary(&container).is_alive();
                let name = map::name(container.names.unwrap_or_default().first().map(String::as_str));
                thing(name, container.labels.as_ref(), alive)
            })
            .collect(),
        networks: networks
            .into_iter()
            .map(|network| thing(network.name.unwrap_or_default(), network.labels.as_ref(), false))
            .collect(),
        volumes: volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| thing(volume.name, Some(&volume.labels), false))
            .collect(),
        demo_images: tags.collect(),
    })
}

fn thing(name: String, labels: Option<&HashMap<String, String>>, alive: bool) -> Thing {
    let cluster = labels.and_then(|labels| labels.get(labels::CLUSTER)).cloned().unwrap_or_default();
    Thing { name, cluster, alive }
}
