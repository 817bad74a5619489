//! The control plane's decisions: thin ones, over the store's whole deeds.
//!
//! [`Control`] is what an API serves and what a program that embeds a control plane calls.
//! [`ControlUplink`] is what its hosts ask. [`RemoteConsoles`] shows what their games
//! print. [`events`] is what happens, as a stream. What
//! moves by itself (reports, messages that leave, time that passes) is the
//! [`processor`](crate::processor)'s.

pub(crate) mod blobs;
mod config;
mod consoles;
mod deployments;
mod events;
mod find;
mod games;
mod inputs;
mod letters;
mod replies;
mod servers;
mod sessions;
mod tokens;
mod uplink;

use std::{fmt, sync::Arc};

pub use config::ControlConfig;
pub use consoles::RemoteConsoles;
pub use deployments::DeployRequest;
pub use events::{Happening, events};
pub use inputs::Receipt;
pub use uplink::ControlUplink;

use self::replies::Replies;
use crate::{
    broker::Broker,
    model::Invalid,
    store::{DeedError, Page, Store},
};

/// What can be asked of the control plane. Clones are the same one.
///
/// Names are noun first, as the store's: `session_start`, `deployment_create`. All of it
/// is stateless but for the receipts it waits for: any number may serve one store.
#[derive(Clone)]
pub struct Control {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    config: Arc<ControlConfig>,
    replies: Arc<Replies>,
}

impl Control {
    /// Decides over `store`; receipts of one-shot commands come back through `broker`.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig) -> Self {
        let replies = Arc::new(Replies::new(broker.clone(), config.clone()));
        Self { store, broker, config: Arc::new(config), replies }
    }

    /// The most entries of one list.
    pub const PAGE_MOST: usize = 200;
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What was found, or the refusal that there is none.
fn found<T>(noun: &'static str, id: impl fmt::Display, it: Option<T>) -> Result<T, DeedError> {
    it.ok_or_else(|| DeedError::NotFound { noun, id: id.to_string() })
}

fn check_page<Id>(page: &Page<Id>) -> Result<(), DeedError> {
    if (1..=Control::PAGE_MOST).contains(&page.limit) {
        return Ok(());
    }
    let problem = format!("{} is not within 1 to {}", page.limit, Control::PAGE_MOST);
    Err(Invalid::new("page_size", problem).into())
}
