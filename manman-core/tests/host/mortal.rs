//! A runtime and a disk that strike their manager dead at a chosen call.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use manman_core::{
    console::{Console, Resume},
    error::{Error, ErrorKind, Result},
    host::journal::{Disk, MemoryDisk},
    id::{AttemptId, SessionId},
    model::ImageRef,
    runtime::{
        Capabilities, ContainerSpec, EngineInfo, Exit, Found, ImageInfo, Inventory, Owner, ProgressSink,
        Runtime, RuntimeEvent, Stats,
    },
};
use tokio::sync::Notify;

/// Counts what passes, and lets nothing pass from a chosen one on.
#[derive(Debug)]
pub struct Gate {
    passed: AtomicU64,
    last: u64,
    dead: AtomicBool,
    pub died: Notify,
}

impl Gate {
    /// The `last` one does not pass.
    pub fn at(last: u64) -> Arc<Self> {
        Arc::new(Self { passed: AtomicU64::new(0), last, dead: AtomicBool::new(false), died: Notify::new() })
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    fn shut(&self) -> bool {
        if self.passed.fetch_add(1, SeqCst) + 1 >= self.last && !self.dead.swap(true, SeqCst) {
            self.died.notify_one();
        }
        self.is_dead()
    }

    async fn pass(&self) {
        if self.shut() {
            future::pending().await
        }
    }
}

/// Passes the gate before and after each call.
#[derive(Debug)]
pub struct MortalRuntime {
    pub inner: Arc<dyn Runtime>,
    pub gate: Arc<Gate>,
}

macro_rules! passes {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ok:ty;)*) => {
        #[async_trait]
        impl Runtime for MortalRuntime {
            fn capabilities(&self) -> Capabilities {
                self.inner.capabilities()
            }

            fn owner(&self) -> &Owner {
                self.inner.owner()
            }

            $(async fn $name(&self $(, $arg: $ty)*) -> Result<$ok> {
                self.gate.pass().await;
                let result = self.inner.$name($($arg),*).await;
                self.gate.pass().await;
                result
            })*
        }
    };
}

passes! {
    engine() -> EngineInfo;
    pull(image: &ImageRef, progress: ProgressSink) -> ImageInfo;
    prepare(spec: &ContainerSpec, user: Option<(u32, u32)>) -> ();
    create(spec: &ContainerSpec) -> ();
    start(run: AttemptId) -> ();
    stop(run: AttemptId, grace: Duration) -> Exit;
    kill(run: AttemptId) -> ();
    retire(run: AttemptId) -> ();
    remove(run: AttemptId) -> ();
    remove_network(session: SessionId) -> ();
    list() -> Inventory;
    inspect(run: AttemptId) -> Option<Found>;
    stats(run: AttemptId) -> Stats;
    events() -> BoxStream<'static, RuntimeEvent>;
    console(run: AttemptId, after: Option<Resume>) -> Console;
}

/// Passes the gate before each write: from the chosen one on nothing is written.
#[derive(Debug)]
pub struct MortalDisk {
    pub inner: MemoryDisk,
    pub gate: Arc<Gate>,
}

impl MortalDisk {
    fn pass(&self) -> Result<()> {
        if self.gate.shut() {
            return Err(Error::new(ErrorKind::Unavailable, "write the journal", "dead"));
        }
        Ok(())
    }
}

impl Disk for MortalDisk {
    fn blocks(&self) -> bool {
        false
    }

    fn load(&mut self) -> Result<Vec<u8>> {
        self.inner.load()
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.pass()?;
        self.inner.append(bytes)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        self.pass()?;
        self.inner.replace(bytes)
    }

    fn set_aside(&mut self) -> Result<String> {
        self.inner.set_aside()
    }
}
