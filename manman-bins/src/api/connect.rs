//! To the API at a Unix socket, from this machine.

use std::{io, path::Path};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Error};

use super::v1::man_man_api_client::ManManApiClient;

/// A client of the API at `socket`; no token is needed where the user is the owner.
///
/// # Errors
/// If nobody listens there, or we may not.
pub async fn connect(socket: &Path) -> Result<ManManApiClient<Channel>, Error> {
    let socket = socket.to_owned();
    let connect = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
    });
    // The name is never looked up.
    let channel = Endpoint::from_static("http://manman.local").connect_with_connector(connect).await?;
    Ok(ManManApiClient::new(channel))
}
