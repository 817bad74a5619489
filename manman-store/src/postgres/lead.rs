//! Which relay carries: one at a time, whichever process it is in.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use manman_core::error::{Error, ErrorKind, Result};
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    PostgresStore,
    config::connect,
    dialect::{Lock, within},
};

/// What is rung when something was put into the outbox.
pub(super) const BELL: &str = "manman_outbox";

/// A session of the database that says nothing for so long is ended by it, and what it held
/// is free: of a process that froze, or of a machine that is gone.
const SILENT: &str = "10s";

/// A bell that is older may be deaf: nothing else tells that the path of a connection is gone
/// on which nothing is said.
const OLD: Duration = Duration::from_secs(60);
/// After which the database forgets a bell that was replaced and could not be told.
const FORGOTTEN: &str = "150s";

/// The connection whose lock makes the relay of this process the one that carries. The lock
/// goes with the connection: to hold it is to have it.
pub(super) struct Lead {
    options: PgConnectOptions,
    seat: Mutex<Option<Seat>>,
    /// How many there were.
    seats: AtomicU64,
    leads: AtomicBool,
    ear: Mutex<Ear>,
}

/// What rings, and what is to ring after it: made a piece at a time, whenever it is waited for,
/// since whoever waits gives up at every message of this process's own.
#[derive(Default)]
struct Ear {
    bell: Option<Bell>,
    next: Option<BoxFuture<'static, Result<Bell>>>,
}

struct Seat {
    connection: PgConnection,
    taken: bool,
}

/// What hears that something was put into the outbox, on a connection of its own: dropped
/// where the path is gone, it has that for as long as the kernel sends again.
struct Bell {
    pool: PgPool,
    listener: PgListener,
    /// The number of the seat beside which it was made; what ends that may have ended this.
    seat: u64,
    made: Instant,
}

impl Bell {
    async fn make(options: PgConnectOptions, seat: u64) -> Result<Self, sqlx::Error> {
        let options = options.options([("idle_session_timeout", FORGOTTEN)]);
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(BELL).await?;
        Ok(Self { pool, listener, seat, made: Instant::now() })
    }

    async fn close(self) {
        drop(self.listener);
        let _ = timeout(Duration::from_secs(2), self.pool.close()).await;
    }
}

impl Lead {
    pub fn new(options: PgConnectOptions) -> Self {
        let options = options.options([("idle_session_timeout", SILENT)]);
        let (seat, ear) = (Mutex::default(), Mutex::default());
        Self { options, seat, seats: AtomicU64::new(0), leads: AtomicBool::new(false), ear }
    }

    /// Whether such a connection can be had, or nothing would ever leave.
    pub async fn probe(&self) -> Result<()> {
        let connection = self.sit().await?;
        within("close", connection.close()).await
    }

    /// A connection that the database ends when it is silent. What stands between may drop
    /// what we asked for, as a pooler does, and a relay that froze would keep the lead.
    async fn sit(&self) -> Result<PgConnection> {
        const OPERATION: &str = "take the lead";
        let mut connection = connect(&self.options).await?;
        let query = sqlx::query_scalar("SELECT current_setting('idle_session_timeout')");
        let kept: String = within(OPERATION, query.fetch_one(&mut connection)).await?;
        if kept == SILENT {
            return Ok(connection);
        }
        within("close", connection.close()).await?;
        let why = format!(
            "the database was asked for idle_session_timeout {SILENT} and has {kept:?}: give a URL that does \
             not go through a pooler"
        );
        Err(Error::new(ErrorKind::Config, OPERATION, why))
    }

    /// Takes the lead if nobody has it; whether it is ours.
    async fn take(&self) -> Result<bool> {
        let mut seat = self.seat.lock().await;
        self.leads.store(false, Ordering::Relaxed);
        let mut known = seat.take();
        // A connection that died is seen by being used, and replaced at once.
        let mut asked = match &mut known {
            Some(seat) => ask(seat).await.ok(),
            None => None,
        };
        if asked.is_none() {
            let mut fresh = Seat { connection: self.sit().await?, taken: false };
            asked = Some(ask(&mut fresh).await?);
            known = Some(fresh);
            self.seats.fetch_add(1, Ordering::Relaxed);
        }
        *seat = known;
        let leads = asked.unwrap_or(false);
        self.leads.store(leads, Ordering::Relaxed);
        Ok(leads)
    }

    pub async fn close(&self) {
        self.leads.store(false, Ordering::Relaxed);
        if let Some(seat) = self.seat.lock().await.take() {
            // Whether or not it could say goodbye, it is gone.
            let _ = within("close", seat.connection.close()).await;
        }
        let ear = std::mem::take(&mut *self.ear.lock().await);
        if let Some(bell) = ear.bell {
            bell.close().await;
        }
    }
}

/// Whether the lock is ours now.
async fn ask(seat: &mut Seat) -> Result<bool> {
    let sql = if seat.taken { "SELECT TRUE" } else { "SELECT pg_try_advisory_lock($1)" };
    let query = sqlx::query_scalar::<_, bool>(sql);
    let query = if seat.taken { query } else { query.bind(Lock::Relay.number()) };
    seat.taken = within("take the lead", query.fetch_one(&mut seat.connection)).await?;
    Ok(seat.taken)
}

impl PostgresStore {
    /// Whether the relay of this process is the one that may carry.
    pub(super) async fn leads(&self) -> Result<bool> {
        self.lead.take().await
    }

    /// Whether it was when that was last asked.
    pub(super) fn led(&self) -> bool {
        self.lead.leads.load(Ordering::Relaxed)
    }

    /// Completes when any process put something into the outbox. While the database cannot be
    /// listened to it does not; whoever waits looks from time to time all the same.
    pub(super) async fn posted_elsewhere(&self) {
        let mut ear = self.lead.ear.lock().await;
        let Ear { bell, next } = &mut *ear;
        let seat = self.lead.seats.load(Ordering::Relaxed);
        let is_good = |bell: &Bell| bell.seat == seat && bell.made.elapsed() <= OLD;
        if next.is_none() && !bell.as_ref().is_some_and(is_good) {
            *next = Some(make(self.lead.options.clone(), seat).boxed());
        }
        tokio::select! {
            made = async { or_never(next.as_mut()).await.await } => {
                *next = None;
                match made {
                    // What was put in before it heard anything is there by now.
                    Ok(made) => *bell = Some(made),
                    Err(_) => std::future::pending().await,
                }
            }
            rung = async { or_never(bell.as_mut()).await.listener.recv().await } => match rung {
                // Many rings are one.
                Ok(_) => while bell.as_mut().is_some_and(|bell| bell.listener.next_buffered().is_some()) {},
                Err(_) => *bell = None,
            },
        }
    }
}

/// Makes a bell, not more often than once in a second.
async fn make(options: PgConnectOptions, seat: u64) -> Result<Bell> {
    let made = within("listen", Bell::make(options, seat)).await;
    if made.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    made
}

/// What is there; it is waited for in vain if nothing is.
async fn or_never<T>(it: Option<T>) -> T {
    match it {
        Some(it) => it,
        None => std::future::pending().await,
    }
}
