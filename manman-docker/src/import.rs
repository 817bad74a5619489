//! Images made on the spot, from a root file system: no registry is asked.

use bollard::{body_full, query_parameters::CreateImageOptionsBuilder};
use bytes::Bytes;
use futures::TryStreamExt as _;
use manman_core::{error::Result, model::ImageRef};

use crate::{
    client::{Client, within},
    config::DockerConfig,
    translate::{is_absent, translate},
};

/// An import writes a whole file system: it may take so many times as long as other calls.
const TIMES: u32 = 12;

/// Makes `image` from a tar archive of its root file system, unless an image of that name is
/// here. It has no entrypoint, no command and no user: configs say them.
///
/// `root` is called only if the image is not here.
///
/// # Errors
/// What the engine says; `Timeout` if it does not answer within the call timeout of `config`,
/// or has not taken the archive in after twelve times that; `root`'s own error.
pub async fn import_image<E: From<manman_core::error::Error>>(
    config: &DockerConfig,
    image: &ImageRef,
    root: impl AsyncFnOnce() -> Result<Bytes, E>,
) -> Result<(), E> {
    let operation = "import image";
    let client = Client::new(config)?;
    let look = async {
        match client.docker(operation).await?.inspect_image(image.as_str()).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(translate(operation, error)),
        }
    };
    if client.within(operation, look).await? {
        return Ok(());
    }
    let (repository, tag) = image.as_str().rsplit_once(':').unwrap_or((image.as_str(), "latest"));
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
    let body = body_full(root().await?);
    let import = async {
        let steps = client.docker(operation).await?.create_image(Some(options), Some(body), None);
        let imported = steps.try_for_each(|_| std::future::ready(Ok(())));
        imported.await.map_err(|error| translate(operation, error))
    };
    Ok(within(operation, config.call_timeout().saturating_mul(TIMES), import).await?)
}
