//! How consoles behave.

use serde::Deserialize;

use crate::{host::spool::SpoolConfig, model::Invalid};

/// How consoles are kept and shown. The defaults suit a machine with some tens of games.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ConsoleConfig {
    /// What is kept on the disk.
    pub spool: SpoolConfig,
    /// The most bytes of one session that wait for a disk which stalls or is full. Beyond
    /// them the oldest are given up, with a gap on record. Default 4 MiB.
    pub unkept_bytes: usize,
    /// The most bytes of a session's newest output that are held for its viewers, while
    /// it has any. Who falls further behind reads from the spool. Default 1 MiB.
    pub recent_bytes: usize,
    /// How many pieces a viewer may fall behind before it is moved forward, with a mark
    /// that says by how many. Default 1,000,000.
    pub lag_pieces: u64,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self {
            spool: SpoolConfig::default(),
            unkept_bytes: 4 << 20,
            recent_bytes: 1 << 20,
            lag_pieces: 1_000_000,
        }
    }
}

impl ConsoleConfig {
    /// Refuses what could not be kept to.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.spool.validate().map_err(|invalid| invalid.within("spool"))
    }
}
