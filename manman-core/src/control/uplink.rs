//! What hosts ask, answered from the store within this process.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::{
    ControlConfig,
    blobs::{Places, address_for, held, put_for},
};
use crate::{
    blob::{BlobKey, BlobStream, Blobs, Presigned},
    broker::{Broker, Queue},
    error::{Chain, Error, ErrorKind, Result},
    id::{AttemptId, ServerId, SessionId},
    model::{Session, SessionSpec},
    store::{DeedError, Registration, Store, Welcomed},
    uplink::{Desired, HostIdentity, Known, Snapshot, Uplink},
};

/// How long the queue of the processors is taken to be there once it was made.
const PROCESSOR_QUEUE_STAYS: Duration = Duration::from_secs(10);

/// The control plane's end of the uplink: answers hosts from the store, and makes the
/// queue of a host that registers. `manman up` hands it to the host manager as it is;
/// remote hosts reach it through the API.
pub struct ControlUplink {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    secret: OnceCell<Vec<u8>>,
    blobs: Option<Arc<dyn Blobs>>,
    puts: Places,
    /// When the queue of the processors was made.
    processor_queue: Mutex<Option<Instant>>,
    /// What makes a host's queue again.
    healing: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl ControlUplink {
    /// Answers from `store`; `broker` is where the queues of hosts are made.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig) -> Self {
        let puts = Places::new(config.blob_puts);
        let (processor_queue, healing) = (Mutex::default(), Mutex::default());
        Self { store, broker, config, secret: OnceCell::new(), blobs: None, puts, processor_queue, healing }
    }

    /// Keeps what hosts put in `blobs`; without, there is nothing to put it in.
    pub fn with_blobs(self, blobs: Arc<dyn Blobs>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    async fn within<T>(&self, call: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        match timeout(self.config.uplink_deadline(), work).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::Timeout, call, "the control plane took too long")),
        }
    }

    /// Refuses whoever does not hold the valid registration.
    async fn check(&self, call: &'static str, me: HostIdentity) -> Result<()> {
        let Some(server) = self.store.server_get(me.server).await? else {
            let message = format!("there is no server {}", me.server);
            return Err(Error::new(ErrorKind::NotFound, call, message));
        };
        if me.epoch < server.epoch {
            let message = format!("server {} was registered again: epoch {} is over", me.server, me.epoch);
            return Err(Error::new(ErrorKind::Fenced, call, message));
        }
        if me.epoch > server.epoch {
            // A store restored from an old copy does not know what it gave out after it was made.
            // It registers again, beyond all that was given out.
            if self.store.server_lift(me.server, me.epoch).await? {
                warn!(
                    server.id = %me.server,
                    "server {} holds registration {}, and the store knew {}: it was restored from an old copy, \
                     and counts on from there", me.server, me.epoch, server.epoch
                );
            }
            let message = format!("server {} has no registration {}", me.server, me.epoch);
            return Err(Error::new(ErrorKind::NotFound, call, message));
        }
        Ok(())
    }

    /// Makes a host's queue again if somebody deleted it; nobody waits for that, as a broker
    /// that is away is no reason to withhold what is wanted. One at a time: of a large fleet all
    /// at once would keep from registering who is new, and each asks again soon.
    fn heal(&self, server: ServerId) {
        let mut healing = self.healing.lock().unwrap_or_else(PoisonError::into_inner);
        if healing.as_ref().is_some_and(|healing| !healing.is_finished()) {
            return;
        }
        let (broker, within) = (self.broker.clone(), self.config.uplink_deadline());
        let task = tokio::spawn(async move {
            match timeout(within, broker.declare(&Queue::of_host(server))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(server.id = %server, "its queue is not there: {}", Chain(&error)),
                Err(_) => debug!(server.id = %server, "its queue is not there: the broker took too long"),
            }
        });
        *healing = Some(AbortOnDropHandle::new(task));
    }

    /// Makes the queues that a host needs. The processors' is not made for each of a fleet that
    /// comes at once: they make it themselves whenever they begin to take.
    async fn declare(&self, server: ServerId) -> Result<()> {
        let stays = |made: &Instant| made.elapsed() < PROCESSOR_QUEUE_STAYS;
        if !self.processor_queue().as_ref().is_some_and(stays) {
            self.broker.declare(&Queue::of_processor()).await?;
            *self.processor_queue() = Some(Instant::now());
        }
        self.broker.declare(&Queue::of_host(server)).await
    }

    fn processor_queue(&self) -> MutexGuard<'_, Option<Instant>> {
        self.processor_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts on the generations of which the host holds later ones; whether there were any.
    async fn surpass(&self, server: ServerId, live: &[Session], known: &[Known]) -> Result<bool> {
        let mut any = false;
        for known in known {
            let is_behind = |it: &&Session| it.id == known.session && it.generation < known.generation;
            let Some(behind) = live.iter().find(is_behind) else { continue };
            if self.store.session_surpass(server, behind.id, known.generation).await? {
                any = true;
                warn!(
                    server.id = %server, session.id = %behind.id,
                    "server {server} holds generation {} of session {}, and the store knew {}: it was restored \
                     from an old copy, and counts on from there", known.generation, behind.id, behind.generation
                );
            }
        }
        Ok(any)
    }

    /// A session of the caller's; another one's is as good as none.
    async fn session(&self, me: HostIdentity, id: SessionId) -> Result<Option<Session>> {
        Ok(self.store.session_get(id).await?.filter(|session| session.server == me.server))
    }
}

#[async_trait]
impl Uplink for ControlUplink {
    async fn register(&self, hello: &Registration) -> Result<Welcomed> {
        self.within("register", async {
            let welcomed = self
                .store
                .server_register(hello, self.config.stale_after())
                .await
                .map_err(|error| refused("register", error))?;
            // Before the host can say or be told anything, so that nothing is unrouted.
            self.declare(welcomed.server).await.map_err(|error| {
                // Our trouble, and nothing that the host could do about.
                let message = "the control plane cannot use its broker";
                Error::new(ErrorKind::Unavailable, "register", message).because(error)
            })?;
            Ok(welcomed)
        })
        .await
    }

    async fn snapshot(&self, me: HostIdentity, known: &[Known]) -> Result<Snapshot> {
        self.within("snapshot", async {
            self.check("snapshot", me).await?;
            self.heal(me.server);
            let mut live = self.store.session_hand_out(me.server).await?;
            if self.surpass(me.server, &live, known).await? {
                live = self.store.session_hand_out(me.server).await?;
            }
            let mut snapshot = Snapshot {
                taken_at: self.store.now().await?,
                wanted: live.iter().map(Desired::of).collect(),
                ..Snapshot::default()
            };
            let mut absent = SessionId(0);
            for &Known { session: id, .. } in known {
                if snapshot.wanted.iter().any(|wanted| wanted.session == id) {
                    continue;
                }
                match self.store.session_get(id).await? {
                    Some(session) if session.server != me.server => snapshot.unknown.push(id),
                    Some(session) if session.state.is_end() => snapshot.ended.push(id),
                    // Asked for since the list was read.
                    Some(session) => snapshot.wanted.push(Desired::of(&session)),
                    // Sessions stay on record: whatever it is, it did not end by our word.
                    None => {
                        absent = absent.max(id);
                        snapshot.unknown.push(id);
                    }
                }
            }
            if absent.0 > self.store.session_high_water().await? && self.store.session_lift(absent).await? {
                warn!(
                    server.id = %me.server,
                    "server {} has session {absent}, and the store did not know that it was given out: it was \
                     restored from an old copy, and goes on beyond", me.server
                );
            }
            Ok(snapshot)
        })
        .await
    }

    async fn spec(&self, me: HostIdentity, session: SessionId) -> Result<SessionSpec> {
        self.within("spec", async {
            self.check("spec", me).await?;
            let gone = || Error::new(ErrorKind::NotFound, "spec", format!("there is no session {session}"));
            let session = self.session(me, session).await?.ok_or_else(gone)?;
            let deployment = self.store.deployment_get(session.sgc).await?.ok_or_else(gone)?;
            let config = self.store.config_get(deployment.config).await?.ok_or_else(gone)?;
            let secret = self.secret.get_or_try_init(|| self.store.cluster_secret()).await?;
            Ok(SessionSpec::render(session.id, &deployment, &config.body, secret))
        })
        .await
    }

    async fn receipts(&self, me: HostIdentity, ends: &[AttemptId]) -> Result<Vec<AttemptId>> {
        self.within("receipts", async {
            self.check("receipts", me).await?;
            self.store.session_receipts(me.server, ends).await
        })
        .await
    }

    async fn blob_put(&self, me: HostIdentity, key: &BlobKey, bytes: BlobStream) -> Result<u64> {
        self.within("put a blob", self.check("put a blob", me)).await?;
        let (limit, silence) = (self.config.blob_limit_bytes(), self.config.uplink_deadline());
        let place = self.puts.take(me.server, silence).await?;
        put_for(self.blobs.as_ref(), me.server, key, held(bytes, place), limit, silence).await
    }

    async fn blob_address(&self, me: HostIdentity, key: &BlobKey) -> Result<Option<Presigned>> {
        self.within("address a blob", async {
            self.check("address a blob", me).await?;
            address_for(self.blobs.as_ref(), me.server, key, self.config.blob_limit_bytes()).await
        })
        .await
    }
}

impl fmt::Debug for ControlUplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlUplink").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A refusal as the uplink's one error tells it.
fn refused(call: &'static str, error: DeedError) -> Error {
    let text = error.to_string();
    let kind = match error {
        DeedError::Store(error) => return error,
        DeedError::NotFound { .. } => ErrorKind::NotFound,
        DeedError::Invalid(_) => ErrorKind::Invalid,
        _ => ErrorKind::Conflict,
    };
    Error::new(kind, call, text)
}
