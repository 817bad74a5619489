//! Consoles of this machine and of others.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use manman_core::{
    error::{ErrorKind, Result},
    id::SessionId,
    viewing::{Begin, Shown, Viewing},
};

/// Shows what is near, and asks others for what is not: games of this machine are seen
/// also while the broker is away.
#[derive(Clone, Debug)]
pub struct NearOrFar {
    /// Of this machine.
    pub near: Arc<dyn Viewing>,
    /// Of all machines.
    pub far: Arc<dyn Viewing>,
}

#[async_trait]
impl Viewing for NearOrFar {
    async fn view(
        &self,
        session: SessionId,
        begin: Begin,
        follow: bool,
    ) -> Result<BoxStream<'static, Shown>> {
        match self.near.view(session, begin, follow).await {
            Err(error) if error.kind() == ErrorKind::NotFound => self.far.view(session, begin, follow).await,
            shown => shown,
        }
    }
}
