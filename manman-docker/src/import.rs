//! Images made on the spot, from a root file system: no registry is asked.

use bollard::{body_full, query_parameters::CreateImageOptionsBuilder};
use bytes::Bytes;
use futures::TryStreamExt as _;
use manman_core::{error::Result, model::ImageRef};

use crate::{
    client::Client,
    config::DockerConfig,
    translate::{is_absent, translate},
};

/// Makes `image` from a tar archive of its root file system, unless an image of that name is
/// here. It has no entrypoint, no command and no user: configs say them.
///
/// `root` is called only if the image is not here.
///
/// # Errors
/// What the engine says; `root`'s own error.
pub async fn import_image<E: From<manman_core::error::Error>>(
    config: &DockerConfig,
    image: &ImageRef,
    root: impl AsyncFnOnce() -> Result<Bytes, E>,
) -> Result<(), E> {
    let operation = "import image";
    let client = Client::new(config)?;
    let docker = client.within(operation, client.docker(operation)).await?;
    match docker.inspect_image(image.as_str()).await {
        Ok(_) => return Ok(()),
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(translate(operation, error).into()),
    }
    let (repository, tag) = image.as_str().rsplit_once(':').unwrap_or((image.as_str(), "latest"));
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
    let body = body_full(root().await?);
    let imported =
        docker.create_image(Some(options), Some(body), None).try_for_each(|_| std::future::ready(Ok(())));
    imported.await.map_err(|error| translate(operation, error).into())
}
