//! Sessions: started, stopped, restarted, looked at.

use super::{Control, check_page, found};
use crate::{
    id::{SessionId, SgcId},
    model::{
        Session, StopMode, Want,
        session::{Attempt, TimelineEntry},
    },
    store::{DeedError, Page, SessionFilter, StartOutcome, WantChange, Write},
};

impl Control {
    /// Asks for a session of a deployment. A host takes it up within the configured time
    /// (60 s), or it fails as expired.
    ///
    /// # Errors
    /// [`DeedError::SessionLive`] names the session that holds the deployment's one slot.
    pub async fn session_start(&self, sgc: SgcId, write: &Write) -> Result<StartOutcome, DeedError> {
        self.store.session_start(sgc, self.config.start_valid(), write).await
    }

    /// Asks for a session's end: as its stop plan says, or at once. Asking twice, or for
    /// one that has ended, changes nothing.
    pub async fn session_stop(
        &self,
        id: SessionId,
        mode: StopMode,
        write: &Write,
    ) -> Result<Session, DeedError> {
        self.store.session_want(id, WantChange::To(Want::Stop(mode)), write).await
    }

    /// Asks for a new attempt of a live session: its game is stopped and started again.
    ///
    /// # Errors
    /// [`DeedError::SessionEnded`], [`DeedError::SessionStopping`].
    pub async fn session_restart(&self, id: SessionId, write: &Write) -> Result<Session, DeedError> {
        self.store.session_want(id, WantChange::Restart, write).await
    }

    /// One session.
    pub async fn session_get(&self, id: SessionId) -> Result<Session, DeedError> {
        found("session", id, self.store.session_get(id).await?)
    }

    /// The latest session of a deployment, if it ever had one.
    pub async fn session_latest(&self, sgc: SgcId) -> Result<Option<Session>, DeedError> {
        Ok(self.store.session_latest(sgc).await?)
    }

    /// Sessions, newest first.
    pub async fn session_list(
        &self,
        filter: SessionFilter,
        page: Page<SessionId>,
    ) -> Result<Vec<Session>, DeedError> {
        check_page(&page)?;
        Ok(self.store.session_list(filter, page).await?)
    }

    /// What is on record of a session's attempts, oldest first.
    pub async fn session_attempts(&self, id: SessionId) -> Result<Vec<Attempt>, DeedError> {
        self.session_get(id).await?;
        Ok(self.store.session_attempts(id).await?)
    }

    /// What happened to a session, oldest first.
    pub async fn session_timeline(&self, id: SessionId) -> Result<Vec<TimelineEntry>, DeedError> {
        self.session_get(id).await?;
        Ok(self.store.session_timeline(id).await?)
    }
}
