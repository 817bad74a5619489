//! A connection of the pool while somebody has it, and its way back.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Executor as _, PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};

/// The longest that a connection takes to come back in order.
const BACK: Duration = Duration::from_secs(2);

/// A connection with or without a transaction. One that is given up half-way ends its
/// transaction and goes back to its pool; if the server does not answer on it, it is cut off.
///
/// Left to the driver it would be asked whether it is still there for as long as the kernel
/// sends again, a quarter of an hour where the path is gone without a word, and its place in
/// the pool would be taken until then.
pub(super) struct Lent {
    /// There until it goes back.
    connection: Option<PoolConnection<Postgres>>,
    in_transaction: bool,
}

impl Lent {
    pub async fn of(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(pool.acquire().await?.into())
    }

    /// Begins a transaction.
    pub async fn begin(&mut self, how: &'static str) -> sqlx::Result<()> {
        // Before it is: whoever gives up meanwhile does not know.
        self.in_transaction = true;
        self.execute(how).await.map(drop)
    }

    /// Ends the transaction with all that was done in it.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        self.execute("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }
}

impl From<PoolConnection<Postgres>> for Lent {
    fn from(connection: PoolConnection<Postgres>) -> Self {
        Self { connection: Some(connection), in_transaction: false }
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_deref().expect("it is lent")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_deref_mut().expect("it is lent")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // Closed without a goodbye where nothing is left to say it.
        let Ok(runtime) = Handle::try_current() else { return drop(connection.detach()) };
        let in_transaction = self.in_transaction;
        runtime.spawn(async move {
            if in_transaction {
                let ended = timeout(BACK, connection.execute("ROLLBACK")).await;
                if !matches!(ended, Ok(Ok(_))) {
                    return drop(connection.detach());
                }
            }
            // What the driver's own drop does, for as long as it takes (public there, though not
            // in its docs). Given up, it is closed without a goodbye, and its place is free.
            let _ = timeout(BACK, connection.return_to_pool()).await;
        });
    }
}
