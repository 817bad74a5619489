//! The host manager: keeps what runs on one machine what it should be.
//!
//! Everything is one future, [`Manager::run`]: dropped at any moment it leaves nothing
//! behind but what the journal knows, and no game notices. In it, one actor for each
//! session follows [`plan`](super::plan), so that a slow one holds up no other; the link
//! asks the control plane, the watch looks at the engine, and both only wake actors. What
//! other machines ask about consoles is answered beside all that.

mod actor;
mod acts;
mod asks;
mod beat;
mod commands;
mod container;
mod doors;
mod engine;
mod host;
mod join;
mod link;
mod noting;
mod place;
mod reports;
mod sweep;
mod time;
mod wanted;
mod warnings;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

pub use join::join;

use self::host::Host;
use super::{
    HostConfig, HostEvent, StartPolicy,
    console::Consoles,
    journal::{Journal, MemoryDisk},
    policy::NoObjection,
    spool::{MemorySpool, Spool},
};
use crate::{
    broker::Broker,
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind, Result},
    runtime::Runtime,
    uplink::Uplink,
};

/// The longest that a shutdown takes for each of its parts: reports, consoles, journal.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A part of the manager's work.
type Job = BoxFuture<'static, ()>;

/// Runs the games of one machine.
pub struct Manager {
    host: Arc<Host>,
    jobs: mpsc::UnboundedReceiver<Job>,
}

/// Puts a [`Manager`] together.
pub struct Builder {
    runtime: Arc<dyn Runtime>,
    broker: Arc<dyn Broker>,
    uplink: Arc<dyn Uplink>,
    clock: Arc<dyn Clock>,
    journal: Option<Journal>,
    spool: Option<Arc<dyn Spool>>,
    policy: Arc<dyn StartPolicy>,
    seed: Option<u64>,
}

impl Builder {
    /// Tells the wall time. The machine's clock if not said.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where is written down what has to be known after a death. In memory if not said:
    /// then only what labels and control plane know is known.
    pub fn journal(mut self, journal: Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Where consoles are kept. In memory if not said.
    pub fn spool(mut self, spool: Arc<dyn Spool>) -> Self {
        self.spool = Some(spool);
        self
    }

    /// Who has a say before a start.
    pub fn policy(mut self, policy: impl StartPolicy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Fixes what is random: the waits between tries.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The manager, if `config` could work.
    ///
    /// # Errors
    /// `Config` with all that is wrong; `Conflict` if the journal is another host's.
    pub fn build(self, config: HostConfig) -> Result<Manager> {
        const OPERATION: &str = "build the host manager";
        config.validate().map_err(|wrong| {
            let all: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            Error::new(ErrorKind::Config, OPERATION, all.join("; "))
        })?;
        let journal = match self.journal {
            Some(journal) => journal,
            None => Journal::open(MemoryDisk::new())?,
        };
        let owner = self.runtime.owner().clone();
        if let Some(identity) = journal.look(|state| state.identity)
            && (identity.cluster, identity.server) != (owner.cluster, owner.server)
        {
            let message = format!(
                "the journal is of server {} of installation {}, and the games here are of server {} of {}",
                identity.server, identity.cluster, owner.server, owner.cluster
            );
            return Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        }
        let (spawner, jobs) = mpsc::unbounded_channel();
        let host = Host::new(host::Parts {
            runtime: self.runtime,
            broker: self.broker,
            uplink: self.uplink,
            clock: self.clock,
            journal,
            spool: self.spool.unwrap_or_else(|| Arc::new(MemorySpool::default())),
            policy: self.policy,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
            config,
            spawner,
        });
        Ok(Manager { host, jobs })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

impl Manager {
    /// A manager that runs games by `runtime`, talks through `broker` and asks `uplink`.
    pub fn builder(runtime: Arc<dyn Runtime>, broker: Arc<dyn Broker>, uplink: Arc<dyn Uplink>) -> Builder {
        Builder {
            runtime,
            broker,
            uplink,
            clock: Arc::new(SystemClock),
            journal: None,
            spool: None,
            policy: Arc::new(NoObjection),
            seed: None,
        }
    }

    /// What happens from now on. Ends with the manager.
    pub fn events(&self) -> impl Stream<Item = HostEvent> + Send + Unpin + 'static {
        self.host.events.listen()
    }

    /// The consoles of its games, to be viewed.
    pub fn consoles(&self) -> Consoles {
        self.host.consoles.clone()
    }

    /// Runs until `shutdown`, which its games do not notice, and returns within ten seconds
    /// of it. Dropped instead, it lets go of everything at once, which they do not notice
    /// either.
    ///
    /// A control plane, a broker or an engine that is away is waited for, while what can be
    /// done without is done.
    ///
    /// # Errors
    /// `Conflict` if the control plane takes this host for another one than its games and
    /// its journal are of.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<()> {
        let host = &self.host;
        if let Some(damage) = host.journal.damage() {
            host.warn("journal", damage.to_owned());
        }
        let mut crew: FuturesUnordered<Job> = FuturesUnordered::new();
        crew.push(Box::pin(watch::run(host.clone())));
        crew.push(Box::pin(link::run(host.clone())));
        crew.push(Box::pin(commands::run(host.clone())));
        crew.push(Box::pin(reports::run(host.clone())));
        crew.push(Box::pin(beat::run(host.clone())));
        crew.push(Box::pin(asks::run(host.clone())));
        host.resume();
        let result = loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                Some(job) = self.jobs.recv() => crew.push(job),
                Some(()) = crew.next() => {}
                error = host.mistaken() => break Err(error),
            }
        };
        drop(crew);
        self.say_goodbye().await;
        result
    }

    async fn say_goodbye(&self) {
        let host = &self.host;
        // Each is bounded: what is not said or synced now is found again by the next start.
        let _ = timeout(LAST_WORDS, reports::go_away(host)).await;
        let _ = timeout(LAST_WORDS, host.consoles.shut_down()).await;
        match timeout(LAST_WORDS, host.journal.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => host.warn("journal", crate::error::Chain(&error).to_string()),
            Err(_) => host.warn("journal", "the disk did not take the journal in time".to_owned()),
        }
        tracing::info!("host manager gone; its games go on");
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("host", &self.host).finish_non_exhaustive()
    }
}
