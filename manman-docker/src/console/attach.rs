//! Opening the stream of a container's console.

use std::os::unix::net::UnixStream as Socket;

use bytes::Bytes;
use manman_core::{
    clock::{Clock, Timestamp},
    error::{Error, ErrorKind, Result},
};

use crate::engine::Engine;

const OPERATION: &str = "console";

/// With a TTY the engine looks for these in what is typed, and detaches. Nothing we are
/// asked to write shall do that, so it is told a sequence that nobody types.
const DETACH_KEYS: &str = "ctrl-%5E,ctrl-_,ctrl-%5E,ctrl-_,ctrl-%5E,ctrl-_,ctrl-%5E,ctrl-_";

/// An attach that has begun: the engine passes on all that is printed from here on.
#[derive(Debug)]
pub(super) struct Attached {
    pub socket: Socket,
    /// The beginning of the stream.
    pub prefix: Bytes,
    /// All that the stream shows was printed after this moment, by our clock.
    pub asked_at: Timestamp,
}

/// Attaches to all three streams. The engine answers after it has hooked the attach in
/// (`ContainerAttach` in its source, 20.10), so what is printed after this is shown.
pub(super) async fn attach(engine: &Engine, container: &str, clock: &dyn Clock) -> Result<Attached> {
    let asked_at = clock.now();
    let path =
        format!("/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys={DETACH_KEYS}");
    let (stream, prefix) = engine.upgrade(OPERATION, &path).await?;
    let socket = stream.into_std().map_err(|error| {
        Error::new(ErrorKind::Unexpected, OPERATION, "the attach cannot be handed over").because(error)
    })?;
    Ok(Attached { socket, prefix, asked_at })
}
