//! A deed under way: one transaction of the writer, and what all deeds share.

use std::time::Duration;

use manman_core::{
    broker::Message,
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{Epoch, ServerId, SessionId},
    store::{DeedError, Source, Write, decide::Post},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    SqliteStore,
    backend::Query,
    map::{Columns, class_name, exchange_name},
    translate::translate,
};

/// How long the ids of messages are remembered.
const INBOX_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A deed that is not done yet. Dropped without a commit, nothing of it happened.
pub(super) struct Deed<'s> {
    store: &'s SqliteStore,
    tx: Transaction<'static, Sqlite>,
    name: &'static str,
    /// When it is done.
    pub now: Timestamp,
    posted: bool,
}

impl SqliteStore {
    /// Begins the deed `name`, once those before it are done.
    pub(super) async fn deed(&self, name: &'static str) -> Result<Deed<'_>> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|error| translate(name, error))?;
        Ok(Deed { store: self, tx, name, now: self.clock.now(), posted: false })
    }
}

/// There is no such thing.
pub(super) fn missing(noun: &'static str, id: impl ToString) -> DeedError {
    DeedError::NotFound { noun, id: id.to_string() }
}

impl Deed<'_> {
    /// Does it, all of it.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await.map_err(|error| translate(self.name, error))?;
        if self.posted {
            self.store.posted.notify_waiters();
        }
        Ok(())
    }

    /// Runs a statement; returns how many rows it changed.
    pub async fn run(&mut self, query: Query) -> Result<u64> {
        let done = query.execute(&mut *self.tx).await;
        done.map(|done| done.rows_affected()).map_err(|error| translate(self.name, error))
    }

    /// The one row, if there is one.
    pub async fn row(&mut self, query: Query) -> Result<Option<SqliteRow>> {
        query.fetch_optional(&mut *self.tx).await.map_err(|error| translate(self.name, error))
    }

    /// All rows.
    pub async fn rows(&mut self, query: Query) -> Result<Vec<SqliteRow>> {
        query.fetch_all(&mut *self.tx).await.map_err(|error| translate(self.name, error))
    }

    /// Inserts with `ON CONFLICT DO NOTHING RETURNING id`: the id, or `None` where a unique
    /// index has it already. The index decides, not a look before.
    pub async fn insert(&mut self, query: Query) -> Result<Option<i64>> {
        self.row(query).await?.map(|row| row.int("id")).transpose()
    }

    /// What was noted of the first deed under this key, if there was one.
    ///
    /// # Errors
    /// `Corrupt` if it does not read back: a repetition must not be taken for another deed.
    pub async fn recall<T: DeserializeOwned>(&mut self, write: &Write) -> Result<Option<T>, DeedError> {
        let Some(given) = &write.idempotency else { return Ok(None) };
        given.validate()?;
        let forgotten = self.now.minus(Write::KEY_KEPT).as_micros();
        let old = "DELETE FROM idempotency_keys WHERE (actor, rpc, key) IN
            (SELECT actor, rpc, key FROM idempotency_keys WHERE at <= ? LIMIT 100)";
        self.run(sqlx::query(old).bind(forgotten)).await?;
        let sql = "SELECT request, answer FROM idempotency_keys
            WHERE actor = ? AND rpc = ? AND key = ? AND at > ?";
        let query = sqlx::query(sql)
            .bind(write.actor.0.clone())
            .bind(given.rpc)
            .bind(given.key.clone())
            .bind(forgotten);
        match self.row(query).await? {
            None => Ok(None),
            Some(row) if row.bytes("request")? == given.request => Ok(Some(row.json("answer")?)),
            Some(_) => Err(DeedError::IdempotencyMismatch { key: given.key.clone(), rpc: given.rpc }),
        }
    }

    /// Notes the deed in the audit, and its answer under its key.
    pub async fn sign(&mut self, write: &Write, object: String, answer: Value) -> Result<()> {
        let sql = "INSERT INTO audit (at, actor, deed, object) VALUES (?, ?, ?, ?)";
        let at = self.now.as_micros();
        let query = sqlx::query(sql).bind(at).bind(write.actor.0.clone()).bind(self.name).bind(object);
        self.run(query).await?;
        let Some(given) = &write.idempotency else { return Ok(()) };
        let sql = "INSERT INTO idempotency_keys (actor, rpc, key, request, answer, at)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (actor, rpc, key) DO UPDATE
            SET request = excluded.request, answer = excluded.answer, at = excluded.at";
        let query = sqlx::query(sql)
            .bind(write.actor.0.clone())
            .bind(given.rpc)
            .bind(given.key.clone())
            .bind(given.request.to_vec())
            .bind(answer.to_string())
            .bind(at);
        self.run(query).await?;
        Ok(())
    }

    /// Puts a message into the outbox.
    pub async fn post(&mut self, message: Message, hints: Option<SessionId>) -> Result<()> {
        let sql =
            "INSERT INTO outbox (id, exchange, key, class, body, hints, due_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let query = sqlx::query(sql)
            .bind(message.id.to_string())
            .bind(exchange_name(message.exchange))
            .bind(message.key.as_str().to_owned())
            .bind(class_name(message.class))
            .bind(message.body.to_vec())
            .bind(hints.map(|id| id.0))
            .bind(self.now.as_micros());
        self.run(query).await?;
        self.posted = true;
        Ok(())
    }

    /// Takes the hints for this session back.
    pub async fn withdraw(&mut self, session: SessionId) -> Result<()> {
        self.run(sqlx::query("DELETE FROM outbox WHERE hints = ?").bind(session.0)).await?;
        // What stood behind them may be due.
        self.posted = true;
        Ok(())
    }

    /// Notes a message; `false` if it was noted before.
    pub async fn is_first(&mut self, source: Source) -> Result<bool> {
        let old = "DELETE FROM inbox WHERE message IN (SELECT message FROM inbox WHERE at <= ? LIMIT 100)";
        let forgotten = self.now.minus(INBOX_KEPT).as_micros();
        self.run(sqlx::query(old).bind(forgotten)).await?;
        let sql = "INSERT INTO inbox (message, server_id, epoch, sequence, at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(source.message.to_string())
            .bind(source.server.0)
            .bind(source.epoch.0)
            .bind(source.sequence)
            .bind(self.now.as_micros());
        Ok(self.run(query).await? > 0)
    }

    /// The registration that is valid for a server.
    pub async fn epoch_of(&mut self, server: ServerId) -> Result<Option<Epoch>> {
        let row = self.row(sqlx::query("SELECT epoch FROM servers WHERE id = ?").bind(server.0)).await?;
        row.map(|row| row.int("epoch").map(Epoch)).transpose()
    }

    /// Who writes the messages of this deed for a server.
    pub async fn postal(&mut self, server: ServerId) -> Result<Post> {
        let epoch = self.epoch_of(server).await?.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, self.name, format!("server {server} is referred to and not there"))
        })?;
        Ok(Post { server, epoch, now: self.now })
    }

    /// A fresh id for a message or command.
    pub fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}
