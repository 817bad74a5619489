//! A deed under way: one transaction, and what all deeds share.

use std::time::Duration;

use manman_core::{
    broker::Message,
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{Epoch, ServerId, SessionId, SgcId},
    store::{DeedError, IdempotencyKey, Source, Write, decide::Post},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    SqlStore,
    dialect::{self, Row, Tx},
    map::{Columns, class_name, exchange_name},
    store::Query,
    tables,
};

/// How long the ids of messages are remembered.
const INBOX_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One report in so many forgets what is old, twice as much as came since. If each did, all
/// that are applied at once would wait for each other over the same oldest rows.
const TIDIES_ONE_IN: i64 = 64;

/// Whether noting this message forgets old ones; the end of an id is random.
fn tidies(message: Uuid) -> bool {
    i64::from(message.as_bytes()[15]) % TIDIES_ONE_IN == 0
}

/// A deed that is not done yet. Dropped without a commit, nothing of it happened.
pub(super) struct Deed<'s> {
    store: &'s SqlStore,
    tx: Tx,
    name: &'static str,
    /// When it is done.
    pub now: Timestamp,
    posts: Vec<(Message, Option<SessionId>)>,
    withdrew: bool,
}

/// What a deed is about. Deeds that have something in common run one after the other.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "where one writes at a time, nobody has to know what about")]
pub(super) enum Scope {
    /// Anything: it runs alone.
    All,
    /// A server with its deployments, sessions and commands.
    Server(ServerId),
    /// The server of this deployment.
    Deployment(SgcId),
    /// The server of this session.
    Session(SessionId),
    /// What leaves, and nothing else.
    Outbox,
    /// Rows that each of its statements finds and changes at once.
    Rows,
}

impl SqlStore {
    /// Begins the deed `name`, once those before it that it has something in common with
    /// are done.
    pub(super) async fn deed(&self, name: &'static str, scope: Scope) -> Result<Deed<'_>> {
        let (tx, now) = dialect::begin(self, name, scope).await?;
        Ok(Deed { store: self, tx, name, now, posts: Vec::new(), withdrew: false })
    }
}

/// A number for a caller's key; that two share one only makes one of them wait.
fn name_of(write: &Write, given: &IdempotencyKey) -> i64 {
    let mut digest = Sha256::new();
    for part in [write.actor.0.as_str(), given.rpc, given.key.as_str()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    digest.iter().take(8).fold(0, |number, &byte| (number << 8) | i64::from(byte))
}

/// There is no such thing.
pub(super) fn missing(noun: &'static str, id: impl ToString) -> DeedError {
    DeedError::NotFound { noun, id: id.to_string() }
}

impl Deed<'_> {
    /// Does it, all of it.
    pub async fn commit(mut self) -> Result<()> {
        let posts = std::mem::take(&mut self.posts);
        let told = self.withdrew || !posts.is_empty();
        if !posts.is_empty() {
            // Whoever puts something in does it last, and alone until it is committed: what
            // has the lower place is to be seen first.
            self.hold_outbox().await?;
        }
        for (message, hints) in posts {
            self.put(message, hints).await?;
        }
        if told {
            dialect::ring(&mut self.tx, self.name).await?;
        }
        dialect::commit(self.tx, self.name).await?;
        if told {
            self.store.posted.notify_waiters();
        }
        Ok(())
    }

    /// Runs a statement; returns how many rows it changed.
    pub async fn run(&mut self, query: Query<'_>) -> Result<u64> {
        dialect::execute(&mut self.tx, self.name, query).await
    }

    /// The one row, if there is one.
    pub async fn row(&mut self, query: Query<'_>) -> Result<Option<Row>> {
        dialect::fetch_optional(&mut self.tx, self.name, query).await
    }

    /// All rows.
    pub async fn rows(&mut self, query: Query<'_>) -> Result<Vec<Row>> {
        dialect::fetch_all(&mut self.tx, self.name, query).await
    }

    /// Inserts with `ON CONFLICT DO NOTHING RETURNING id`: the id, or `None` where a unique
    /// index has it already. The index decides, not a look before.
    pub async fn insert(&mut self, query: Query<'_>) -> Result<Option<i64>> {
        self.row(query).await?.map(|row| row.int("id")).transpose()
    }

    /// What was noted of the first deed under this key, if there was one.
    ///
    /// # Errors
    /// `Corrupt` if it does not read back: a repetition must not be taken for another deed.
    pub async fn recall<T: DeserializeOwned>(&mut self, write: &Write) -> Result<Option<T>, DeedError> {
        let Some(given) = &write.idempotency else { return Ok(None) };
        given.validate()?;
        dialect::hold_key(&mut self.tx, self.name, name_of(write, given)).await?;
        let forgotten = self.now.minus(Write::KEY_KEPT).as_micros();
        let old = "DELETE FROM idempotency_keys WHERE (actor, rpc, key) IN
            (SELECT actor, rpc, key FROM idempotency_keys WHERE at <= $1 LIMIT 100)";
        self.run(sqlx::query(old).bind(forgotten)).await?;
        let sql = "SELECT request, answer FROM idempotency_keys
            WHERE actor = $1 AND rpc = $2 AND key = $3 AND at > $4";
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
        let sql = "INSERT INTO audit (at, actor, deed, object) VALUES ($1, $2, $3, $4)";
        let at = self.now.as_micros();
        let query = sqlx::query(sql).bind(at).bind(write.actor.0.clone()).bind(self.name).bind(object);
        self.run(query).await?;
        let Some(given) = &write.idempotency else { return Ok(()) };
        let sql = "INSERT INTO idempotency_keys (actor, rpc, key, request, answer, at)
            VALUES ($1, $2, $3, $4, $5, $6)
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

    /// Has a message put into the outbox with the commit.
    pub fn post(&mut self, message: Message, hints: Option<SessionId>) {
        self.posts.push((message, hints));
    }

    async fn put(&mut self, message: Message, hints: Option<SessionId>) -> Result<()> {
        let sql = "INSERT INTO outbox (id, exchange, key, class, body, hints, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let query = sqlx::query(sql)
            .bind(message.id.to_string())
            .bind(exchange_name(message.exchange))
            .bind(message.key.as_str().to_owned())
            .bind(class_name(message.class))
            .bind(message.body.to_vec())
            .bind(hints.map(|id| id.0))
            .bind(self.now.as_micros());
        self.run(query).await?;
        Ok(())
    }

    /// Gives ids of a table out from beyond `counter`.
    pub async fn count_on(&mut self, table: &str, counter: i64) -> Result<()> {
        tables::count_on(&mut self.tx, table, counter).await
    }

    /// Keeps the outbox as it is for all others until this deed is done.
    pub async fn hold_outbox(&mut self) -> Result<()> {
        dialect::hold_outbox(&mut self.tx, self.name).await
    }

    /// Takes the hints for this session back.
    pub async fn withdraw(&mut self, session: SessionId) -> Result<()> {
        self.run(sqlx::query("DELETE FROM outbox WHERE hints = $1").bind(session.0)).await?;
        // What stood behind them may be due.
        self.withdrew = true;
        Ok(())
    }

    /// Notes a message; `false` if it was noted before.
    pub async fn is_first(&mut self, source: Source) -> Result<bool> {
        if tidies(source.message) {
            let old =
                "DELETE FROM inbox WHERE message IN (SELECT message FROM inbox WHERE at <= $1 LIMIT $2)";
            let forgotten = self.now.minus(INBOX_KEPT).as_micros();
            self.run(sqlx::query(old).bind(forgotten).bind(2 * TIDIES_ONE_IN)).await?;
        }
        let sql = "INSERT INTO inbox (message, server_id, epoch, sequence, at) VALUES ($1, $2, $3, $4, $5)
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
        let row = self.row(sqlx::query("SELECT epoch FROM servers WHERE id = $1").bind(server.0)).await?;
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
