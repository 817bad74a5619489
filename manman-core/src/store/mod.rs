//! The seam to whatever remembers what should be.
//!
//! Whole deeds, each atomic: all of it happens or nothing. Names are noun first, so
//! that searching for a noun finds the family.

pub mod decide;
mod deed;
mod refusal;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

pub use deed::{
    Actor, Applied, AuditEntry, CommandRecord, CommandState, IdempotencyKey, IllegalReport, OutboxMessage,
    Page, RefusedReport, RefusedReports, Registration, SessionFilter, Source, StartOutcome, Welcomed, Write,
};
pub use refusal::DeedError;

use crate::{
    clock::Timestamp,
    error::Result,
    id::{AttemptId, ClusterId, ConfigId, Epoch, GameId, Generation, ServerId, SessionId, SgcId, TokenId},
    model::{
        ConsoleLine, Deployment, Game, GameConfig, Name, Reason, Server, Session, Token, Want,
        config::{ConfigChange, NewConfig},
        deployment::{DeploymentChange, NewDeployment, ServerPort},
        game::{GameChange, NewGame},
        session::{Attempt, TimelineEntry},
        token::{NewToken, TokenDigest},
    },
    wire::{Beat, HostReport, Outcome, SessionReport},
};

/// The installation itself.
#[async_trait]
pub trait ClusterStore {
    /// Who this installation is. Made with the store, never changed.
    async fn cluster(&self) -> Result<ClusterId>;

    /// The installation's secret: 32 random bytes, made with the store. Keys digests
    /// that may be shown; never leaves the control plane.
    async fn cluster_secret(&self) -> Result<Vec<u8>>;

    /// The moment it is now, by the store's clock: what staleness is measured by.
    async fn now(&self) -> Result<Timestamp>;
}

/// Machines.
#[async_trait]
pub trait ServerStore {
    /// Registers a host manager: makes the server or takes it over, and counts its
    /// epoch up, which fences whoever held it. Who registers is heard: the server is
    /// online, with the external event if it was not.
    ///
    /// # Errors
    /// [`DeedError::ServerTaken`] if another machine holds the name, was heard within
    /// `stale_after` or said that it is away until later than now, and `take_over` is not
    /// asked for.
    async fn server_register(
        &self,
        hello: &Registration,
        stale_after: Duration,
    ) -> Result<Welcomed, DeedError>;

    /// Counts a server's registrations on from the one that its host holds: a store that knows
    /// only older ones was restored from an old copy. What is more than [`LIFT_MOST`] beyond
    /// changes nothing, nor does a server that is not on record. Whether it did.
    async fn server_lift(&self, id: ServerId, held: Epoch) -> Result<bool>;

    /// One server.
    async fn server_get(&self, id: ServerId) -> Result<Option<Server>>;

    /// One server by its name.
    async fn server_by_name(&self, name: &str) -> Result<Option<Server>>;

    /// Servers by id.
    async fn server_list(&self, page: Page<ServerId>) -> Result<Vec<Server>>;

    /// Notes a heartbeat: last_seen, capacity, what it says is wrong, and `online` if it was
    /// not, with the external event. An older epoch changes nothing and is told by `Applied::Fenced`.
    /// What is wrong moves nothing else: a change of that alone is [`Applied::Same`].
    /// A beat that crosses the word that its host goes away does not take that back.
    async fn server_beat(&self, source: Source, beat: &Beat) -> Result<Applied>;

    /// Notes what a host says about itself, once per (epoch, sequence).
    async fn server_report(&self, source: Source, report: &HostReport) -> Result<Applied>;

    /// Marks online servers that were not heard since `cutoff` stale and their live
    /// sessions lost, with the external events. Returns who fell silent.
    ///
    /// A server that said it goes away for a while is not silent before that while is over.
    async fn server_sweep(&self, cutoff: Timestamp) -> Result<Vec<Server>>;

    /// Ends all live sessions of a server that is not online as crashed, reason
    /// abandoned: the only way for a machine that burned down.
    ///
    /// # Errors
    /// [`DeedError::ServerOnline`] if it is online.
    async fn server_abandon(&self, id: ServerId, write: &Write) -> Result<Vec<SessionId>, DeedError>;

    /// The ports held on a server, by number.
    async fn server_ports(&self, id: ServerId) -> Result<Vec<ServerPort>>;
}

/// Games and how to run them.
#[async_trait]
pub trait GameStore {
    /// Creates a game. Its name is free.
    async fn game_create(&self, new: &NewGame, write: &Write) -> Result<Game, DeedError>;

    /// One game.
    async fn game_get(&self, id: GameId) -> Result<Option<Game>>;

    /// One game by its name.
    async fn game_by_name(&self, name: &str) -> Result<Option<Game>>;

    /// Games by id.
    async fn game_list(&self, page: Page<GameId>) -> Result<Vec<Game>>;

    /// Changes what a game says; its name stays.
    ///
    /// # Errors
    /// [`DeedError::ChangedMeanwhile`] if it is not what `change` has seen.
    async fn game_change(&self, id: GameId, change: &GameChange, write: &Write) -> Result<Game, DeedError>;

    /// Deletes a game without configs.
    ///
    /// # Errors
    /// [`DeedError::InUse`] while it has configs.
    async fn game_delete(&self, id: GameId, write: &Write) -> Result<(), DeedError>;

    /// Creates a config. Its name is free within the game.
    async fn config_create(&self, new: &NewConfig, write: &Write) -> Result<GameConfig, DeedError>;

    /// One config.
    async fn config_get(&self, id: ConfigId) -> Result<Option<GameConfig>>;

    /// The configs of this name, of one game or all, by id: a game has at most one.
    async fn config_by_name(&self, game: Option<GameId>, name: &str) -> Result<Vec<GameConfig>>;

    /// Configs by id, of one game or all.
    async fn config_list(&self, game: Option<GameId>, page: Page<ConfigId>) -> Result<Vec<GameConfig>>;

    /// Changes how a config runs its game, from the next start on. Where other ports are
    /// needed, its deployments give up and take ports in the same deed: what is needed
    /// before and after stays where it is, what is new is taken by the number it has inside.
    ///
    /// # Errors
    /// [`DeedError::ChangedMeanwhile`] if it is not what `change` has seen;
    /// [`DeedError::SessionLive`] if a deployment would get other ports while a session of
    /// it has not ended; [`DeedError::PortTaken`].
    async fn config_change(
        &self,
        id: ConfigId,
        change: &ConfigChange,
        write: &Write,
    ) -> Result<GameConfig, DeedError>;

    /// Deletes a config that nothing is deployed from.
    ///
    /// # Errors
    /// [`DeedError::InUse`] while deployments use it.
    async fn config_delete(&self, id: ConfigId, write: &Write) -> Result<(), DeedError>;
}

/// Deployments and their ports.
#[async_trait]
pub trait DeploymentStore {
    /// Creates a deployment and takes its ports: all or none.
    ///
    /// # Errors
    /// [`DeedError::PortTaken`] names the port and its holder; [`DeedError::NoPortFree`] if
    /// none of a range is free; [`DeedError::PortsDiffer`] if what is asked for does not
    /// cover just what the config needs.
    async fn deployment_create(&self, new: &NewDeployment, write: &Write) -> Result<Deployment, DeedError>;

    /// One deployment that is not deleted.
    async fn deployment_get(&self, id: SgcId) -> Result<Option<Deployment>>;

    /// One deployment that is not deleted by its name.
    async fn deployment_by_name(&self, name: &str) -> Result<Option<Deployment>>;

    /// Deployments by id, of one server or all.
    async fn deployment_list(&self, server: Option<ServerId>, page: Page<SgcId>) -> Result<Vec<Deployment>>;

    /// Changes what a deployment runs and where it listens: all of it or nothing. Its id,
    /// its name, its files and its sessions on record stay.
    ///
    /// # Errors
    /// Those of [`DeploymentStore::deployment_create`]; [`DeedError::ChangedMeanwhile`] if it
    /// is not what `change` has seen; [`DeedError::SessionLive`] if its
    /// config or its ports would be others while a session of it has not ended.
    async fn deployment_change(
        &self,
        id: SgcId,
        change: &DeploymentChange,
        write: &Write,
    ) -> Result<Deployment, DeedError>;

    /// Deletes a deployment and frees its ports. Its sessions stay on record, its files
    /// stay on the machine.
    ///
    /// # Errors
    /// [`DeedError::SessionLive`] while a session of it has not ended.
    async fn deployment_delete(&self, id: SgcId, write: &Write) -> Result<(), DeedError>;
}

/// Sessions.
#[async_trait]
pub trait SessionStore {
    /// Asks for a session: takes the deployment's one slot, writes the session and
    /// queues the hint to its host.
    ///
    /// # Errors
    /// [`DeedError::SessionLive`] names the session that holds the slot.
    async fn session_start(
        &self,
        sgc: SgcId,
        valid_for: Duration,
        write: &Write,
    ) -> Result<StartOutcome, DeedError>;

    /// Changes what is wanted of a live session, with its generation, and queues the
    /// hint. A pending one whose start never left is stopped here and now, and its hint
    /// withdrawn. Wanting what is wanted already changes nothing; a kill overtakes a
    /// graceful stop, never the other way round. A restart of one that is to be stopped
    /// is refused.
    ///
    /// # Errors
    /// [`DeedError::SessionEnded`] for a restart of one that has ended. A stop of one that
    /// has ended succeeds and changes nothing.
    async fn session_want(
        &self,
        id: SessionId,
        change: WantChange,
        write: &Write,
    ) -> Result<Session, DeedError>;

    /// One session.
    async fn session_get(&self, id: SessionId) -> Result<Option<Session>>;

    /// Sessions, newest first.
    async fn session_list(&self, filter: SessionFilter, page: Page<SessionId>) -> Result<Vec<Session>>;

    /// All sessions of a server that have not ended, handed to their host: the starts among
    /// them count as left from here on.
    async fn session_hand_out(&self, server: ServerId) -> Result<Vec<Session>>;

    /// How many sessions have not ended.
    async fn session_live_count(&self) -> Result<usize>;

    /// The latest session of a deployment.
    async fn session_latest(&self, sgc: SgcId) -> Result<Option<Session>>;

    /// What happened to a session, oldest first.
    async fn session_timeline(&self, id: SessionId) -> Result<Vec<TimelineEntry>>;

    /// What is on record of a session's attempts, oldest first. One that never came to run
    /// is there once it has ended.
    async fn session_attempts(&self, id: SessionId) -> Result<Vec<Attempt>>;

    /// Applies a host's report through the state table, once per message id and per
    /// (epoch, sequence), with its timeline entries, external events and what it says of an
    /// attempt, of which the first word stands. What the table refuses is counted, kept and told by [`Applied::Illegal`]; it is not an error.
    /// A report of a session of another server is [`Applied::Illegal`] too. The outcome of
    /// a one-shot command settles that command, whoever is registered since it was said.
    async fn session_report(&self, source: Source, report: &SessionReport) -> Result<Applied>;

    /// How many reports were illegal, and the latest `limit` of those that are kept,
    /// newest first.
    async fn session_refused(&self, limit: usize) -> Result<RefusedReports>;

    /// Fails pending sessions whose `not_after` passed `grace` ago or longer.
    async fn session_expire(&self, grace: Duration) -> Result<Vec<SessionId>>;

    /// Which of these attempts' sessions have an end on record.
    async fn session_receipts(&self, server: ServerId, ends: &[AttemptId]) -> Result<Vec<AttemptId>>;

    /// The highest session id ever given.
    async fn session_high_water(&self) -> Result<i64>;

    /// Gives no id out any more up to `known`, of which a host says that it was given out: a
    /// store that does not know it was restored from an old copy. What is more than
    /// [`LIFT_MOST`] beyond the highest was never ours and changes nothing. Whether it did.
    async fn session_lift(&self, known: SessionId) -> Result<bool>;

    /// Counts the generation of a live session of `server` on beyond `known`, which that host
    /// holds: a store that has an older one was restored from an old copy, and what it wants
    /// would count for nothing there. Further than [`LIFT_MOST`] changes nothing. Whether it
    /// did.
    async fn session_surpass(&self, server: ServerId, id: SessionId, known: Generation) -> Result<bool>;
}

/// The furthest that ids and epochs are lifted at once: a host that is wrong, or means ill,
/// cannot use them up.
pub const LIFT_MOST: i64 = 1_000_000;

/// A change of what is wanted of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantChange {
    /// This, as it is.
    To(Want),
    /// One restart more.
    Restart,
}

/// One-shot commands.
#[async_trait]
pub trait CommandStore {
    /// Writes an input for a running session's current attempt and queues it to its host.
    ///
    /// # Errors
    /// [`DeedError::NotRunning`] if its game does not run.
    async fn command_input(
        &self,
        session: SessionId,
        line: &ConsoleLine,
        valid_for: Duration,
        write: &Write,
    ) -> Result<CommandRecord, DeedError>;

    /// One command.
    async fn command_get(&self, id: Uuid) -> Result<Option<CommandRecord>>;

    /// Notes what became of a command, once; the first word stands. One that is not on
    /// record is nobody's, and no error.
    async fn command_settle(&self, id: Uuid, outcome: &Outcome) -> Result<()>;

    /// Turns commands that nobody answered for, `grace` after their time, to unknown.
    async fn command_expire(&self, grace: Duration) -> Result<Vec<Uuid>>;
}

/// How many messages of one key a relay is handed at once. All starts share the key of
/// their event, so one at a time makes a storm of them wait for as many rounds; without a
/// bound the line behind one key would keep the others out.
pub const OUTBOX_PER_KEY: usize = 8;

/// What is to leave for the broker.
#[async_trait]
pub trait OutboxStore {
    /// The oldest unsent messages, in the order of their commits: of each key at most
    /// [`OUTBOX_PER_KEY`], and none behind one that could not leave so far or whose next try
    /// is not due (so that a key's order holds and a failed one never blocks another key).
    /// From here on they count as left: who was handed one may have published it. For one
    /// relay at a time.
    async fn outbox_due(&self, limit: usize) -> Result<Vec<OutboxMessage>>;

    /// These have left.
    async fn outbox_sent(&self, ids: &[Uuid]) -> Result<()>;

    /// This could not leave; it is due again after `delay`.
    async fn outbox_failed(&self, id: Uuid, error: &str, delay: Duration) -> Result<()>;

    /// Completes when something may be due. May complete without cause.
    async fn outbox_wait(&self);
}

/// Who may call.
#[async_trait]
pub trait TokenStore {
    /// Puts a token on record.
    ///
    /// # Errors
    /// [`DeedError::TokenKnown`] if one of its digest is there, revoked or not;
    /// [`DeedError::Invalid`].
    async fn token_create(&self, new: &NewToken, write: &Write) -> Result<Token, DeedError>;

    /// The token of this digest, valid or not: [`Token::is_valid`] tells.
    async fn token_by_digest(&self, digest: &TokenDigest) -> Result<Option<Token>>;

    /// Tokens by id, those included that are not valid any more.
    async fn token_list(&self, page: Page<TokenId>) -> Result<Vec<Token>>;

    /// Ends a token here and now. One that was revoked before stays as it is.
    async fn token_revoke(&self, id: TokenId, write: &Write) -> Result<Token, DeedError>;

    /// Makes whoever holds the join token of digest `join` the host `server`, by the token
    /// of digest `host`, which that host made and keeps. The same call again changes nothing:
    /// its answer may have been lost. Where a host of that name has a valid token, it takes a
    /// join token for just that name; the other token stays: which machine has the name is
    /// decided when it registers.
    ///
    /// # Errors
    /// [`DeedError::JoinRefused`] if there is no such join token, it is not valid any more,
    /// it is another server's, or another host has used it.
    async fn token_join(
        &self,
        join: &TokenDigest,
        server: &Name,
        host: &TokenDigest,
    ) -> Result<Token, DeedError>;
}

/// Who did what.
#[async_trait]
pub trait AuditStore {
    /// What was written, newest first.
    async fn audit_list(&self, page: Page<i64>) -> Result<Vec<AuditEntry>>;
}

/// Remembers what should be.
///
/// # Contract
/// - Each call is one deed: all of it happens, or none.
/// - One live session per deployment, and each (server, port, protocol) held once, hold
///   under any concurrency; by the store's own constraints, not by looking first.
/// - A write whose idempotency key was used by the same caller for the same RPC changes
///   nothing and returns what the first one returned, also when that is deleted since, if
///   the request is the same; of a session or command it returns where that is now. It is
///   [`DeedError::IdempotencyMismatch`] if the request is another. Keys are kept 24 hours.
/// - Each write leaves an audit entry in the same deed.
/// - An end is never changed.
/// - What was committed survives the death of the process.
///
/// `testkit::store` checks each of these against every implementation.
pub trait Store:
    ClusterStore
    + ServerStore
    + GameStore
    + DeploymentStore
    + SessionStore
    + CommandStore
    + OutboxStore
    + TokenStore
    + AuditStore
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
}

impl<T> Store for T where
    T: ClusterStore
        + ServerStore
        + GameStore
        + DeploymentStore
        + SessionStore
        + CommandStore
        + OutboxStore
        + TokenStore
        + AuditStore
        + fmt::Debug
        + Send
        + Sync
        + 'static
{
}

/// The reason of a session that was just asked for by `actor`.
pub fn asked_by(actor: &Actor) -> Reason {
    Reason::new(crate::model::reason::ReasonCode::Asked, format!("asked by {actor}"))
}
