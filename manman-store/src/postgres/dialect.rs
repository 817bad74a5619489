//! What the shared deeds leave to the dialect, for PostgreSQL: locks, and an end to every call.

use std::{future::Future, time::Duration};

use manman_core::{clock::Timestamp, error::Result};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};

use super::{
    PostgresStore,
    deed::Scope,
    lead::BELL,
    lent::Lent,
    store::Query,
    translate::{is_stale_plan, too_late, translate},
};

pub(super) type Db = Postgres;
pub(super) type Row = sqlx::postgres::PgRow;
pub(super) type Tx = Lent;

pub(super) const STORE: &str = "PostgresStore";
/// The highest session id that was ever given.
pub(super) const HIGHEST_SESSION: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS highest FROM sessions_id_seq";

/// No answer within this is none: longer than the server itself lets a statement take, so
/// that only a server or a network that stands still comes to it.
const LONGEST: Duration = Duration::from_secs(12);

/// What can be held.
#[derive(Clone, Copy)]
pub(super) enum Lock {
    Everything,
    Server,
    Key(i64),
    Outbox,
    Relay,
    Schema,
}

impl Lock {
    /// The advisory locks of a database share one space of numbers: ours begin with "ma", then
    /// comes the kind, then which one of it.
    pub const fn number(self) -> i64 {
        let (kind, which) = match self {
            Self::Everything => (1, 0),
            Self::Server => (2, 0),
            Self::Key(key) => (3, key & ((1 << 44) - 1)),
            Self::Outbox => (4, 0),
            Self::Relay => (5, 0),
            Self::Schema => (6, 0),
        };
        (0x6d61 << 48) | (kind << 44) | which
    }
}

/// The end of `call`, or of our patience.
pub(super) async fn within<T>(
    name: &'static str,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T> {
    match tokio::time::timeout(LONGEST, call).await {
        Ok(result) => result.map_err(|error| translate(name, error)),
        Err(_) => Err(too_late(name)),
    }
}

/// A connection, by the end of the pool's own patience (`acquire_timeout_secs`).
async fn lent(name: &'static str, pool: &PgPool) -> Result<Lent> {
    Lent::of(pool).await.map_err(|error| translate(name, error))
}

/// The database's clock, read when the locks are held.
macro_rules! locked {
    ($locks:literal) => {
        concat!("SELECT ", $locks, "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now")
    };
}

/// Begins a deed once those before it that it has something in common with are done.
pub(super) async fn begin(
    store: &PostgresStore,
    name: &'static str,
    scope: Scope,
) -> Result<(Tx, Timestamp)> {
    let mut tx = lent(name, &store.pool).await?;
    within(name, tx.begin("BEGIN ISOLATION LEVEL READ COMMITTED")).await?;
    let (all, server) = (Lock::Everything.number(), Lock::Server.number());
    let query = match scope {
        Scope::All => sqlx::query(locked!("pg_advisory_xact_lock($1), ")).bind(all),
        Scope::Server(id) => {
            sqlx::query(locked!("pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock($2), "))
                .bind(all)
                .bind(server | id.0)
        }
        // The server of either never changes, so it may be looked up before anything is held.
        Scope::Deployment(id) => sqlx::query(locked!(
            "pg_advisory_xact_lock_shared($1),
            (SELECT pg_advisory_xact_lock($2 | server_id) FROM deployments WHERE id = $3), "
        ))
        .bind(all)
        .bind(server)
        .bind(id.0),
        Scope::Session(id) => sqlx::query(locked!(
            "pg_advisory_xact_lock_shared($1),
            (SELECT pg_advisory_xact_lock($2 | server_id) FROM sessions WHERE id = $3), "
        ))
        .bind(all)
        .bind(server)
        .bind(id.0),
        Scope::Outbox => sqlx::query(locked!("pg_advisory_xact_lock($1), ")).bind(Lock::Outbox.number()),
        Scope::Rows => sqlx::query(locked!("")),
    };
    let row = within(name, query.fetch_one(&mut *tx)).await?;
    Ok((tx, now(store, &row, name)?))
}

fn now(store: &PostgresStore, row: &Row, name: &'static str) -> Result<Timestamp> {
    use sqlx::Row as _;
    match &store.clock {
        Some(clock) => Ok(clock.now()),
        None => row.try_get("now").map(Timestamp::from_micros).map_err(|error| translate(name, error)),
    }
}

pub(super) async fn commit(tx: Tx, name: &'static str) -> Result<()> {
    within(name, tx.commit()).await
}

pub(super) async fn execute(tx: &mut Tx, name: &'static str, query: Query<'_>) -> Result<u64> {
    let done = within(name, query.execute(&mut **tx)).await;
    Ok(fresh(tx, done).await?.rows_affected())
}

pub(super) async fn fetch_optional(tx: &mut Tx, name: &'static str, query: Query<'_>) -> Result<Option<Row>> {
    let row = within(name, query.fetch_optional(&mut **tx)).await;
    fresh(tx, row).await
}

pub(super) async fn fetch_all(tx: &mut Tx, name: &'static str, query: Query<'_>) -> Result<Vec<Row>> {
    let rows = within(name, query.fetch_all(&mut **tx)).await;
    fresh(tx, rows).await
}

pub(super) async fn read_optional(
    pool: &PgPool,
    name: &'static str,
    query: Query<'_>,
) -> Result<Option<Row>> {
    let mut connection = lent(name, pool).await?;
    let row = within(name, query.fetch_optional(&mut *connection)).await;
    drop(connection);
    all_fresh(pool, row).await
}

pub(super) async fn read_all(pool: &PgPool, name: &'static str, query: Query<'_>) -> Result<Vec<Row>> {
    let mut connection = lent(name, pool).await?;
    let rows = within(name, query.fetch_all(&mut *connection)).await;
    drop(connection);
    all_fresh(pool, rows).await
}

/// The same for every connection that nobody uses just now: who reads is told only once.
async fn all_fresh<T>(pool: &PgPool, result: Result<T>) -> Result<T> {
    if result.as_ref().is_err_and(is_stale_plan) {
        // That which was just used may be on its way back.
        tokio::task::yield_now().await;
        let mut idle = Vec::new();
        while let Some(connection) = pool.try_acquire() {
            idle.push(Lent::from(connection));
        }
        for connection in &mut idle {
            within("forget statements", connection.clear_cached_statements()).await?;
        }
    }
    result
}

/// Forgets what was prepared on a connection for a schema that has changed since.
async fn fresh<T>(connection: &mut PgConnection, result: Result<T>) -> Result<T> {
    if result.as_ref().is_err_and(is_stale_plan) {
        within("forget statements", connection.clear_cached_statements()).await?;
    }
    result
}

/// Alone with the outbox until the end of the deed. Places are given out before the commit:
/// under this lock their order is that of the commits.
pub(super) async fn hold_outbox(tx: &mut Tx, name: &'static str) -> Result<()> {
    hold(tx, name, Lock::Outbox).await
}

/// Alone with a caller's key until the end of the deed.
pub(super) async fn hold_key(tx: &mut Tx, name: &'static str, key: i64) -> Result<()> {
    hold(tx, name, Lock::Key(key)).await
}

async fn hold(tx: &mut Tx, name: &'static str, lock: Lock) -> Result<()> {
    let query = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock.number());
    execute(tx, name, query).await.map(drop)
}

/// Wakes relays in other processes, with the commit.
pub(super) async fn ring(tx: &mut Tx, name: &'static str) -> Result<()> {
    execute(tx, name, sqlx::query("SELECT pg_notify($1, '')").bind(BELL)).await.map(drop)
}

impl PostgresStore {
    /// The moment it is now.
    pub(super) async fn moment(&self) -> Result<Timestamp> {
        if let Some(clock) = &self.clock {
            return Ok(clock.now());
        }
        let row = read_optional(&self.pool, "now", sqlx::query(locked!(""))).await?;
        row.map_or_else(|| Err(too_late("now")), |row| now(self, &row, "now"))
    }

    pub(super) fn readers(&self) -> &PgPool {
        &self.pool
    }
}
