//! Migrations of the schema, up and down, and what runs them.
//!
//! They are embedded: a binary brings the schema that it needs. What was applied is on
//! record in the table `schema_migrations` with a checksum, so that a migration that was
//! changed afterwards is noticed, as is one that died half-way where a database cannot
//! undo that.

mod create;
mod database;
mod plan;
mod set;

use manman_core::error::{Error, ErrorKind};

pub use create::create;
pub use database::Database;
pub(crate) use plan::sound;
pub use plan::{Applied, Direction, Goal, Step, next_step, steps_to};
pub use set::{Migration, Set};

#[cfg(feature = "postgres")]
pub use crate::postgres::runner::Runner as PostgresRunner;
#[cfg(feature = "sqlite")]
pub use crate::sqlite::runner::Runner;

/// Where a schema is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The highest version that is applied; 0 for an empty database.
    pub number: i64,
    /// Whether a migration died half-way.
    pub dirty: bool,
}

/// One line of a schema's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The version.
    pub version: i64,
    /// The migration's name.
    pub name: String,
    /// Where it is.
    pub standing: Standing,
}

/// Where a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not applied.
    Pending,
    /// It is applied.
    Applied,
    /// It is applied, and differs from the one that this build knows.
    Changed,
    /// It died half-way.
    Dirty,
    /// It is applied, and this build does not know it.
    Unknown,
}

/// Why a schema was not migrated. The caller can act on each of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A migration died half-way.
    #[error("migration {version} died half-way; restore the database from a copy made before it")]
    Dirty {
        /// Which one.
        version: i64,
    },
    /// An applied migration is not the one that this build knows.
    #[error(
        "migration {version} was applied in another form than this build knows; use the build that applied \
         it, or restore the database from a copy that this build made"
    )]
    Changed {
        /// Which one.
        version: i64,
    },
    /// The schema is newer than this build.
    #[error(
        "the schema is at version {version}, and this build knows versions up to {known}; use the newer build, \
         or restore the database from a copy made before it"
    )]
    Newer {
        /// The schema's.
        version: i64,
        /// The latest one known.
        known: i64,
    },
    /// The schema is older than this build.
    #[error(
        "the schema is at version {version}, and this build needs {known}; `manman up` or `control-migration up` \
         brings it there"
    )]
    Older {
        /// The schema's.
        version: i64,
        /// The latest one known.
        known: i64,
    },
    /// A migration below the schema's version is not applied.
    #[error("migration {version} is not applied, though later ones are; restore the database from a copy")]
    Gap {
        /// Which one.
        version: i64,
    },
    /// There is no such version.
    #[error("there is no version {version}; this build knows 0 to {known}")]
    NoSuchVersion {
        /// Which one.
        version: i64,
        /// The latest one known.
        known: i64,
    },
    /// A migration failed; nothing of it was kept, unless the version is dirty now.
    #[error("migration {version} ({direction}) failed")]
    Failed {
        /// Which one.
        version: i64,
        /// Which way.
        direction: Direction,
        /// Why.
        #[source]
        source: Error,
    },
    /// The database could not be asked.
    #[error("the database failed")]
    Database(#[from] Error),
}

impl From<MigrateError> for Error {
    /// `Config` for what somebody has to set right, else what the database said.
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Database(error) => error,
            MigrateError::Failed { ref source, .. } => {
                let (kind, temporary) = (source.kind(), source.is_temporary());
                Self::new(kind, "migrate", "the schema could not be migrated")
                    .temporary(temporary)
                    .because(error)
            }
            error => Self::new(ErrorKind::Config, "migrate", error.to_string()),
        }
    }
}
