//! Machines: looked at, and given up.

use super::{Control, check_page, found};
use crate::{
    id::{ServerId, SessionId},
    model::{Server, deployment::ServerPort},
    store::{DeedError, Page, Write},
};

impl Control {
    /// One server.
    pub async fn server_get(&self, id: ServerId) -> Result<Server, DeedError> {
        found("server", id, self.store.server_get(id).await?)
    }

    /// Servers by id.
    pub async fn server_list(&self, page: Page<ServerId>) -> Result<Vec<Server>, DeedError> {
        check_page(&page)?;
        Ok(self.store.server_list(page).await?)
    }

    /// The ports held on a server, by number.
    pub async fn server_ports(&self, id: ServerId) -> Result<Vec<ServerPort>, DeedError> {
        self.server_get(id).await?;
        Ok(self.store.server_ports(id).await?)
    }

    /// Ends all live sessions of a machine that will not come back, and says which.
    ///
    /// # Errors
    /// [`DeedError::ServerOnline`] if it is heard.
    pub async fn server_abandon(&self, id: ServerId, write: &Write) -> Result<Vec<SessionId>, DeedError> {
        self.store.server_abandon(id, write).await
    }
}
