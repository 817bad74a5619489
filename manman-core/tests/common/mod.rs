//! What the stories share: an owner, a host's end of it, and somebody who watches.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a panic here is a failed test, and not every story uses all"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use manman_core::{
    console::{Channel, Gap},
    host::{
        console::{ConsoleConfig, Consoles},
        spool::{MemorySpool, Spool},
    },
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    memory::runtime::{Engine, Image, MemoryRuntime, Script},
    model::{EnvironmentName, ImageRef},
    runtime::{ContainerSpec, Owner, Runtime},
    viewing::{Begin, Shown, Viewing},
};
use uuid::Uuid;

pub const SESSION: SessionId = SessionId(7);
pub const RUN: AttemptId = AttemptId { session: SESSION, attempt: 1 };

/// An engine, and a spool that outlives host managers.
pub struct World {
    pub engine: Engine,
    pub spool: Arc<dyn Spool>,
    pub config: ConsoleConfig,
    pub ends: Arc<AtomicUsize>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Arc::new(MemorySpool::default()))
    }

    pub fn with(seed: u64, spool: Arc<dyn Spool>) -> Self {
        Self { engine: Engine::new(seed), spool, config: ConsoleConfig::default(), ends: Arc::default() }
    }

    pub fn runtime(&self) -> MemoryRuntime {
        let cluster = ClusterId(Uuid::from_u128(7));
        self.engine.runtime(Owner { cluster, server: ServerId(1), environment: EnvironmentName::default() })
    }

    /// What a host manager has of consoles, anew: the one before may have died.
    pub fn consoles(&self) -> Consoles {
        let ends = self.ends.clone();
        Consoles::new(
            Arc::new(self.runtime()),
            self.spool.clone(),
            self.engine.clock(),
            self.config.clone(),
            Box::new(move |_| {
                ends.fetch_add(1, Ordering::Relaxed);
            }),
        )
    }

    /// A container of `run` that plays `script`, created and not started.
    pub async fn create(&self, run: AttemptId, script: Script) {
        let image: ImageRef = format!("game-{}", run.attempt).parse().unwrap();
        self.engine.image(&image, Image::of(script));
        let spec = ContainerSpec::new(run, SgcId(1), image);
        let runtime = self.runtime();
        runtime.prepare(&spec, None).await.unwrap();
        runtime.create(&spec).await.unwrap();
    }

    /// Opens the console before the start, and starts.
    pub async fn start(&self, consoles: &Consoles, run: AttemptId) {
        consoles.open(run, true).await.unwrap();
        self.runtime().start(run).await.unwrap();
    }

    /// Shows that what was recorded of an attempt is what it printed, channel by channel.
    pub fn assert_whole(&self, seen: &Seen, run: AttemptId, what: &str) {
        for channel in Channel::BOTH {
            let printed = self.engine.printed(run, channel).unwrap();
            assert!(seen.text(run.attempt, channel) == printed, "{what}: {channel} is not what was printed");
        }
        assert_eq!(self.engine.violations(), Vec::<String>::new(), "{what}");
    }
}

/// What viewers were shown, by number: a number shown twice was shown alike.
#[derive(Default)]
pub struct Seen {
    pub pieces: BTreeMap<u64, (u32, Channel, Vec<u8>)>,
    pub gaps: Vec<(u64, Gap)>,
    pub lagged: u64,
    /// The number after the last one shown.
    pub next: u64,
}

impl Seen {
    pub fn take(&mut self, shown: Shown) {
        match shown {
            Shown::Output { first, skip, attempt, batch } => {
                assert!(first >= self.next, "{first} comes after {}", self.next);
                for (number, (channel, piece)) in (first..).zip(batch.pieces().skip(skip)) {
                    let piece = (attempt, channel, piece.to_vec());
                    let before = self.pieces.entry(number).or_insert_with(|| piece.clone());
                    assert_eq!(*before, piece, "{number} was renumbered");
                    self.next = number + 1;
                }
            }
            Shown::Gap { sequence, gap, .. } => {
                assert!(sequence >= self.next);
                self.next = sequence + 1;
                self.gaps.push((sequence, gap));
            }
            Shown::Lagged(passed) => self.lagged += passed,
        }
    }

    /// Another viewer begins: its numbers rise on their own.
    pub fn again(&mut self) {
        self.next = 0;
    }

    pub fn text(&self, attempt: u32, channel: Channel) -> Vec<u8> {
        let of = self.pieces.values().filter(|(a, c, _)| (*a, *c) == (attempt, channel));
        of.flat_map(|(.., piece)| piece.iter().copied()).collect()
    }

    /// The numbers that were shown have no hole.
    pub fn assert_contiguous(&self, what: &str) {
        let numbers: Vec<u64> = self.pieces.keys().copied().collect();
        let wanted: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert!(numbers == wanted, "{what}: numbers have holes");
    }
}

/// Everything of a session from `begin` on, to its end.
pub async fn view(consoles: &Consoles, begin: Begin, follow: bool) -> Seen {
    let mut seen = Seen::default();
    let mut shown = consoles.view(SESSION, begin, follow).await.unwrap();
    while let Some(item) = within(shown.next()).await {
        seen.take(item);
    }
    seen
}

/// What comes next, or a panic if nothing does.
pub async fn next(shown: &mut BoxStream<'static, Shown>) -> Shown {
    within(shown.next()).await.expect("the console goes on")
}

/// Waits for what has to come.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), what).await.expect("what is waited for comes in time")
}
