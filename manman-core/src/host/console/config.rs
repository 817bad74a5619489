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
    /// them the oldest are given up, with a gap on record. Default 4 MiB, 64 KiB to 1 GiB.
    pub unkept_bytes: usize,
    /// The most bytes of a session's newest output that are held for its viewers, while
    /// it has any. Who falls further behind reads from the spool. Default 1 MiB, 64 KiB to 1 GiB.
    pub recent_bytes: usize,
    /// How many pieces a viewer may fall behind before it is moved forward, with a mark
    /// that says by how many. Default 1,000,000, at least 1.
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
        for (field, bytes) in [("unkept_bytes", self.unkept_bytes), ("recent_bytes", self.recent_bytes)] {
            if !(64 << 10..=1 << 30).contains(&bytes) {
                return Err(Invalid::new(field, format!("{bytes} is not within 64 KiB to 1 GiB")));
            }
        }
        if self.lag_pieces == 0 {
            return Err(Invalid::new("lag_pieces", "0 would move every viewer forward, 1 is the least"));
        }
        self.spool.validate().map_err(|invalid| invalid.within("spool"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_kept_to_is_refused_with_its_field() {
        type Spoil = fn(&mut ConsoleConfig);
        let spoils: [(&str, Spoil); 6] = [
            ("unkept_bytes", |config| config.unkept_bytes = 0),
            ("recent_bytes", |config| config.recent_bytes = usize::MAX),
            ("lag_pieces", |config| config.lag_pieces = 0),
            ("spool.session_bytes", |config| config.spool.session_bytes = 1),
            ("spool.keep_days", |config| config.spool.keep_days = 0),
            ("spool.keep_bytes", |config| config.spool.keep_bytes = 0),
        ];
        assert_eq!(ConsoleConfig::default().validate(), Ok(()));
        for (field, spoil) in spoils {
            let mut config = ConsoleConfig::default();
            spoil(&mut config);
            assert_eq!(config.validate().unwrap_err().field, field);
        }
    }
}
