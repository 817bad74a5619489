//! The migrations that a build knows.

use manman_core::hex::Hex;
use sha2::{Digest, Sha256};

/// One change of the schema, and the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its version, from 1 up.
    pub version: i64,
    /// Its name.
    pub name: &'static str,
    /// The SQL that makes it.
    pub up: &'static str,
    /// The SQL that undoes it.
    pub down: &'static str,
}

impl Migration {
    /// Tells this form of it from any other: SHA-256 of what makes it, in hex.
    pub fn checksum(&self) -> String {
        Hex(&Sha256::digest(self.up.as_bytes())).to_string()
    }
}

/// The migrations of one dialect, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set(Vec<Migration>);

macro_rules! embedded {
    ($dir:literal: $($version:literal $name:literal,)*) => {
        Set(vec![$(Migration {
            version: $version,
            name: $name,
            up: include_str!(concat!("../../migrations/", $dir, "/", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/", $dir, "/", $name, ".down.sql")),
        },)*])
    };
}

impl Set {
    /// Those of manman's store on SQLite.
    pub fn sqlite() -> Self {
        embedded! { "sqlite":
            1 "0001_initial",
            2 "0002_server_health",
            3 "0003_session_attempts",
            4 "0004_tokens",
        }
    }

    /// Those of manman's store on PostgreSQL.
    pub fn postgres() -> Self {
        embedded! { "postgres":
            1 "0001_initial",
            2 "0002_server_health",
            3 "0003_session_attempts",
            4 "0004_tokens",
        }
    }

    /// A set of one's own; sorted by version, each version once (the first one given), and
    /// without those below 1.
    pub fn new(migrations: impl IntoIterator<Item = Migration>) -> Self {
        let mut all: Vec<Migration> = migrations.into_iter().filter(|it| it.version >= 1).collect();
        all.sort_by_key(|it| it.version);
        all.dedup_by_key(|it| it.version);
        Self(all)
    }

    /// All of them, in order.
    pub fn all(&self) -> &[Migration] {
        &self.0
    }

    /// The one of this version.
    pub fn get(&self, version: i64) -> Option<&Migration> {
        self.0.iter().find(|it| it.version == version)
    }

    /// The latest version; 0 if there is none.
    pub fn latest(&self) -> i64 {
        self.0.last().map_or(0, |it| it.version)
    }

    /// Whether a schema can be at this version.
    pub fn has(&self, version: i64) -> bool {
        version == 0 || self.get(version).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_counts_from_one_without_holes() {
        for set in [Set::sqlite(), Set::postgres()] {
            for (index, migration) in set.all().iter().enumerate() {
                assert_eq!(migration.version, index as i64 + 1);
                assert!(migration.name.starts_with(&format!("{:04}_", migration.version)));
                assert!(!migration.up.is_empty() && !migration.down.is_empty());
            }
        }
    }

    #[test]
    fn each_dialect_has_the_same_versions() {
        let names = |set: Set| set.all().iter().map(|it| (it.version, it.name)).collect::<Vec<_>>();
        assert_eq!(names(Set::sqlite()), names(Set::postgres()));
    }
}
