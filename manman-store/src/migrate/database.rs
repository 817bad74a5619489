//! The migrations of whatever database a URL names.

use manman_core::{
    clock::{Clock as _, SystemClock},
    error::Result,
};

#[cfg(feature = "postgres")]
use super::PostgresRunner;
#[cfg(feature = "sqlite")]
use super::Runner;
use super::{Goal, MigrateError, Set, Status, Step, Version};
use crate::{
    address::Address,
    backup::{
        Existing,
        file::{Header, Reader, Trailer, Writer},
    },
};

/// A database of either dialect, to be migrated by the migrations of manman's store.
///
/// # Examples
/// ```
/// # use manman_store::migrate::{Database, Goal};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let url = format!("sqlite://{}/manman.db", dir.path().display());
/// let database = Database::connect(&url).await?;
/// for step in database.plan(Goal::Latest).await? {
///     println!("-- {} ({})\n{}", step.migration.name, step.direction, step.sql());
/// }
/// database.run(Goal::Latest).await?;
/// assert_eq!(database.version().await?.number, database.set().latest());
/// database.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Database {
    set: Set,
    runner: AnyRunner,
}

#[derive(Debug)]
enum AnyRunner {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool, Runner),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool, PostgresRunner),
}

macro_rules! each {
    ($self:ident, $runner:ident => $call:expr) => {
        match &$self.runner {
            #[cfg(feature = "sqlite")]
            AnyRunner::Sqlite(_, $runner) => $call,
            #[cfg(feature = "postgres")]
            AnyRunner::Postgres(_, $runner) => $call,
        }
    };
}

impl Database {
    /// Opens the database at `url`: `sqlite:///path` or `postgres://…`. A SQLite file that
    /// is not there is made.
    ///
    /// # Errors
    /// `Config` if it cannot be opened like this, `Unavailable` if it does not answer.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(Address::of(url)?).await
    }

    pub(crate) async fn open(address: Address) -> Result<Self> {
        Ok(match address {
            #[cfg(feature = "sqlite")]
            Address::Sqlite(config) => {
                let pool = crate::sqlite::writer(&config).await?;
                let set = Set::sqlite();
                Self { runner: AnyRunner::Sqlite(pool.clone(), Runner::new(pool, set.clone())), set }
            }
            #[cfg(feature = "postgres")]
            Address::Postgres(config) => {
                let pool = crate::postgres::pool(&config).await?;
                let set = Set::postgres();
                Self {
                    runner: AnyRunner::Postgres(pool.clone(), PostgresRunner::new(pool, set.clone())),
                    set,
                }
            }
        })
    }

    /// The migrations that this build knows for it.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Goes to `goal`: up, down, so many steps, to a version. Returns what was run.
    ///
    /// # Errors
    /// See [`MigrateError`]; what ran before the failed step stays applied.
    pub async fn run(&self, goal: Goal) -> Result<Vec<Step>, MigrateError> {
        each!(self, runner => runner.run(goal).await)
    }

    /// What [`Database::run`] would run, in order; [`Step::sql`] is the SQL. Runs nothing.
    ///
    /// # Errors
    /// Those that can be told before.
    pub async fn plan(&self, goal: Goal) -> Result<Vec<Step>, MigrateError> {
        each!(self, runner => runner.plan(goal).await)
    }

    /// Where the schema is.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn version(&self) -> Result<Version, MigrateError> {
        each!(self, runner => runner.version().await)
    }

    /// Every migration that is known or applied, in order.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn status(&self) -> Result<Vec<Status>, MigrateError> {
        each!(self, runner => runner.status().await)
    }

    /// Refuses a schema that is not just what this build needs.
    ///
    /// # Errors
    /// [`MigrateError::Older`], [`MigrateError::Newer`], [`MigrateError::Dirty`] …
    pub async fn check(&self) -> Result<(), MigrateError> {
        each!(self, runner => runner.check().await)
    }

    /// Says that the schema is at this version, without running anything.
    ///
    /// # Errors
    /// [`MigrateError::NoSuchVersion`], [`MigrateError::Database`].
    pub async fn force(&self, version: i64) -> Result<(), MigrateError> {
        each!(self, runner => runner.force(version).await)
    }

    pub(crate) async fn save(&self, to: Writer) -> Result<(Header, Trailer)> {
        let (schema, now) = (self.version().await?.number, SystemClock.now());
        match &self.runner {
            #[cfg(feature = "sqlite")]
            AnyRunner::Sqlite(pool, _) => crate::sqlite::copy::save(pool, schema, now, to).await,
            #[cfg(feature = "postgres")]
            AnyRunner::Postgres(pool, _) => crate::postgres::copy::save(pool, schema, now, to).await,
        }
    }

    pub(crate) async fn load(&self, from: Reader, header: &Header, existing: Existing) -> Result<Trailer> {
        match &self.runner {
            #[cfg(feature = "sqlite")]
            AnyRunner::Sqlite(pool, _) => crate::sqlite::copy::load(pool, from, header, existing).await,
            #[cfg(feature = "postgres")]
            AnyRunner::Postgres(pool, _) => crate::postgres::copy::load(pool, from, header, existing).await,
        }
    }

    /// Closes its connections.
    pub async fn close(self) {
        match self.runner {
            #[cfg(feature = "sqlite")]
            AnyRunner::Sqlite(pool, _) => pool.close().await,
            #[cfg(feature = "postgres")]
            AnyRunner::Postgres(pool, _) => pool.close().await,
        }
    }
}
