//! Writing down, by a disk that may refuse or hang.

use std::time::Duration;

use tokio::time::timeout;

use super::host::Host;
use crate::{
    error::{Error, ErrorKind, Result},
    host::journal::{PATIENCE, Written},
};

impl Host {
    /// Waits until something is written down, but not for a disk that hangs: for one that has
    /// not answered for long, not at all.
    ///
    /// # Errors
    /// It is not on the disk. After a `Timeout` it may get there all the same.
    pub async fn noted(&self, written: Written) -> Result<()> {
        let hangs = self.journal.silence() >= PATIENCE;
        let within = if hangs { Duration::ZERO } else { PATIENCE };
        let noted = timeout(within, written).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "write the journal", "its disk does not answer"))
        });
        self.judge_journal();
        noted
    }

    /// Says what is wrong with the journal, or that all is well.
    fn judge_journal(&self) {
        match self.journal.trouble() {
            Some(trouble) => self.condition("journal", trouble),
            None => self.well("journal"),
        }
    }

    /// Notices a disk that refuses or hangs also while nobody waits for it, and has what it
    /// refused written as soon as it takes it.
    pub fn tend_journal(&self) {
        if self.journal.is_to_be_rewritten() {
            // What becomes of it is seen the next time.
            drop(self.journal.flush());
        }
        self.judge_journal();
    }
}
