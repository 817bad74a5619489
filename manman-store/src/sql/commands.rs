//! One-shot commands.

use std::time::Duration;

use async_trait::async_trait;
use manman_core::{
    clock::Timestamp,
    error::Result,
    id::{AttemptId, SessionId},
    model::{ConsoleLine, State},
    store::{CommandRecord, CommandState, CommandStore, DeedError, Write},
    wire::{Command, OneShot, Outcome},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    SqlStore,
    deed::{Deed, Scope, missing},
    map::{self, Columns},
};

/// How long the outcomes of commands are kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Deed<'_> {
    async fn command(&mut self, id: Uuid) -> Result<CommandRecord, DeedError> {
        let query = sqlx::query("SELECT * FROM commands WHERE id = $1").bind(id.to_string());
        let row = self.row(query).await?.ok_or_else(|| missing("command", id))?;
        Ok(map::command(&row)?)
    }
}

#[async_trait]
impl CommandStore for SqlStore {
    async fn command_input(
        &self,
        session: SessionId,
        line: &ConsoleLine,
        valid_for: Duration,
        write: &Write,
    ) -> Result<CommandRecord, DeedError> {
        again!(async {
            let mut deed = self.deed("command_input", Scope::Session(session)).await?;
            if let Some(answer) = deed.recall(write).await? {
                return deed.command(answer).await;
            }
            let target = deed.session(session).await?;
            if target.state != State::Running {
                return Err(DeedError::NotRunning { session, state: target.state });
            }
            let old = "DELETE FROM commands WHERE id IN
                (SELECT id FROM commands WHERE outcome IS NOT NULL AND not_after <= $1 LIMIT 100)";
            deed.run(sqlx::query(old).bind(deed.now.minus(KEPT).as_micros())).await?;
            let record = CommandRecord {
                id: deed.uuid(),
                run: AttemptId::new(session, target.attempt),
                server: target.server,
                not_after: deed.now.plus(valid_for),
                state: CommandState::Sent,
            };
            let sql = "INSERT INTO commands (id, session_id, attempt, server_id, not_after) VALUES ($1, $2, $3, $4, $5)";
            let query = sqlx::query(sql)
                .bind(record.id.to_string())
                .bind(session.0)
                .bind(i64::from(record.run.attempt))
                .bind(record.server.0)
                .bind(record.not_after.as_micros());
            deed.run(query).await?;
            let what =
                OneShot { id: record.id, run: record.run, not_after: record.not_after, what: line.clone() };
            let post = deed.postal(record.server).await?;
            let message = post.one_shot(&record, target.generation, Command::Input(what))?;
            deed.post(message, None);
            deed.sign(write, format!("session {session}"), json!(record.id)).await?;
            deed.commit().await?;
            Ok(record)
        })
    }

    async fn command_get(&self, id: Uuid) -> Result<Option<CommandRecord>> {
        let query = sqlx::query("SELECT * FROM commands WHERE id = $1").bind(id.to_string());
        self.row("command_get", query).await?.as_ref().map(map::command).transpose()
    }

    async fn command_settle(&self, id: Uuid, outcome: &Outcome) -> Result<()> {
        again!(async {
            let mut deed = self.deed("command_settle", Scope::Rows).await?;
            let query = sqlx::query("UPDATE commands SET outcome = $1 WHERE id = $2 AND outcome IS NULL");
            deed.run(query.bind(map::json(outcome)?).bind(id.to_string())).await?;
            deed.commit().await
        })
    }

    async fn command_expire(&self, grace: Duration) -> Result<Vec<Uuid>> {
        again!(async {
            // Nearly always nothing is open, and then nothing is locked.
            let sql = "SELECT id FROM commands WHERE outcome IS NULL AND not_after <= $1 ORDER BY not_after";
            let due = |now: Timestamp| sqlx::query(sql).bind(now.minus(grace).as_micros());
            if self.rows("command_expire", due(self.moment().await?)).await?.is_empty() {
                return Ok(Vec::new());
            }
            let mut deed = self.deed("command_expire", Scope::Rows).await?;
            let unknown = map::json(&Outcome::Unknown("its host did not answer for it".to_owned()))?;
            let mut turned = Vec::new();
            for row in deed.rows(due(deed.now)).await? {
                let id: Uuid = row.word("id")?;
                let query = sqlx::query("UPDATE commands SET outcome = $1 WHERE id = $2 AND outcome IS NULL");
                if deed.run(query.bind(unknown.clone()).bind(id.to_string())).await? > 0 {
                    turned.push(id);
                }
            }
            deed.commit().await?;
            Ok(turned)
        })
    }
}
