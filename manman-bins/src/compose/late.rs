//! Consoles, before there is a host manager that has them.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::stream::BoxStream;

use manman_core::{
    error::{Error, ErrorKind, Result},
    id::SessionId,
    viewing::{Begin, Shown, Viewing},
};

/// Shows consoles as soon as somebody has them: the API serves from the first moment on,
/// the host manager may have to wait for its engine.
#[derive(Clone, Debug, Default)]
pub struct LateViewing(Arc<OnceLock<Arc<dyn Viewing>>>);

impl LateViewing {
    /// Shows them from now on; the first one stays.
    pub fn set(&self, viewing: Arc<dyn Viewing>) {
        let _ = self.0.set(viewing);
    }
}

#[async_trait]
impl Viewing for LateViewing {
    async fn view(
        &self,
        session: SessionId,
        begin: Begin,
        follow: bool,
    ) -> Result<BoxStream<'static, Shown>> {
        match self.0.get() {
            Some(viewing) => viewing.view(session, begin, follow).await,
            None => {
                let message = "the host manager has not come up yet";
                Err(Error::new(ErrorKind::Unavailable, "view", message))
            }
        }
    }
}
