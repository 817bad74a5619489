//! Consoles of games on other machines, asked of their hosts through the broker.
//!
//! A viewer asks its host for a page, shows it, and asks for the next one when it is
//! taken: nothing is sent that nobody looks at, and one that is slow costs one page. The
//! messages between may be lost, doubled or late. All that is shown has its number, and
//! who hears nothing asks again from the number on which it stands.

mod asker;
mod ears;
mod view;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::time::timeout;

use self::{ears::Ears, view::View};
use super::ControlConfig;
use crate::{
    broker::Broker,
    error::{Error, ErrorKind, Result},
    id::{ServerId, SessionId},
    model::Server,
    store::Store,
    viewing::{Begin, Shown, Viewing},
};

/// What [`RemoteConsoles`] call what they do.
const OPERATION: &str = "view a console";

/// Shows the consoles of all hosts to the viewers of one replica. Clones are the same.
///
/// Follows as a host itself would, exactly, through lost messages, a broker that is away
/// and a host that is started again: a viewer who follows waits. One who does not follow is
/// told after ten seconds that the host does not answer: by `Unavailable`, or, in the
/// middle of a console, by [`Shown::Lagged`] for all that is left.
#[derive(Clone)]
pub struct RemoteConsoles(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    ears: Ears,
}

impl RemoteConsoles {
    /// Finds the hosts of sessions in `store`, and asks them through `broker`. Listens for
    /// answers from the first viewer on, until dropped.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig) -> Self {
        let ears = Ears::new(broker.clone(), config.clone());
        Self(Arc::new(Inner { store, broker, config, ears }))
    }

    /// How many messages came that were no answers: not to be read, or not from the host
    /// that they name.
    pub fn unreadable(&self) -> u64 {
        self.0.ears.unreadable()
    }
}

impl Inner {
    /// What the store says, within its time.
    async fn look<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let within: Duration = self.config.store_timeout();
        timeout(within, call).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Timeout,
                OPERATION,
                format!("the store does not answer within {within:?}"),
            ))
        })
    }

    /// That a host does not answer, for people.
    async fn silent(&self, id: ServerId) -> String {
        match self.look(self.store.server_get(id)).await {
            Ok(Some(Server { name, status, last_seen: Some(seen), .. })) => {
                format!("server {name} does not answer; it is {status} and was last heard at {seen}")
            }
            Ok(Some(Server { name, .. })) => format!("server {name} does not answer; it was never heard"),
            Ok(None) | Err(_) => format!("server {id} does not answer"),
        }
    }
}

impl fmt::Debug for RemoteConsoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteConsoles")
            .field("store", &self.0.store)
            .field("broker", &self.0.broker)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Viewing for RemoteConsoles {
    async fn view(
        &self,
        session: SessionId,
        begin: Begin,
        follow: bool,
    ) -> Result<BoxStream<'static, Shown>> {
        let found = self.0.look(self.0.store.session_get(session)).await?;
        let Some(found) = found else {
            return Err(Error::new(ErrorKind::NotFound, OPERATION, format!("there is no session {session}")));
        };
        let mut view = View::new(self.0.clone(), session, found.server, begin, follow);
        view.begin().await?;
        Ok(view.shown())
    }
}
