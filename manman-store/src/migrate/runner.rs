//! Runs migrations.

use std::time::{Duration, Instant};

use manman_core::{
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind},
};
use sqlx::{AssertSqlSafe, Connection as _, Database, Pool, Row as _, Transaction};

use super::{
    dialect::Db,
    schema::{self, BEGIN, HAS_RECORD, RECORD},
    translate::translate,
};
use crate::migrate::{
    Applied, Direction, Goal, MigrateError, Set, Standing, Status, Step, Version, next_step, sound, steps_to,
};

/// The longest that a step is tried again that others hold up, and the pause between.
const HELD_UP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

type Connection = <Db as Database>::Connection;

/// Runs the migrations of a set on a database.
///
/// Each migration is one transaction, together with its record: a process that dies
/// half-way leaves the version before. Runners on one database take turns.
///
/// # Examples
/// ```
/// # use manman_store::{SqliteConfig, migrate::{Runner, Set}, sqlite};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let pool = sqlite::writer(&SqliteConfig::at(dir.path().join("manman.db"))).await?;
/// let runner = Runner::new(pool, Set::sqlite());
/// let ran = runner.up().await?;
/// assert_eq!(runner.version().await?.number, ran.len() as i64);
/// runner.down().await?;
/// assert_eq!(runner.version().await?.number, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Runner {
    pool: Pool<Db>,
    set: Set,
}

impl Runner {
    /// Runs the migrations in `set` on the database behind `pool`.
    pub fn new(pool: Pool<Db>, set: Set) -> Self {
        Self { pool, set }
    }

    /// Goes up to the latest version. Returns what was run.
    ///
    /// # Errors
    /// See [`MigrateError`]; what ran before the failed step stays applied.
    pub async fn up(&self) -> Result<Vec<Step>, MigrateError> {
        self.run(Goal::Latest).await
    }

    /// Goes down to nothing: no table is left, nor what was in it.
    ///
    /// # Errors
    /// As [`Runner::up`].
    pub async fn down(&self) -> Result<Vec<Step>, MigrateError> {
        self.run(Goal::Version(0)).await
    }

    /// Goes so many migrations up, or down if negative; as far as there are any.
    ///
    /// # Errors
    /// As [`Runner::up`].
    pub async fn steps(&self, steps: i64) -> Result<Vec<Step>, MigrateError> {
        self.run(Goal::Steps(steps)).await
    }

    /// Goes up or down to this version.
    ///
    /// # Errors
    /// As [`Runner::up`], and [`MigrateError::NoSuchVersion`].
    pub async fn goto(&self, version: i64) -> Result<Vec<Step>, MigrateError> {
        self.run(Goal::Version(version)).await
    }

    /// Where the schema is.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn version(&self) -> Result<Version, MigrateError> {
        let applied = self.applied().await?;
        let number = applied.iter().map(|it| it.version).max().unwrap_or(0);
        Ok(Version { number, dirty: applied.iter().any(|it| it.dirty) })
    }

    /// Every migration that is known or applied, in order.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn status(&self) -> Result<Vec<Status>, MigrateError> {
        let applied = self.applied().await?;
        let mut all: Vec<Status> = applied
            .iter()
            .map(|it| {
                let standing = match self.set.get(it.version) {
                    None => Standing::Unknown,
                    Some(_) if it.dirty => Standing::Dirty,
                    Some(known) if known.checksum() != it.checksum => Standing::Changed,
                    Some(_) => Standing::Applied,
                };
                Status { version: it.version, name: it.name.clone(), standing }
            })
            .collect();
        let pending = self.set.all().iter().filter(|it| !applied.iter().any(|on| on.version == it.version));
        all.extend(pending.map(|it| Status {
            version: it.version,
            name: it.name.to_owned(),
            standing: Standing::Pending,
        }));
        all.sort_by_key(|it| it.version);
        Ok(all)
    }

    /// Says that the schema is at this version, in the form that this build knows and not
    /// dirty, without running anything.
    ///
    /// # Errors
    /// [`MigrateError::NoSuchVersion`], [`MigrateError::Database`].
    pub async fn force(&self, version: i64) -> Result<(), MigrateError> {
        if !self.set.has(version) {
            return Err(MigrateError::NoSuchVersion { version, known: self.set.latest() });
        }
        let mut connection = self.connection().await?;
        let mut tx = begin(&mut connection).await?;
        create_record(&mut tx).await?;
        execute(&mut tx, "DELETE FROM schema_migrations").await?;
        for migration in self.set.all().iter().filter(|it| it.version <= version) {
            record(&mut tx, &Step { migration: *migration, direction: Direction::Up }).await?;
        }
        commit(tx).await?;
        close(connection).await
    }

    /// Refuses a schema that is not just what this build needs.
    ///
    /// # Errors
    /// [`MigrateError::Older`], [`MigrateError::Newer`], [`MigrateError::Dirty`] …
    pub async fn check(&self) -> Result<(), MigrateError> {
        let applied = self.applied().await?;
        sound(&self.set, &applied)?;
        let (version, known) = (applied.iter().map(|it| it.version).max().unwrap_or(0), self.set.latest());
        if version < known { Err(MigrateError::Older { version, known }) } else { Ok(()) }
    }

    /// What would run on the way to `goal`, in order. Runs nothing.
    ///
    /// # Errors
    /// Those of [`Runner::run`] that can be told before.
    pub async fn plan(&self, goal: Goal) -> Result<Vec<Step>, MigrateError> {
        steps_to(&self.set, &self.applied().await?, goal)
    }

    /// Goes to `goal`. Returns what was run.
    ///
    /// # Errors
    /// As [`Runner::up`].
    pub async fn run(&self, mut goal: Goal) -> Result<Vec<Step>, MigrateError> {
        let mut connection = self.connection().await?;
        let mut ran = Vec::new();
        let mut begun = Instant::now();
        loop {
            // Looking and running under one lock: another runner may have been here.
            let mut tx = begin(&mut connection).await?;
            let applied = applied(&mut tx).await?;
            let Some(step) = next_step(&self.set, &applied, goal)? else { break };
            schema::hurry(&mut tx).await?;
            match run(&mut tx, &step).await {
                Ok(()) => {}
                // Whoever queued up behind it goes on meanwhile.
                Err(error) if schema::is_held_up(&error) && begun.elapsed() < HELD_UP => {
                    tx.rollback().await.map_err(failed)?;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(source) => {
                    let Step { migration, direction } = step;
                    return Err(MigrateError::Failed { version: migration.version, direction, source });
                }
            }
            commit(tx).await?;
            goal = goal.after_one();
            ran.push(step);
            begun = Instant::now();
        }
        close(connection).await?;
        Ok(ran)
    }

    async fn applied(&self) -> Result<Vec<Applied>, MigrateError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        Ok(applied(&mut connection).await?)
    }

    /// A connection of our own: its settings must not leak back into the pool.
    async fn connection(&self) -> Result<Connection, MigrateError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?.detach();
        execute(&mut connection, schema::SETTINGS).await?;
        Ok(connection)
    }
}

type Tx<'c> = Transaction<'c, Db>;
type Result<T, E = Error> = std::result::Result<T, E>;

fn failed(error: sqlx::Error) -> Error {
    translate("migrate", error)
}

async fn begin(connection: &mut Connection) -> Result<Tx<'_>> {
    let mut tx = connection.begin_with(BEGIN).await.map_err(failed)?;
    schema::lock(&mut tx).await?;
    Ok(tx)
}

async fn commit(tx: Tx<'_>) -> Result<()> {
    tx.commit().await.map_err(failed)
}

async fn close(connection: Connection) -> Result<(), MigrateError> {
    Ok(connection.close().await.map_err(failed)?)
}

async fn execute(connection: &mut Connection, sql: &'static str) -> Result<()> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(failed)
}

async fn create_record(connection: &mut Connection) -> Result<()> {
    execute(connection, RECORD).await
}

async fn record(connection: &mut Connection, step: &Step) -> Result<()> {
    let sql = "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";
    let migration = &step.migration;
    sqlx::query(sql)
        .bind(migration.version)
        .bind(migration.name)
        .bind(migration.checksum())
        .bind(SystemClock.now().as_micros())
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn applied(connection: &mut Connection) -> Result<Vec<Applied>> {
    if sqlx::query(HAS_RECORD).fetch_optional(&mut *connection).await.map_err(failed)?.is_none() {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, name, checksum, dirty FROM schema_migrations ORDER BY version";
    let rows = sqlx::query(sql).fetch_all(connection).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                version: row.try_get("version").map_err(failed)?,
                name: row.try_get("name").map_err(failed)?,
                checksum: row.try_get("checksum").map_err(failed)?,
                dirty: row.try_get("dirty").map_err(failed)?,
            })
        })
        .collect()
}

/// One step with its record. DDL is transactional here, so there is no half-way.
async fn run(tx: &mut Tx<'_>, step: &Step) -> Result<()> {
    create_record(tx).await?;
    match step.direction {
        Direction::Up => {
            execute(tx, step.migration.up).await?;
            record(tx, step).await?;
        }
        Direction::Down => {
            execute(tx, step.migration.down).await?;
            let sql = AssertSqlSafe(format!(
                "DELETE FROM schema_migrations WHERE version = {}",
                step.migration.version
            ));
            sqlx::raw_sql(sql).execute(&mut **tx).await.map_err(failed)?;
            // Nothing applied, nothing left.
            let left = sqlx::query("SELECT 1 FROM schema_migrations LIMIT 1").fetch_optional(&mut **tx);
            if left.await.map_err(failed)?.is_none() {
                execute(tx, "DROP TABLE schema_migrations").await?;
            }
        }
    }
    match schema::broken(tx).await? {
        None => Ok(()),
        Some(table) => {
            let message = format!("a row of {table} would refer to nothing");
            Err(Error::new(ErrorKind::Conflict, "migrate", message))
        }
    }
}
