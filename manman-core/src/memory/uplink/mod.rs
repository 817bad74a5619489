//! What a host asks, answered by the program that embeds it.

mod wishes;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use self::wishes::Wishes;
use crate::{
    blob::{BlobKey, BlobStream, Blobs, Presigned},
    broker::{Broker, Message, Queue},
    clock::{Clock, SystemClock},
    control::{
        ControlConfig, Happening,
        blobs::{address_for, put_for},
    },
    error::{Chain, Error, ErrorKind, Result},
    id::{AttemptId, SessionId, SgcId},
    model::{ConfigBody, PortBinding, Session, SessionSpec, StopMode, Want},
    retry::Backoff,
    runtime::Owner,
    store::{DeedError, WantChange},
    uplink::{HostIdentity, Known, Registration, Snapshot, Uplink, Welcomed},
    wire::{Envelope, Report},
};

/// The uplink of a host whose games are named by the program around it: no store, no API.
/// Clones are the same one.
///
/// What is wanted lives as long as this does. The games go on without it: a program that
/// comes back says with [`MemoryUplink::adopt`] which of them it still wants, and until
/// then they are left alone.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use manman_core::{id::{ClusterId, ServerId, SgcId}, memory::{MemoryBroker, MemoryUplink}};
/// # use manman_core::{model::{ConfigBody, EnvironmentName, State, StopMode}, runtime::Owner};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let owner = Owner {
///     cluster: ClusterId::random(), // once; then always the same
///     server: ServerId(1),
///     environment: EnvironmentName::default(),
/// };
/// let uplink = MemoryUplink::new(owner, Arc::new(MemoryBroker::new()));
/// let session = uplink.run(SgcId(1), ConfigBody::new("openttd:13.0".parse()?), vec![]).await?;
/// assert_eq!(uplink.session(session).unwrap().state, State::Pending);
/// uplink.stop(session, StopMode::Graceful).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryUplink {
    shared: Arc<Shared>,
    /// Takes what the host reports, from its registration on.
    listening: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
    blobs: Option<Arc<dyn Blobs>>,
}

struct Shared {
    owner: Owner,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    wishes: Mutex<Wishes>,
    happenings: broadcast::Sender<Happening>,
}

/// How many events may wait for a subscriber.
const WAITING: usize = 1_024;

impl MemoryUplink {
    /// Nothing is wanted yet. `owner` is the runtime's: keep its cluster over restarts of
    /// the program, or its games become foreign to it. `broker` is the host's.
    pub fn new(owner: Owner, broker: Arc<dyn Broker>) -> Self {
        Self::with_clock(owner, broker, Arc::new(SystemClock))
    }

    /// [`MemoryUplink::new`] with another clock than the machine's.
    pub fn with_clock(owner: Owner, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>) -> Self {
        let wishes = Mutex::new(Wishes::from(clock.now()));
        let (happenings, _) = broadcast::channel(WAITING);
        let shared = Arc::new(Shared { owner, broker, clock, wishes, happenings });
        Self { shared, listening: Arc::default(), blobs: None }
    }

    /// The same, with what the host puts kept in `blobs`.
    pub fn with_blobs(self, blobs: Arc<dyn Blobs>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    /// Wants a game to run. `sgc` is the program's own number for this world of it: its
    /// directory and its container are named by it, and it has one live session.
    ///
    /// # Errors
    /// [`DeedError::SessionLive`], [`DeedError::PortsDiffer`], [`DeedError::Invalid`].
    pub async fn run(
        &self,
        sgc: SgcId,
        body: ConfigBody,
        ports: Vec<PortBinding>,
    ) -> Result<SessionId, DeedError> {
        let (now, server) = (self.shared.clock.now(), self.shared.owner.server);
        let (session, hint) = self.shared.wishes().run(sgc, body, ports, server, now)?;
        self.shared.hint(hint).await;
        Ok(session)
    }

    /// Goes on wanting a session of an earlier life of the program.
    ///
    /// # Errors
    /// As [`MemoryUplink::run`].
    pub async fn adopt(
        &self,
        session: SessionId,
        sgc: SgcId,
        body: ConfigBody,
        ports: Vec<PortBinding>,
    ) -> Result<(), DeedError> {
        let (now, server) = (self.shared.clock.now(), self.shared.owner.server);
        let hint = self.shared.wishes().adopt(session, sgc, body, ports, server, now)?;
        self.shared.hint(hint).await;
        Ok(())
    }

    /// Wants a session to end: as its stop plan says, or at once.
    ///
    /// # Errors
    /// [`DeedError::NotFound`].
    pub async fn stop(&self, session: SessionId, mode: StopMode) -> Result<(), DeedError> {
        self.want(session, WantChange::To(Want::Stop(mode))).await
    }

    /// Wants a live session's game to be stopped and started again.
    ///
    /// # Errors
    /// [`DeedError::NotFound`], [`DeedError::SessionEnded`], [`DeedError::SessionStopping`].
    pub async fn restart(&self, session: SessionId) -> Result<(), DeedError> {
        self.want(session, WantChange::Restart).await
    }

    async fn want(&self, session: SessionId, change: WantChange) -> Result<(), DeedError> {
        let hint = self.shared.wishes().want(session, change, self.shared.clock.now())?;
        if let Some(hint) = hint {
            self.shared.hint(hint).await;
        }
        Ok(())
    }

    /// Where a session is, as its host last said.
    pub fn session(&self, session: SessionId) -> Option<Session> {
        self.shared.wishes().session(session).cloned()
    }

    /// Sessions that the host found on its machine and that nobody has claimed: of an
    /// earlier life of the program. They are left alone.
    pub fn unclaimed(&self) -> Vec<SessionId> {
        self.shared.wishes().unclaimed()
    }

    /// Forgets a session that has ended.
    pub fn forget(&self, session: SessionId) {
        self.shared.wishes().forget(session);
    }

    /// What happens to the sessions, from now on.
    pub fn events(&self) -> BoxStream<'static, Happening> {
        stream::unfold(self.shared.happenings.subscribe(), |mut happenings| async move {
            match happenings.recv().await {
                Ok(happening) => Some((happening, happenings)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((Happening::Interrupted, happenings)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        })
        .boxed()
    }
}

impl Shared {
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the host. It looks by itself as well, so a hint may be lost; before the host
    /// has registered nobody takes it.
    async fn hint(&self, hint: Message) {
        if let Err(error) = self.broker.publish(hint).await {
            debug!(error = %Chain(&error), "a hint was not taken");
        }
    }

    fn check(&self, call: &'static str, me: HostIdentity) -> Result<()> {
        let epoch = self.wishes().epoch();
        let kind = match me {
            _ if me.server != self.owner.server || me.epoch > epoch => ErrorKind::NotFound,
            _ if me.epoch < epoch => ErrorKind::Fenced,
            _ => return Ok(()),
        };
        let message = format!("registration {} of server {} is not the valid one", me.epoch, me.server);
        Err(Error::new(kind, call, message))
    }

    async fn listen(self: Arc<Self>) {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, longest, fastrand::u64(..));
        loop {
            let Err(error) = self.take().await;
            let wait = backoff.delay();
            warn!(error = %Chain(&error), "no reports for now, will retry in {wait:?}");
            tokio::time::sleep(wait).await;
        }
    }

    async fn take(&self) -> Result<std::convert::Infallible> {
        let queue = Queue::of_processor();
        self.broker.declare(&queue).await?;
        let mut consumer = self.broker.consume(&queue.name).await?;
        loop {
            let delivery = consumer.next().await?;
            match Envelope::<Report>::decode(&delivery.message.body) {
                Ok(envelope) => {
                    self.apply(&envelope);
                    delivery.handle.ack().await?;
                }
                Err(unreadable) => delivery.handle.dead(&unreadable.to_string()).await?,
            }
        }
    }

    fn apply(&self, envelope: &Envelope<Report>) {
        let Report::Session(report) = &envelope.body else { return };
        match self.wishes().apply(envelope, report, self.clock.now()) {
            // Nobody listening is no failure.
            Ok(events) => {
                events.into_iter().for_each(|event| drop(self.happenings.send(Happening::Event(event))))
            }
            Err(rejected) => debug!("a report cannot be: {rejected}"),
        }
    }
}

#[async_trait]
impl Uplink for MemoryUplink {
    async fn register(&self, _hello: &Registration) -> Result<Welcomed> {
        let shared = &self.shared;
        for queue in [Queue::of_processor(), Queue::of_host(shared.owner.server)] {
            shared.broker.declare(&queue).await?;
        }
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.as_ref().is_none_or(AbortOnDropHandle::is_finished) {
            *listening = Some(AbortOnDropHandle::new(tokio::spawn(shared.clone().listen())));
        }
        let epoch = shared.wishes().register();
        Ok(Welcomed { cluster: shared.owner.cluster, server: shared.owner.server, epoch })
    }

    async fn snapshot(&self, me: HostIdentity, known: &[Known]) -> Result<Snapshot> {
        self.shared.check("snapshot", me)?;
        Ok(self.shared.wishes().snapshot(known, self.shared.clock.now()))
    }

    async fn spec(&self, me: HostIdentity, session: SessionId) -> Result<SessionSpec> {
        self.shared.check("spec", me)?;
        let secret = self.shared.owner.cluster.0;
        let spec = self.shared.wishes().spec(session, secret.as_bytes());
        spec.ok_or_else(|| Error::new(ErrorKind::NotFound, "spec", format!("there is no session {session}")))
    }

    async fn receipts(&self, me: HostIdentity, ends: &[AttemptId]) -> Result<Vec<AttemptId>> {
        self.shared.check("receipts", me)?;
        Ok(self.shared.wishes().receipts(ends))
    }

    async fn blob_put(&self, me: HostIdentity, key: &BlobKey, bytes: BlobStream) -> Result<u64> {
        self.shared.check("put a blob", me)?;
        let bounds = ControlConfig::default();
        let (limit, silence) = (bounds.blob_limit_bytes(), bounds.uplink_deadline());
        put_for(self.blobs.as_ref(), me.server, key, bytes, limit, silence).await
    }

    async fn blob_address(&self, me: HostIdentity, key: &BlobKey) -> Result<Option<Presigned>> {
        self.shared.check("address a blob", me)?;
        address_for(self.blobs.as_ref(), me.server, key, ControlConfig::default().blob_limit_bytes()).await
    }
}

impl fmt::Debug for MemoryUplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryUplink").field("owner", &self.shared.owner).finish_non_exhaustive()
    }
}
