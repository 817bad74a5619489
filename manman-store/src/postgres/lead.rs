//! Which relay carries: one at a time, whichever process it is in.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use manman_core::error::Result;
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgListener},
};
use tokio::sync::Mutex;

use super::{
    PostgresStore,
    config::connect,
    dialect::{Lock, within},
    translate::translate,
};

/// What is rung when something was put into the outbox.
pub(super) const BELL: &str = "manman_outbox";

/// A session of the database that says nothing for so long is ended by it, and what it held
/// is free: of a process that froze, or of a machine that is gone.
const SILENT: &str = "10s";

/// The connection whose lock makes the relay of this process the one that carries. The lock
/// goes with the connection: to hold it is to have it.
pub(super) struct Lead {
    options: PgConnectOptions,
    seat: Mutex<Option<Seat>>,
    leads: AtomicBool,
    bell: Mutex<Option<PgListener>>,
}

struct Seat {
    connection: PgConnection,
    taken: bool,
}

impl Lead {
    pub fn new(options: PgConnectOptions) -> Self {
        let options = options.options([("idle_session_timeout", SILENT)]);
        Self { options, seat: Mutex::default(), leads: AtomicBool::new(false), bell: Mutex::default() }
    }

    /// Whether such a connection can be had: what stands between may not let its options
    /// through, as a pooler does, and then nothing would ever leave.
    pub async fn probe(&self) -> Result<()> {
        let connection = connect(&self.options).await?;
        within("close", connection.close()).await
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
            let mut fresh = Seat { connection: connect(&self.options).await?, taken: false };
            asked = Some(ask(&mut fresh).await?);
            known = Some(fresh);
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
        drop(self.bell.lock().await.take());
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
        let mut bell = self.lead.bell.lock().await;
        if bell.is_none() {
            let made = async {
                let mut listener = PgListener::connect_with(&self.pool).await?;
                listener.listen(BELL).await?;
                Ok(listener)
            };
            match within("listen", made).await {
                Ok(listener) => *bell = Some(listener),
                Err(_) => return std::future::pending().await,
            }
        }
        if let Some(listener) = bell.as_mut() {
            match listener.recv().await.map_err(|error| translate("listen", error)) {
                // Many rings are one.
                Ok(_) => while listener.next_buffered().is_some() {},
                Err(_) => {
                    *bell = None;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}
