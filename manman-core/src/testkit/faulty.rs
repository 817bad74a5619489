//! A store whose calls fail.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    id::{AttemptId, ClusterId, ConfigId, Epoch, GameId, Generation, ServerId, SessionId, SgcId, TokenId},
    model::{
        ConsoleLine, Deployment, Game, GameConfig, Name, Server, Session, Token,
        config::{ConfigChange, NewConfig},
        deployment::{DeploymentChange, NewDeployment, ServerPort},
        game::{GameChange, NewGame},
        session::{Attempt, TimelineEntry},
        token::{NewToken, TokenDigest},
    },
    store::{
        Applied, AuditEntry, AuditStore, ClusterStore, CommandRecord, CommandStore, DeedError,
        DeploymentStore, GameStore, OutboxMessage, OutboxStore, Page, RefusedReports, Registration,
        ServerStore, SessionFilter, SessionStore, Source, StartOutcome, Store, TokenStore, WantChange,
        Welcomed, Write,
    },
    wire::{Beat, HostReport, Outcome, SessionReport},
};

/// How often calls fail, from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Before anything is done: `Unavailable`.
    pub before: f64,
    /// After the deed is done, so that the caller cannot know: `Timeout`.
    pub after: f64,
}

/// A store whose calls fail now and then, the same ones for the same seed.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use manman_core::{clock::SystemClock, memory::MemoryStore, store::ClusterStore};
/// # use manman_core::testkit::{Faults, Faulty};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), manman_core::error::Error> {
/// let inner = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
/// let store = Faulty::new(inner, 7, Faults { before: 1.0, after: 0.0 });
/// assert!(store.cluster().await.is_err());
/// store.set(Faults::default());
/// store.cluster().await?;
/// # Ok(())
/// # }
/// ```
pub struct Faulty<S: ?Sized> {
    inner: Arc<S>,
    dice: Mutex<(fastrand::Rng, Faults)>,
}

enum Fault {
    None,
    Before,
    After,
}

impl<S: ?Sized> Faulty<S> {
    /// Lets calls of `inner` fail as often as `faults` says.
    pub fn new(inner: Arc<S>, seed: u64, faults: Faults) -> Self {
        Self { inner, dice: Mutex::new((fastrand::Rng::with_seed(seed), faults)) }
    }

    /// Fails as often as `faults` says from now on.
    pub fn set(&self, faults: Faults) {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).1 = faults;
    }

    fn draw(&self) -> Fault {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let (drawn, faults) = (dice.0.f64(), dice.1);
        if drawn < faults.before {
            Fault::Before
        } else if drawn < faults.before + faults.after {
            Fault::After
        } else {
            Fault::None
        }
    }

    async fn around<T, E: From<Error>>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match self.draw() {
            Fault::None => call.await,
            Fault::Before => Err(Error::new(ErrorKind::Unavailable, operation, "injected: not done").into()),
            Fault::After => {
                call.await?;
                Err(Error::new(ErrorKind::Timeout, operation, "injected: done, but who knows").into())
            }
        }
    }
}

impl<S: ?Sized + fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faulty").field(&&*self.inner).finish()
    }
}

macro_rules! faulty {
    ($role:ident: $($name:ident($($arg:ident: $ty:ty),*) -> $ok:ty $(, or $err:ty)?;)*) => {
        #[async_trait]
        impl<S: ?Sized + Store> $role for Faulty<S> {
            $(async fn $name(&self $(, $arg: $ty)*) -> crate::error::Result<$ok $(, $err)?> {
                self.around(stringify!($name), self.inner.$name($($arg),*)).await
            })*
        }
    };
}

faulty! { ClusterStore:
    cluster() -> ClusterId;
    cluster_secret() -> Vec<u8>;
    now() -> Timestamp;
}

faulty! { ServerStore:
    server_register(hello: &Registration, stale_after: Duration) -> Welcomed, or DeedError;
    server_lift(id: ServerId, held: Epoch) -> bool;
    server_get(id: ServerId) -> Option<Server>;
    server_by_name(name: &str) -> Option<Server>;
    server_list(page: Page<ServerId>) -> Vec<Server>;
    server_beat(source: Source, beat: &Beat) -> Applied;
    server_report(source: Source, report: &HostReport) -> Applied;
    server_sweep(cutoff: Timestamp) -> Vec<Server>;
    server_abandon(id: ServerId, write: &Write) -> Vec<SessionId>, or DeedError;
    server_ports(id: ServerId) -> Vec<ServerPort>;
}

faulty! { GameStore:
    game_create(new: &NewGame, write: &Write) -> Game, or DeedError;
    game_get(id: GameId) -> Option<Game>;
    game_by_name(name: &str) -> Option<Game>;
    game_list(page: Page<GameId>) -> Vec<Game>;
    game_change(id: GameId, change: &GameChange, write: &Write) -> Game, or DeedError;
    game_delete(id: GameId, write: &Write) -> (), or DeedError;
    config_create(new: &NewConfig, write: &Write) -> GameConfig, or DeedError;
    config_get(id: ConfigId) -> Option<GameConfig>;
    config_by_name(game: Option<GameId>, name: &str) -> Vec<GameConfig>;
    config_list(game: Option<GameId>, page: Page<ConfigId>) -> Vec<GameConfig>;
    config_change(id: ConfigId, change: &ConfigChange, write: &Write) -> GameConfig, or DeedError;
    config_delete(id: ConfigId, write: &Write) -> (), or DeedError;
}

faulty! { DeploymentStore:
    deployment_create(new: &NewDeployment, write: &Write) -> Deployment, or DeedError;
    deployment_get(id: SgcId) -> Option<Deployment>;
    deployment_by_name(name: &str) -> Option<Deployment>;
    deployment_list(server: Option<ServerId>, page: Page<SgcId>) -> Vec<Deployment>;
    deployment_change(id: SgcId, change: &DeploymentChange, write: &Write) -> Deployment, or DeedError;
    deployment_delete(id: SgcId, write: &Write) -> (), or DeedError;
}

faulty! { SessionStore:
    session_start(sgc: SgcId, valid_for: Duration, write: &Write) -> StartOutcome, or DeedError;
    session_want(id: SessionId, change: WantChange, write: &Write) -> Session, or DeedError;
    session_get(id: SessionId) -> Option<Session>;
    session_list(filter: SessionFilter, page: Page<SessionId>) -> Vec<Session>;
    session_hand_out(server: ServerId) -> Vec<Session>;
    session_live_count() -> usize;
    session_latest(sgc: SgcId) -> Option<Session>;
    session_timeline(id: SessionId) -> Vec<TimelineEntry>;
    session_attempts(id: SessionId) -> Vec<Attempt>;
    session_report(source: Source, report: &SessionReport) -> Applied;
    session_refused(limit: usize) -> RefusedReports;
    session_expire(grace: Duration) -> Vec<SessionId>;
    session_receipts(server: ServerId, ends: &[AttemptId]) -> Vec<AttemptId>;
    session_high_water() -> i64;
    session_lift(known: SessionId) -> bool;
    session_surpass(server: ServerId, id: SessionId, known: Generation) -> bool;
}

faulty! { CommandStore:
    command_input(session: SessionId, line: &ConsoleLine, valid_for: Duration, write: &Write)
        -> CommandRecord, or DeedError;
    command_get(id: Uuid) -> Option<CommandRecord>;
    command_settle(id: Uuid, outcome: &Outcome) -> ();
    command_expire(grace: Duration) -> Vec<Uuid>;
}

faulty! { TokenStore:
    token_create(new: &NewToken, write: &Write) -> Token, or DeedError;
    token_by_digest(digest: &TokenDigest) -> Option<Token>;
    token_list(page: Page<TokenId>) -> Vec<Token>;
    token_revoke(id: TokenId, write: &Write) -> Token, or DeedError;
    token_join(join: &TokenDigest, server: &Name, host: &TokenDigest) -> Token, or DeedError;
}

faulty! { AuditStore:
    audit_list(page: Page<i64>) -> Vec<AuditEntry>;
}

#[async_trait]
impl<S: ?Sized + Store> OutboxStore for Faulty<S> {
    async fn outbox_due(&self, limit: usize) -> crate::error::Result<Vec<OutboxMessage>> {
        self.around("outbox_due", self.inner.outbox_due(limit)).await
    }

    async fn outbox_sent(&self, ids: &[Uuid]) -> crate::error::Result<()> {
        self.around("outbox_sent", self.inner.outbox_sent(ids)).await
    }

    async fn outbox_failed(&self, id: Uuid, error: &str, delay: Duration) -> crate::error::Result<()> {
        self.around("outbox_failed", self.inner.outbox_failed(id, error, delay)).await
    }

    /// Never fails: there is nothing that could.
    async fn outbox_wait(&self) {
        self.inner.outbox_wait().await;
    }
}
