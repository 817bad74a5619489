//! What is to leave for the broker.

use std::time::Duration;

use async_trait::async_trait;
use manman_core::{
    clock::Timestamp,
    error::Result,
    store::{OUTBOX_PER_KEY, OutboxMessage, OutboxStore},
};
use uuid::Uuid;

use super::{
    SqlStore,
    deed::Scope,
    map::{self, Columns, limit},
};

/// The keys, found one by one, and the first message of each: a long line behind one of
/// them costs nothing (SQLite has no loose index scan, so this is one by hand).
macro_rules! heads {
    () => {
        "WITH RECURSIVE keys (key) AS (
            SELECT min(key) FROM outbox
            UNION ALL
            SELECT (SELECT min(key) FROM outbox WHERE key > keys.key) FROM keys WHERE keys.key IS NOT NULL
        ),
        heads (key, place) AS (
            SELECT key, (SELECT min(place) FROM outbox WHERE key = keys.key) FROM keys WHERE key IS NOT NULL
        )"
    };
}

/// When the first message of each key is due, the earliest of them.
const NEXT: &str =
    concat!(heads!(), "SELECT min(due_at) AS due_at FROM heads JOIN outbox ON outbox.place = heads.place");

/// What is due: from the first of each key on, up to `$3` of them, as far as they are due,
/// and none behind one that could not leave so far.
const DUE: &str = concat!(
    heads!(),
    ", lines (key, place, nth) AS (
        SELECT key, place, 1 FROM heads
        UNION ALL
        SELECT lines.key, (SELECT min(place) FROM outbox WHERE key = lines.key AND place > lines.place), nth + 1
        FROM lines JOIN outbox ON outbox.place = lines.place
        WHERE nth < $3 AND outbox.due_at <= $1 AND outbox.tries = 0
    )
    SELECT outbox.* FROM lines JOIN outbox ON outbox.place = lines.place
    WHERE outbox.due_at <= $1 ORDER BY outbox.place LIMIT $2"
);

/// The longest that a relay sleeps: another process may have put something in.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[async_trait]
impl OutboxStore for SqlStore {
    async fn outbox_due(&self, most: usize) -> Result<Vec<OutboxMessage>> {
        again!(async {
            let due = |now: Timestamp| {
                let query = sqlx::query(DUE).bind(now.as_micros()).bind(limit(most));
                query.bind(limit(OUTBOX_PER_KEY))
            };
            if !self.leads().await? {
                return Ok(Vec::new());
            }
            let rows = self.rows("outbox_due", due(self.moment().await?)).await?;
            let mut all_left = true;
            for row in &rows {
                all_left &= row.flag("has_left")?;
            }
            if all_left {
                // Who lost the lead meanwhile may not be handed what another one is.
                let rows = if self.leads().await? { rows } else { Vec::new() };
                return rows.iter().map(map::outbox_message).collect();
            }
            // They count as left from here on, before anybody can have published them.
            let mut deed = self.deed("outbox_due", Scope::Outbox).await?;
            let rows = deed.rows(due(deed.now)).await?;
            for row in &rows {
                let query =
                    sqlx::query("UPDATE outbox SET has_left = TRUE WHERE place = $1 AND NOT has_left");
                deed.run(query.bind(row.int("place")?)).await?;
            }
            deed.commit().await?;
            let rows = if self.leads().await? { rows } else { Vec::new() };
            rows.iter().map(map::outbox_message).collect()
        })
    }

    async fn outbox_sent(&self, ids: &[Uuid]) -> Result<()> {
        again!(async {
            let mut deed = self.deed("outbox_sent", Scope::Rows).await?;
            for id in ids {
                deed.run(sqlx::query("DELETE FROM outbox WHERE id = $1").bind(id.to_string())).await?;
            }
            deed.commit().await
        })
    }

    async fn outbox_failed(&self, id: Uuid, error: &str, delay: Duration) -> Result<()> {
        again!(async {
            let mut deed = self.deed("outbox_failed", Scope::Rows).await?;
            let query =
                sqlx::query("UPDATE outbox SET tries = tries + 1, due_at = $1, error = $2 WHERE id = $3")
                    .bind(deed.now.plus(delay).as_micros())
                    .bind(error.replace('\0', " "))
                    .bind(id.to_string());
            deed.run(query).await?;
            deed.commit().await
        })
    }

    async fn outbox_wait(&self) {
        if !self.led() {
            // Whatever is due, somebody else carries it, and may die.
            return tokio::time::sleep(LONGEST_WAIT).await;
        }
        // Listening before looking: what is put in between is heard.
        let posted = self.posted.notified();
        tokio::pin!(posted);
        posted.as_mut().enable();
        let query = sqlx::query(NEXT);
        let elsewhere = self.posted_elsewhere();
        tokio::pin!(elsewhere);
        let mut wait = LONGEST_WAIT;
        if let Ok(Some(row)) = self.row("outbox_wait", query).await
            && let (Ok(Some(due)), Ok(now)) = (row.maybe_moment("due_at"), self.moment().await)
        {
            wait = due.since(now).min(LONGEST_WAIT);
        }
        tokio::select! {
            () = posted => {}
            () = elsewhere => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
