//! What is to leave for the broker.

use std::time::Duration;

use async_trait::async_trait;
use manman_core::{
    clock::Timestamp,
    error::Result,
    store::{OutboxMessage, OutboxStore},
};
use uuid::Uuid;

use super::{
    SqliteStore,
    map::{self, Columns, limit},
};

/// The first message of each key, found key by key: a long line behind one of them costs
/// nothing (sqlite.org has no loose index scan, so this is one by hand).
macro_rules! heads {
    ($columns:literal, $rest:literal) => {
        concat!(
            "WITH RECURSIVE keys (key) AS (
                SELECT min(key) FROM outbox
                UNION ALL
                SELECT (SELECT min(key) FROM outbox WHERE key > keys.key) FROM keys WHERE keys.key IS NOT NULL
            )
            SELECT ",
            $columns,
            " FROM keys JOIN outbox ON place = (SELECT min(place) FROM outbox WHERE key = keys.key)
            WHERE keys.key IS NOT NULL ",
            $rest
        )
    };
}

/// The longest that a relay sleeps: another process may have put something in.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[async_trait]
impl OutboxStore for SqliteStore {
    async fn outbox_due(&self, most: usize) -> Result<Vec<OutboxMessage>> {
        let due = |now: Timestamp| {
            sqlx::query(heads!("outbox.*", "AND due_at <= ? ORDER BY place LIMIT ?"))
                .bind(now.as_micros())
                .bind(limit(most))
        };
        let rows = self.rows("outbox_due", due(self.clock.now())).await?;
        let mut all_left = true;
        for row in &rows {
            all_left &= row.flag("has_left")?;
        }
        if all_left {
            return rows.iter().map(map::outbox_message).collect();
        }
        // They count as left from here on, before anybody can have published them.
        let mut deed = self.deed("outbox_due").await?;
        let rows = deed.rows(due(deed.now)).await?;
        for row in &rows {
            let query = sqlx::query("UPDATE outbox SET has_left = 1 WHERE place = ? AND has_left = 0");
            deed.run(query.bind(row.int("place")?)).await?;
        }
        deed.commit().await?;
        rows.iter().map(map::outbox_message).collect()
    }

    async fn outbox_sent(&self, ids: &[Uuid]) -> Result<()> {
        let mut deed = self.deed("outbox_sent").await?;
        for id in ids {
            deed.run(sqlx::query("DELETE FROM outbox WHERE id = ?").bind(id.to_string())).await?;
        }
        deed.commit().await
    }

    async fn outbox_failed(&self, id: Uuid, error: &str, delay: Duration) -> Result<()> {
        let mut deed = self.deed("outbox_failed").await?;
        let query = sqlx::query("UPDATE outbox SET tries = tries + 1, due_at = ?, error = ? WHERE id = ?")
            .bind(deed.now.plus(delay).as_micros())
            .bind(error.to_owned())
            .bind(id.to_string());
        deed.run(query).await?;
        deed.commit().await
    }

    async fn outbox_wait(&self) {
        // Listening before looking: what is put in between is heard.
        let posted = self.posted.notified();
        tokio::pin!(posted);
        posted.as_mut().enable();
        let query = sqlx::query(heads!("min(due_at) AS due_at", ""));
        let next = self.row("outbox_wait", query).await.ok().flatten();
        let next = next.and_then(|row| row.maybe_moment("due_at").ok().flatten());
        let wait = next.map_or(LONGEST_WAIT, |due| due.since(self.clock.now()).min(LONGEST_WAIT));
        tokio::select! {
            () = posted => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
