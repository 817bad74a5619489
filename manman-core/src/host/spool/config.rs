//! How much is kept.

use serde::Deserialize;

use crate::model::Invalid;

/// How much the spool keeps. The defaults suit a machine with some tens of games.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpoolConfig {
    /// The most bytes kept of one session; beyond them the oldest segments go. Default
    /// 256 MiB, at least 64 KiB.
    pub session_bytes: u64,
    /// For how many days the console of a session can be seen after its end. Default 14, 1 to
    /// 3650.
    pub keep_days: u32,
    /// The most bytes kept of all sessions that have ended; beyond them the one that
    /// ended first goes. Default 4 GiB, at least 1 MiB.
    pub keep_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { session_bytes: 256 << 20, keep_days: 14, keep_bytes: 4 << 30 }
    }
}

impl SpoolConfig {
    /// The size at which a segment is followed by the next: a 64th of what is kept of a
    /// session, so that little goes at once, within 16 KiB and 4 MiB.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.session_bytes / 64).clamp(16 << 10, 4 << 20)
    }

    /// Refuses what could not be kept to.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.session_bytes < 64 << 10 {
            return Err(Invalid::new("session_bytes", format!("{} is less than 64 KiB", self.session_bytes)));
        }
        if !(1..=3_650).contains(&self.keep_days) {
            return Err(Invalid::new("keep_days", format!("{} is not within 1 to 3650", self.keep_days)));
        }
        if self.keep_bytes < 1 << 20 {
            return Err(Invalid::new("keep_bytes", format!("{} is less than 1 MiB", self.keep_bytes)));
        }
        Ok(())
    }
}
