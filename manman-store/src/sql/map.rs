//! Rows to words and back.

use manman_core::{
    broker::{Class, Exchange, Message},
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{AttemptId, ConfigId, Epoch, GameId, Generation, ServerId, SessionId, SgcId, TokenId},
    model::{
        Deployment, Game, GameConfig, Port, Server, Session, Token,
        deployment::ServerPort,
        session::{Attempt, TimelineEntry},
    },
    store::{
        Actor, AuditEntry, CommandRecord, CommandState, OutboxMessage, RefusedReport, Source,
        decide::Presence,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{Row as _, decode::Decode, types::Type};

use super::dialect::{Db, Row};

/// A stored value that does not read back.
fn corrupt(column: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, "read a row", format!("{column}: {why}"))
}

/// Columns by name, as what they hold.
pub(super) trait Columns {
    fn get_as<'r, T: Decode<'r, Db> + Type<Db>>(&'r self, column: &str) -> Result<T>;

    fn int(&self, column: &str) -> Result<i64> {
        self.get_as(column)
    }

    fn flag(&self, column: &str) -> Result<bool> {
        self.get_as(column)
    }

    fn small<T: TryFrom<i64>>(&self, column: &str) -> Result<T> {
        let number = self.int(column)?;
        T::try_from(number).map_err(|_| corrupt(column, format_args!("{number} is out of range")))
    }

    fn text(&self, column: &str) -> Result<String> {
        self.get_as(column)
    }

    fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        self.get_as(column)
    }

    fn moment(&self, column: &str) -> Result<Timestamp> {
        Ok(Timestamp::from_micros(self.int(column)?))
    }

    fn maybe_moment(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.get_as::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// A value whose serialized form is one word.
    fn word<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_value(Value::String(self.text(column)?)).map_err(|error| corrupt(column, error))
    }

    fn maybe_word<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        match self.get_as::<Option<String>>(column)? {
            None => Ok(None),
            Some(_) => self.word(column).map(Some),
        }
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.text(column)?).map_err(|error| corrupt(column, error))
    }

    fn maybe_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        match self.get_as::<Option<String>>(column)? {
            None => Ok(None),
            Some(_) => self.json(column).map(Some),
        }
    }
}

impl Columns for Row {
    fn get_as<'r, T: Decode<'r, Db> + Type<Db>>(&'r self, column: &str) -> Result<T> {
        self.try_get(column).map_err(|error| corrupt(column, "does not read back").because(error))
    }
}

/// A value as a JSON column keeps it.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "write a row", "a value has no JSON").because(error)
    })
}

/// A page's limit as SQL takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn presence(row: &Row) -> Result<Presence> {
    let server = Server {
        id: ServerId(row.int("id")?),
        name: row.word("name")?,
        status: row.word("status")?,
        last_seen: row.maybe_moment("last_seen")?,
        environment: row.word("environment")?,
        capacity: row.json("capacity")?,
        health: row.maybe_json("health")?,
        public_address: row.get_as("public_address")?,
        epoch: Epoch(row.int("epoch")?),
        machine_id: row.text("machine_id")?,
        engine_id: row.text("engine_id")?,
        labels: row.json("labels")?,
        created_at: row.moment("created_at")?,
    };
    Ok(Presence { server, away_until: row.maybe_moment("away_until")? })
}

pub(super) fn game(row: &Row) -> Result<Game> {
    Ok(Game {
        id: GameId(row.int("id")?),
        name: row.word("name")?,
        steam_app_id: row.get_as("steam_app_id")?,
        metadata: row.json("metadata")?,
        created_at: row.moment("created_at")?,
    })
}

pub(super) fn token(row: &Row) -> Result<Token> {
    Ok(Token {
        id: TokenId(row.int("id")?),
        name: row.word("name")?,
        role: row.json("role")?,
        created_at: row.moment("created_at")?,
        expires_at: row.maybe_moment("expires_at")?,
        revoked_at: row.maybe_moment("revoked_at")?,
        spent_at: row.maybe_moment("spent_at")?,
    })
}

pub(super) fn config(row: &Row) -> Result<GameConfig> {
    Ok(GameConfig {
        id: ConfigId(row.int("id")?),
        game: GameId(row.int("game_id")?),
        name: row.word("name")?,
        body: row.json("body")?,
        created_at: row.moment("created_at")?,
    })
}

pub(super) fn deployment(row: &Row) -> Result<Deployment> {
    Ok(Deployment {
        id: SgcId(row.int("id")?),
        name: row.word("name")?,
        server: ServerId(row.int("server_id")?),
        config: ConfigId(row.int("config_id")?),
        ports: row.json("ports")?,
        status: row.word("status")?,
        labels: row.json("labels")?,
        created_at: row.moment("created_at")?,
    })
}

pub(super) fn server_port(row: &Row) -> Result<ServerPort> {
    Ok(ServerPort {
        server: ServerId(row.int("server_id")?),
        port: row.small::<Port>("port")?,
        protocol: row.word("protocol")?,
        sgc: SgcId(row.int("sgc_id")?),
        allocated_at: row.moment("allocated_at")?,
    })
}

pub(super) fn session(row: &Row) -> Result<Session> {
    Ok(Session {
        id: SessionId(row.int("id")?),
        sgc: SgcId(row.int("sgc_id")?),
        server: ServerId(row.int("server_id")?),
        want: row.json("want")?,
        generation: Generation(row.int("generation")?),
        state: row.word("state")?,
        phase: row.maybe_word("phase")?,
        progress: row.get_as("progress")?,
        attempt: row.small("attempt")?,
        reason: row.json("reason")?,
        revision: row.int("revision")?,
        created_at: row.moment("created_at")?,
        not_after: row.moment("not_after")?,
        started_at: row.maybe_moment("started_at")?,
        ready_at: row.maybe_moment("ready_at")?,
        ended_at: row.maybe_moment("ended_at")?,
        exit_code: row.get_as("exit_code")?,
        out_of_memory: row.flag("out_of_memory")?,
        last_lines: row.json("last_lines")?,
    })
}

/// The latest report that was applied to a session.
pub(super) fn last_report(row: &Row) -> Result<Option<(Epoch, i64)>> {
    let (epoch, sequence) = (row.get_as::<Option<i64>>("last_epoch")?, row.get_as("last_sequence")?);
    Ok(epoch.map(Epoch).zip(sequence))
}

pub(super) fn timeline_entry(row: &Row) -> Result<TimelineEntry> {
    Ok(TimelineEntry {
        revision: row.int("revision")?,
        at: row.moment("at")?,
        state: row.word("state")?,
        phase: row.maybe_word("phase")?,
        attempt: row.small("attempt")?,
        not_seen: row.flag("not_seen")?,
        reason: row.json("reason")?,
    })
}

pub(super) fn attempt(row: &Row) -> Result<Attempt> {
    Ok(Attempt {
        number: row.small("attempt")?,
        image_digest: row.get_as("image_digest")?,
        spec_hash: row.get_as("spec_hash")?,
        manager_version: row.get_as("manager_version")?,
        started_at: row.maybe_moment("started_at")?,
        ended_at: row.maybe_moment("ended_at")?,
        exit_code: row.get_as("exit_code")?,
        reason: row.maybe_json("reason")?,
    })
}

pub(super) fn refused_report(row: &Row) -> Result<RefusedReport> {
    let source = Source {
        message: row.word("message")?,
        server: ServerId(row.int("server_id")?),
        epoch: Epoch(row.int("epoch")?),
        sequence: row.int("sequence")?,
    };
    Ok(RefusedReport {
        at: row.moment("at")?,
        source,
        session: SessionId(row.int("session_id")?),
        why: row.text("why")?,
        report: row.text("report")?,
    })
}

pub(super) fn command(row: &Row) -> Result<CommandRecord> {
    let state = match row.get_as::<Option<String>>("outcome")? {
        None => CommandState::Sent,
        Some(_) => CommandState::Settled(row.json("outcome")?),
    };
    Ok(CommandRecord {
        id: row.word("id")?,
        run: AttemptId::new(SessionId(row.int("session_id")?), row.small("attempt")?),
        server: ServerId(row.int("server_id")?),
        not_after: row.moment("not_after")?,
        state,
    })
}

pub(super) fn outbox_message(row: &Row) -> Result<OutboxMessage> {
    let (exchange, class) = (row.text("exchange")?, row.text("class")?);
    let message = Message {
        id: row.word("id")?,
        exchange: [Exchange::Internal, Exchange::External]
            .into_iter()
            .find(|it| exchange_name(*it) == exchange)
            .ok_or_else(|| corrupt("exchange", exchange))?,
        key: row.text("key")?.parse().map_err(|error| corrupt("key", error))?,
        class: [Class::Command, Class::Report, Class::Event, Class::Telemetry]
            .into_iter()
            .find(|it| class_name(*it) == class)
            .ok_or_else(|| corrupt("class", class))?,
        body: row.bytes("body")?.into(),
    };
    Ok(OutboxMessage { message, tries: row.small("tries")? })
}

pub(super) fn audit_entry(row: &Row) -> Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.int("id")?,
        at: row.moment("at")?,
        actor: Actor(row.text("actor")?),
        deed: row.text("deed")?,
        object: row.text("object")?,
    })
}

pub(super) fn exchange_name(exchange: Exchange) -> &'static str {
    match exchange {
        Exchange::Internal => "internal",
        Exchange::External => "external",
    }
}

pub(super) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Command => "command",
        Class::Report => "report",
        Class::Event => "event",
        Class::Telemetry => "telemetry",
    }
}
