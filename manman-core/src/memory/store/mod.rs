//! A store within one process: nothing outlives it.

mod books;
mod deployments;
mod games;
mod outbox;
mod servers;
mod sessions;
mod tokens;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use self::books::Books;
use crate::{
    clock::{Clock, Timestamp},
    error::Result,
    id::ClusterId,
    store::{AuditEntry, AuditStore, ClusterStore, Page},
};

/// A store in memory. Ids count from 1.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use manman_core::{clock::SystemClock, memory::MemoryStore, model::game::NewGame};
/// # use manman_core::store::{Actor, GameStore, Write};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new(Arc::new(SystemClock));
/// let openttd = NewGame { name: "openttd".parse()?, steam_app_id: None, metadata: Default::default() };
/// let game = store.game_create(&openttd, &Write::by(Actor("alice".into()))).await?;
/// assert_eq!(store.game_get(game.id).await?, Some(game));
/// # Ok(())
/// # }
/// ```
pub struct MemoryStore {
    books: Mutex<Books>,
    clock: Arc<dyn Clock>,
    /// Rung when something was put into the outbox.
    posted: Notify,
}

impl MemoryStore {
    /// An empty store of a new installation.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut books = Books::new(fastrand::u64(..));
        books.cluster = ClusterId::random();
        // The system's own random source: unlike a seed's, this secret cannot be guessed.
        books.secret =
            [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].iter().flat_map(|id| *id.as_bytes()).collect();
        Self { books: Mutex::new(books), clock, posted: Notify::new() }
    }

    /// An empty store whose random values all follow from `seed`, for simulations.
    pub fn seeded(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { books: Mutex::new(Books::new(seed)), clock, posted: Notify::new() }
    }

    /// All that it holds now.
    pub fn backup(&self) -> MemoryBackup {
        MemoryBackup(self.read(Books::clone))
    }

    /// Takes it back to what it held then.
    pub fn restore(&self, backup: &MemoryBackup) {
        *self.books.lock().unwrap_or_else(PoisonError::into_inner) = backup.0.clone();
        self.posted.notify_waiters();
    }

    fn read<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One deed. It has to refuse before it changes anything.
    fn deed<T, E>(&self, deed: impl FnOnce(&mut Books, Timestamp) -> Result<T, E>) -> Result<T, E> {
        let now = self.clock.now();
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let done = deed(&mut books, now);
        let posted = std::mem::take(&mut books.outbox.grew);
        drop(books);
        if posted {
            self.posted.notify_waiters();
        }
        done
    }
}

/// All that a [`MemoryStore`] held at one moment.
#[derive(Clone, Debug)]
pub struct MemoryBackup(Books);

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cluster, sessions) = self.read(|books| (books.cluster, books.sessions.len()));
        f.debug_struct("MemoryStore").field("cluster", &cluster).field("sessions", &sessions).finish()
    }
}

#[async_trait]
impl ClusterStore for MemoryStore {
    async fn cluster(&self) -> Result<ClusterId> {
        Ok(self.read(|books| books.cluster))
    }

    async fn cluster_secret(&self) -> Result<Vec<u8>> {
        Ok(self.read(|books| books.secret.clone()))
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }
}

#[async_trait]
impl AuditStore for MemoryStore {
    async fn audit_list(&self, page: Page<i64>) -> Result<Vec<AuditEntry>> {
        Ok(self.read(|books| {
            let newest = books.audit.iter().rev();
            newest
                .filter(|entry| page.after.is_none_or(|after| entry.id < after))
                .take(page.limit)
                .cloned()
                .collect()
        }))
    }
}

/// A stretch of what is kept by id, in the order of ids.
fn page_of<Id: Copy + Ord, T: Clone>(
    all: &std::collections::BTreeMap<Id, T>,
    page: Page<Id>,
    wanted: impl Fn(&T) -> bool,
) -> Vec<T> {
    let rest = all.iter().filter(|(id, _)| page.after.is_none_or(|after| **id > after));
    rest.map(|(_, it)| it).filter(|it| wanted(it)).take(page.limit).cloned().collect()
}
